"""Clips judged and made by the decode that finds them, as one step after another would do it."""

from __future__ import annotations

import tarfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import clipmill
from clipmill.run.recipe_file import load_recipe
from clipmill.run.runner import run_recipe
from scene_media import scenes, write_pictures

LENGTHS = [30, 45, 20, 60]
"""Frames of each scene, at 25 a second."""
EDIT = {"short_side": 64, "fps": 5}
SPLIT = {"min_seconds": 1, "max_seconds": 2}
STEPS = """
import os
import clipmill
import numpy as np

@clipmill.step(wants=clipmill.Frames(fps=3, short_side=32), columns={"sum": "int64"})
def at_rate(seen):
    "All its pixels, with the places and times of its frames."
    weights = seen.frame_numbers * seen.repeats
    return int((seen.frames.sum(axis=(1, 2, 3), dtype=np.int64) * weights).sum())

@clipmill.step(wants=clipmill.Frames(burst=2, every_nth=7), columns={"numbers": "list<int64>"})
def bursts(seen):
    "The frames that it sees."
    return seen.frame_numbers.tolist()

@clipmill.step(wants=clipmill.Frames(keyframes=True), columns={"times": "list<float64>"})
def keys(seen):
    "When key frames are shown."
    return seen.pts_seconds.tolist()

@clipmill.step(wants=clipmill.Frames(at=(0.1, 0.5, 5)), columns={"numbers": "list<int64>"})
def at_times(seen):
    "Frames at given times."
    return seen.frame_numbers.tolist()

@clipmill.step(wants=clipmill.Audio(), columns={"power": "float64", "count": "int64"})
def heard(seen):
    "Its sound as it is."
    return {"power": float((seen.audio ** 2).mean()), "count": seen.audio.shape[1]}

@clipmill.step(wants=clipmill.Frames(count=2), columns={"numbers": "list<int64>"})
def halves(seen):
    "Frames that rest on the clip's end."
    return seen.frame_numbers.tolist()

@clipmill.step(wants=clipmill.Frames(fps=1), columns={"fine": "bool"}, reads=("clip_index",))
def fatal(seen):
    "Takes its process along at one clip."
    if seen.row["clip_index"] == 1:
        os.abort()
    return True
"""
OWN = ["at_rate", "bursts", "keys", "at_times", "heard"]
COLUMNS = [
    *("at_rate.sum", "bursts.numbers", "keys.times", "at_times.numbers"),
    *("heard.power", "heard.count"),
]
WHERE = "at_rate.sum > 0 and clip_index <> 2"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trial") / "videos"
    folder.mkdir()
    write_with_sound(folder / "a.mkv")
    write_pictures(folder / "b.mp4", scenes([50]))
    (folder.parent / "steps.py").write_text(STEPS)
    return folder


def write_with_sound(path: Path) -> None:
    """Scenes, with a tone that rises."""
    pictures = path.with_suffix(".mp4")
    write_pictures(pictures, scenes(LENGTHS))
    with av.open(str(pictures)) as source, av.open(str(path), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        audio = target.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                target.mux(packet)
        times = np.arange(int(16_000 * sum(LENGTHS) / 25)) / 16_000
        tone = (times * 3000 * np.sin(times * 2000)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        frame.rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        target.mux(audio.encode(frame))
        target.mux(audio.encode(None))
    pictures.unlink()


def run(videos: Path, output: Path, *steps: dict, **more) -> clipmill.Dataset:
    recipe = {
        "source": {"path": str(videos)},
        "modules": str(videos.parent / "steps.py"),
        "steps": list(steps),
        "write": {"to": str(output)},
        **more,
    }
    run_recipe(load_recipe(recipe), quiet=True)
    return clipmill.open(output)


def files(dataset: clipmill.Dataset) -> dict[str, bytes]:
    with tarfile.open(Path(dataset.folder.root) / "00000.tar") as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}
    return {name: data for name, data in found.items() if name.endswith(".mp4")}


def decodes(dataset: clipmill.Dataset) -> list[float]:
    """How often each source was decoded."""
    rows = dataset.sources().to_pylist()
    return [row["decoded_seconds"] / row["probe"]["duration_seconds"] for row in rows]


def told(dataset: clipmill.Dataset, columns=COLUMNS) -> list[dict]:
    """What became of each clip, and what steps said of it."""
    steps = dict.fromkeys(name.split(".")[0] for name in columns)
    statuses = [f"{name}.status" for name in steps]
    return dataset.table(["key", "status", "error_message", *columns, *statuses]).to_pylist()


@pytest.fixture(scope="module")
def judged(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> clipmill.Dataset:
    steps = {"split": SPLIT}, {"annotate": OWN}, {"where": WHERE}, {"render": EDIT}
    return run(videos, tmp_path_factory.mktemp("judged") / "out", *steps)


def test_one_decode_finds_judges_and_makes(judged):
    assert decodes(judged) == pytest.approx([1, 1], abs=0.02)
    statuses = judged.table(["status"]).column(0).to_pylist()
    assert statuses.count("dropped") == 1
    assert len(files(judged)) == statuses.count("success") == 3


def test_steps_say_what_they_say_of_the_same_clips_found_before(judged, videos, tmp_path):
    raw = clipmill.download(videos, tmp_path / "raw", encode_formats={"video": "original"})
    clips = raw.split(tmp_path / "clips", **SPLIT, quiet=True)
    clips.annotate(*OWN, modules=[str(videos.parent / "steps.py")], quiet=True)
    before = {row["key"]: row for row in told(clips)}
    for row in told(judged):
        if row["status"] == "success":
            assert row == before[row["key"]]
    made = clips.export(tmp_path / "made", **EDIT, quiet=True)
    assert files(judged).items() <= files(made).items()


def test_what_does_not_fit_in_memory_is_decoded_again_to_the_same_end(judged, videos, tmp_path):
    steps = {"split": SPLIT}, {"annotate": OWN}, {"where": WHERE}, {"render": EDIT}
    small = run(videos, tmp_path / "out", *steps, run={"scene_bytes": 500_000})
    assert told(small) == told(judged)
    assert files(small) == files(judged)
    assert max(decodes(small)) > 1.5


def test_no_sound_is_lost_where_a_packet_of_it_outlasts_what_is_kept(videos, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mkv").hardlink_to(videos / "a.mkv")  # its sound is one packet
    (tmp_path / "steps.py").hardlink_to(videos.parent / "steps.py")
    steps = {"split": {"max_seconds": 1}}, {"annotate": ["heard"]}, {"render": EDIT}
    small = run(tmp_path / "videos", tmp_path / "out", *steps, run={"scene_bytes": 200_000})
    counts = small.table(["heard.count"]).column(0).to_pylist()
    assert sum(count or 0 for count in counts) == 16_000 * sum(LENGTHS) / 25
    assert decodes(small)[0] > 1


def test_what_is_trimmed_off_is_not_kept(videos, tmp_path):
    trims = {"trim_start_seconds": 0.5, "trim_end_seconds": 0.1}
    data = run(videos, tmp_path / "out", {"split": trims}, {"annotate": OWN}, {"render": EDIT})
    assert decodes(data) == pytest.approx([1, 1], abs=0.02)
    starts = [row["span"]["start_seconds"] for row in data.table(["span"]).to_pylist()]
    assert starts == [0.5, 1.7, 3.5, 4.3, 0.5]


def test_conditions_on_the_clip_alone_need_no_decode_of_their_own(videos, tmp_path):
    steps = {"split": {}}, {"where": "span.end_seconds <= 3"}, {"render": EDIT}
    data = run(videos, tmp_path / "out", *steps)
    assert decodes(data) == pytest.approx([1, 1], abs=0.02)
    assert data.table(["status"]).column(0).to_pylist().count("dropped") == 2


def test_a_source_that_no_file_can_be_made_of_fails_where_one_is_to_be_made(videos, tmp_path):
    def made(where: str) -> list[tuple[str, str]]:
        steps = {"split": {}}, {"where": where}, {"render": {"crop": "0:0:4000:4000"}}
        data = run(videos, tmp_path / where, *steps)
        return [(row["status"], row["error_class"]) for row in data.table().to_pylist()]

    assert set(made("clip_index < 0")) == {("dropped", "where")}
    assert set(made("clip_index >= 0")) == {("failed_to_process", "crop_outside")}


def test_virtual_clips_are_judged_by_the_decode_that_finds_them(videos, tmp_path):
    data = run(videos, tmp_path / "out", {"split": {}}, {"annotate": OWN}, {"where": WHERE})
    assert decodes(data) == pytest.approx([1, 1], abs=0.02)
    assert "dropped" in data.table(["status"]).column(0).to_pylist()


def test_a_step_that_needs_the_end_of_a_clip_looks_in_a_decode_of_its_own(videos, tmp_path):
    steps = {"split": {}}, {"annotate": ["at_rate", "halves"]}, {"render": EDIT}
    data = run(videos, tmp_path / "out", *steps)
    assert decodes(data) == pytest.approx([2, 2], abs=0.1)
    assert all(row["halves.numbers"] for row in told(data, ["halves.numbers"]))


def test_a_step_that_takes_the_process_along_costs_its_own_cells_alone(videos, tmp_path):
    steps = {"split": {}}, {"annotate": ["at_rate", "fatal"]}, {"render": EDIT}
    data = run(videos, tmp_path / "out", *steps)
    rows = told(data, ["at_rate.sum", "fatal.fine"])
    assert {row["at_rate.status"] for row in rows} == {"success"}
    assert "failed" in {row["fatal.status"] for row in rows}
    assert {row["status"] for row in rows} == {"success"}
    assert len(files(data)) == len(rows)


def test_rows_that_name_one_source_are_judged_each_by_its_own_columns(videos, tmp_path, write_csv):
    table = write_csv([{"url": str(videos / "b.mp4"), "wanted": one} for one in ("yes", "no")])
    steps = [{"split": {}}, {"annotate": ["at_rate"]}, {"where": "wanted = 'yes'"}]
    source = {"path": str(table)}
    local = {"allow_local_paths": True}
    given = {"source": source, "download": local}
    data = run(videos, tmp_path / "out", *steps, {"render": EDIT}, **given)
    assert data.table(["wanted", "status"]).to_pylist() == [
        {"wanted": "yes", "status": "success"},
        {"wanted": "no", "status": "dropped"},
    ]


STRIDE = {"detector": "stride", "stride_seconds": 1}
OTHERS = ["at_rate", "halves", "heard", "packets"]
TOLD = ["at_rate.sum", "halves.numbers", "heard.power", "packets.video_sha256"]


@pytest.fixture(scope="module")
def strides(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> clipmill.Dataset:
    steps = {"split": STRIDE}, {"annotate": OTHERS}, {"where": WHERE}, {"render": EDIT}
    return run(videos, tmp_path_factory.mktemp("strides") / "out", *steps)


def test_clips_that_are_known_before_are_judged_and_made_in_one_decode(strides):
    assert decodes(strides) == pytest.approx([1, 1], abs=0.1)
    statuses = strides.table(["status"]).column(0).to_pylist()
    assert statuses.count("dropped") == 1
    assert len(files(strides)) == statuses.count("success") > 5


def test_they_are_those_of_one_step_after_another(strides, videos, tmp_path):
    raw = clipmill.download(videos, tmp_path / "raw", encode_formats={"video": "original"})
    clips = raw.split(tmp_path / "clips", **STRIDE, quiet=True)
    clips.annotate(*OTHERS, modules=[str(videos.parent / "steps.py")], quiet=True)
    before = {row["key"]: row for row in told(clips, TOLD)}
    for row in told(strides, TOLD):
        if row["status"] == "success":
            assert row == before[row["key"]]
    made = clips.export(tmp_path / "made", **EDIT, quiet=True)
    assert files(strides).items() <= files(made).items()


def test_known_clips_that_take_too_much_memory_are_made_by_a_second_decode(
    strides, videos, tmp_path
):
    steps = {"split": STRIDE}, {"annotate": OTHERS}, {"where": WHERE}, {"render": EDIT}
    small = run(videos, tmp_path / "out", *steps, run={"scene_bytes": 1000})
    assert told(small, TOLD) == told(strides, TOLD)
    assert files(small) == files(strides)
    assert max(decodes(small)) > 1.5
