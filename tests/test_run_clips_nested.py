"""Virtual clips are split further, each as if it were a file, and are cut from the source."""

from fractions import Fraction
from pathlib import Path

import pytest

import clipmill
from clipmill.core.time import Span
from clipmill.demo.media import make_video
from clipmill.steps.split.find import find_spans
from clipmill.steps.split.options import SplitOptions
from scene_media import scenes, write_pictures

LENGTHS = [30, 45, 20]
"""Frames of each scene, at 25 a second."""
EDIT = {"short_side": 32, "fps": 5}


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    return write_pictures(folder / "a.mp4", scenes(LENGTHS))


@pytest.fixture(scope="module")
def finer(video) -> clipmill.Dataset:
    """Two halves of the video, of which each was split by its scenes."""
    raw = clipmill.download(video.parent, video.parent.parent / "raw", quiet=True)
    halves = raw.split(
        raw.folder.local().parent / "halves", detector="stride", stride_seconds=2, quiet=True
    )
    return halves.split(raw.folder.local().parent / "finer", quiet=True)


def spans(dataset: clipmill.Dataset) -> list[tuple[str, str, Fraction, Fraction]]:
    rows = dataset.table(["key", "source_key", "span"]).to_pylist()
    found = [Span.from_row(row["span"]) for row in rows]
    keys = [(row["key"], row["source_key"]) for row in rows]
    return [(*names, span.start, span.end) for names, span in zip(keys, found, strict=True)]


def exported(dataset: clipmill.Dataset, output: Path, **settings) -> list[str]:
    """Hashes of the files that are made of a dataset's clips."""
    made = dataset.export(output, **EDIT, **settings, quiet=True)
    return [row["media"]["mp4"]["sha256"] for row in made.table(["media"]).to_pylist()]


def test_clips_of_clips_are_spans_of_the_source_within_their_parents(finer):
    assert spans(finer) == [
        ("00000000_00000_00000", "00000000_00000", Fraction(0), Fraction(6, 5)),
        ("00000000_00000_00001", "00000000_00000", Fraction(6, 5), Fraction(2)),
        ("00000000_00001_00000", "00000000_00001", Fraction(2), Fraction(3)),
        ("00000000_00001_00001", "00000000_00001", Fraction(3), Fraction(19, 5)),
    ]
    first, second = finer.sources().to_pylist()
    assert [cut["seconds"] for cut in first["cuts"]] == [1.2]
    assert [(cut["seconds"], cut["number"]) for cut in second["cuts"]] == [(3.0, 75)]


def test_exporting_them_equals_a_cut_straight_from_the_source(finer, tmp_path):
    raw = finer.folder.local().parent / "raw"
    asked = [[float(start), float(end)] for _, _, start, end in spans(finer)]
    video = next(finer.folder.local().parent.glob("videos*/a.mp4"))
    straight = clipmill.download(
        [{"url": str(video), "spans": asked}],
        tmp_path / "given",
        clip_col="spans",
        allow_local_paths=True,
        quiet=True,
    )
    straight = straight.split(
        tmp_path / "straight", detector="column", clip_col="clips", quiet=True
    )
    made = [
        one.export(tmp_path / name, **EDIT, quiet=True).table(["media"]).to_pylist()
        for name, one in (("a", finer), ("b", straight))
    ]
    hashes = [[row["media"]["mp4"]["sha256"] for row in rows] for rows in made]
    assert hashes[0] == hashes[1]
    assert len(set(hashes[0])) == 4

    moved = raw.rename(tmp_path / "moved")
    try:  # clips of clips find their source where it lies now
        again = finer.export(tmp_path / "c", **EDIT, parent=str(moved), quiet=True)
        assert [r["media"]["mp4"]["sha256"] for r in again.table(["media"]).to_pylist()] == hashes[
            0
        ]
    finally:
        moved.rename(raw)


@pytest.mark.parametrize(
    ("options", "given", "wanted"),
    [
        ({"detector": "whole"}, {}, [(1, 3)]),
        ({"detector": "stride", "stride_seconds": "0.9"}, {}, [(1, 1.9), (1.9, 2.8), (2.8, 3)]),
        ({"detector": "column"}, {"spans": [["0.5", "1"], ["1.5", "9"]]}, [(1.5, 2), (2.5, 3)]),
        ({"detector": "keyframes"}, {}, [(1, 1.6), (1.6, 2.4), (2.4, 3)]),
    ],
)
def test_times_count_from_the_start_of_the_clip(tmp_path, options, given, wanted):
    path = make_video(tmp_path / "a.mp4", seconds=4, fps=25, gop=20)
    found = find_spans(
        path, SplitOptions(**options), within=Span(Fraction(1), Fraction(3)), **given
    )
    exact = [(clip.span.start, clip.span.end) for clip in found.clips]
    assert exact == [tuple(Fraction(str(time)) for time in pair) for pair in wanted]


def test_pieces_of_a_clip_that_reaches_beyond_the_source_end_with_it(tmp_path):
    path = make_video(tmp_path / "a.mp4", seconds=2, fps=25)
    within = Span(Fraction(1), Fraction(9))
    (clip,) = find_spans(path, SplitOptions(detector="whole"), within=within).clips
    assert (clip.span.start, clip.span.end) == (1, 2)
