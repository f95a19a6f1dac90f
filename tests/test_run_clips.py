"""From sources to clips: split, export, and both in one pass, with the same result."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clipmill
from clipmill.cli.report import report_lines
from clipmill.core.errors import InputError, OutputError, RecipeError
from clipmill.dataset.verify import verify_dataset
from clipmill.demo.media import make_video
from clipmill.run.recipe import Recipe
from clipmill.run.recipe_file import load_recipe
from clipmill.run.runner import run_recipe
from scene_media import scenes, write_pictures

EDIT = {"short_side": 64, "fps": 5}
LENGTHS = [30, 45, 20]
"""Frames of each scene, at 25 a second."""


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    write_pictures(folder / "a.mp4", scenes(LENGTHS))
    make_video(folder / "b.mp4", seconds=3, fps=25, gop=10)
    (folder / "c.mp4").write_bytes((folder / "a.mp4").read_bytes()[:3000])
    return folder


def members(dataset: Path) -> dict[str, str]:
    """Hash of every media file in a dataset's tars."""
    found = {}
    for path in sorted(dataset.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                data = tar.extractfile(member)
                if data and not member.name.endswith(("json", "txt")):
                    found[member.name] = hashlib.sha256(data.read()).hexdigest()
    return found


def test_sources_within_tars_give_the_clips_of_sources_in_files(videos, clips, tmp_path):
    files = clipmill.download(videos, tmp_path / "files", format="files", quiet=True)
    files.split(tmp_path / "of-files", quiet=True).export(tmp_path / "a", quiet=True, **EDIT)
    clips.export(tmp_path / "b", quiet=True, **EDIT)
    assert members(tmp_path / "a") == members(tmp_path / "b") != {}


def test_members_of_local_tars_are_split_and_annotated_without_a_copy(tmp_path):
    write_pictures(tmp_path / "a.mp4", scenes([25, 25]), options={"crf": "0"})
    limit = (tmp_path / "a.mp4").stat().st_size // 2
    clipmill.download(tmp_path / "a.mp4", tmp_path / "raw", quiet=True)

    def run(*words):
        """Where no file of half the source's size can be written."""
        command = ["bash", "-c", f'ulimit -f {limit // 1024}; exec "$@"', "", sys.executable]
        given = [*command, "-m", "clipmill", *words]
        subprocess.run(given, cwd=tmp_path, check=True, capture_output=True)

    run("split", "raw", "clips")
    run("annotate", "clips", "picture")
    run("annotate", "raw", "picture")
    assert len(clipmill.open(tmp_path / "clips")) == 2


def sources(dataset: Path) -> list[dict]:
    return clipmill.open(dataset).sources().to_pylist()


def fused(videos: Path, output: Path, wanted=None, **run) -> clipmill.Dataset:
    recipe = {
        "source": {"path": str(videos)},
        "steps": [{"split": {}}, {"render": EDIT}],
        "write": {"to": str(output), "encode_formats": wanted or {"video": "mp4"}},
        "run": run,
    }
    run_recipe(load_recipe(recipe), quiet=True)
    return clipmill.open(output)


@pytest.fixture(scope="module")
def clips(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> clipmill.Dataset:
    raw = tmp_path_factory.mktemp("split") / "raw"
    clipmill.download(videos, raw, quiet=True)
    return clipmill.open(raw).split(raw.parent / "clips", quiet=True)


def test_splitting_gives_a_row_for_each_clip_and_encodes_nothing(clips):
    rows = clips.table(["key", "source_key", "clip_index", "status", "span"])
    assert [
        (row["key"], row["source_key"], row["span"]["start_seconds"], row["span"]["end_seconds"])
        for row in rows.to_pylist()
        if row["source_key"] == "00000000"
    ] == [
        ("00000000_00000", "00000000", 0.0, 1.2),
        ("00000000_00001", "00000000", 1.2, 3.0),
        ("00000000_00002", "00000000", 3.0, 3.8),
    ]
    assert not [name for name in clips.folder.list() if name.endswith(".tar")]


def test_a_virtual_clip_is_as_long_as_its_file_would_be(clips, tmp_path):
    clips.export(tmp_path / "made", quiet=True, **EDIT)
    made = {row["key"]: row for row in clipmill.open(tmp_path / "made").table().to_pylist()}
    for row in clips.table().to_pylist():
        video, length = row["probe"]["video"], row["probe"]["duration_seconds"]
        assert length == pytest.approx(row["span"]["end_seconds"] - row["span"]["start_seconds"])
        assert length == pytest.approx(made[row["key"]]["probe"]["duration_seconds"], abs=0.05)
        assert video["duration_seconds"] == length
        assert (video["frame_count"], video["duration_pts"]) == (None, None)


def test_what_is_not_split_is_one_clip_and_what_failed_before_is_left_out(clips):
    rows = clips.table(["source_key", "status"]).to_pylist()
    assert [row["source_key"] for row in rows].count("00000001") == 1
    assert {row["status"] for row in rows} == {"success"}
    assert "00000002" not in [row["source_key"] for row in rows]


def test_a_run_tells_which_rows_of_its_input_were_left_out(clips, tmp_path):
    raw = Path(clips.folder.root).parent / "raw"
    steps = [{"split": {"detector": "whole"}}]
    given = {"source": {"path": str(raw)}, "steps": steps, "write": {"to": str(tmp_path / "out")}}
    report = run_recipe(load_recipe(given), quiet=True)
    assert report.left_out == {"truncated": 1}
    assert (
        "Left out: 1 row of the input that failed or were dropped there (1 x truncated)."
        in report_lines(report)
    )


def test_every_source_keeps_its_cuts_and_what_was_decoded_for_it(clips):
    first, second = sources(clips.folder.local())
    assert [cut["seconds"] for cut in first["cuts"]] == [1.2, 3.0]
    assert first["clip_count"] == 3
    assert first["decoded_seconds"] == pytest.approx(3.8)
    assert second["cuts"] == []


def test_one_pass_makes_the_same_clips_bit_for_bit_with_one_decode(videos, clips, tmp_path):
    exported = clips.export(tmp_path / "exported", **EDIT, quiet=True)
    at_once = fused(videos, tmp_path / "fused")
    assert members(tmp_path / "fused") == members(tmp_path / "exported") != {}
    first = sources(tmp_path / "fused")[0]
    assert first["decoded_seconds"] == pytest.approx(3.8)
    assert first["encoded_seconds"] == pytest.approx(3.8, abs=0.2)
    columns = ["key", "uid", "source_key", "clip_index", "span", "rendered", "probe", "media"]
    there = at_once.table(columns).to_pylist()
    assert exported.table(columns).to_pylist() == [row for row in there if row["media"]]


def test_one_pass_makes_several_files_of_a_clip_the_same_too(clips, videos, tmp_path):
    wanted = {"video": "mp4", "audio": "m4a"}
    clips.export(tmp_path / "exported", **EDIT, encode_formats=wanted, quiet=True)
    fused(videos, tmp_path / "fused", wanted)
    assert members(tmp_path / "fused") == members(tmp_path / "exported")
    assert {Path(name).suffix for name in members(tmp_path / "fused")} == {".mp4", ".m4a"}


def test_clips_that_do_not_fit_into_memory_are_decoded_again_and_the_same(videos, tmp_path):
    fused(videos, tmp_path / "roomy")
    fused(videos, tmp_path / "tight", scene_bytes=1000)
    assert members(tmp_path / "tight") == members(tmp_path / "roomy")
    assert sources(tmp_path / "tight")[0]["decoded_seconds"] == pytest.approx(7.6)


def test_every_input_row_ends_in_one_way_and_counts_add_up(videos, tmp_path):
    dataset = fused(videos, tmp_path / "out")
    rows = dataset.table(["key", "status", "error_class"]).to_pylist()
    assert [row for row in rows if row["status"] != "success"] == [
        {"key": "00000002", "status": "failed_to_process", "error_class": "truncated"}
    ]
    stats = json.loads((tmp_path / "out" / "00000_stats.json").read_text())
    assert (stats["count"], stats["successes"], stats["input_rows"]) == (len(rows), 4, 3)
    assert verify_dataset(dataset).problems == []


def test_a_source_without_a_clip_of_the_right_length_is_dropped_with_the_reason(videos, tmp_path):
    dataset = clipmill.download(videos, tmp_path / "raw", quiet=True)
    clips = dataset.split(tmp_path / "clips", min_seconds=3.5, quiet=True)
    rows = clips.table(["key", "status", "error_class"]).to_pylist()
    assert rows == [
        {"key": "00000000", "status": "dropped", "error_class": "no_clip"},
        {"key": "00000001", "status": "dropped", "error_class": "no_clip"},
    ]


def test_an_empty_list_of_spans_is_no_clip_and_no_list_is_the_whole(videos, tmp_path):
    path = str(videos / "b.mp4")
    rows = [{"url": path, "clips": spans} for spans in ([[1, 2], [0, 0.5]], [], None)]
    clips = clipmill.download(
        rows, tmp_path / "raw", clip_col="clips", allow_local_paths=True, quiet=True
    ).split(tmp_path / "clips", detector="column", clip_col="clips", quiet=True)
    table = clips.table(["source_key", "status", "error_class", "error_message", "span"])
    assert [
        (*list(row.values())[:-1], row["span"] and row["span"]["start_seconds"])
        for row in table.to_pylist()
    ] == [
        ("00000000", "success", None, None, 1.0),
        ("00000000", "success", None, None, 0.0),
        ("00000001", "dropped", "no_clip", "its list of spans is empty", None),
        ("00000002", "success", None, None, 0.0),
    ]


def test_clips_find_their_sources_where_the_parent_lies_now(clips, tmp_path):
    moved = tmp_path / "moved"
    parent = clips.folder.local().parent / "raw"
    parent.rename(moved)
    try:
        with pytest.raises(InputError, match=f"{parent}.*parent"):
            clips.export(tmp_path / "lost", **EDIT, quiet=True)
        assert not (tmp_path / "lost").exists()
        found = clips.export(tmp_path / "found", **EDIT, parent=str(moved), quiet=True)
        assert found.stats["00000"]["successes"] == 4
    finally:
        moved.rename(parent)


def test_whole_samples_can_be_rendered_too(videos, tmp_path):
    raw = clipmill.download(videos, tmp_path / "raw", quiet=True)
    small = raw.export(tmp_path / "small", short_side=48, quiet=True)
    (row, _) = small.table(["key", "probe"]).to_pylist()
    assert (row["key"], row["probe"]["video"]["height"]) == ("00000000", 48)


def test_clips_that_were_rendered_can_be_rendered_again_as_a_whole(videos, tmp_path):
    once = fused(videos, tmp_path / "once")
    again = once.export(tmp_path / "again", short_side=32, quiet=True)
    lengths = [
        [row["rendered"]["frame_count"] for row in each.table().to_pylist() if row["rendered"]]
        for each in (once, again)
    ]
    assert lengths[0] == lengths[1]


def test_clips_that_are_not_rendered_take_no_format():
    with pytest.raises(RecipeError, match=r"write\.format has no effect"):
        load_recipe({"split": {}, "write": {"to": "x", "format": "files"}})


def test_links_cannot_be_split_without_keeping_anything_of_them(tmp_path):
    (tmp_path / "links.csv").write_text("url\nhttps://example.org/a.mp4\n")
    recipe = load_recipe(
        {
            "source": {"path": str(tmp_path / "links.csv")},
            "split": {},
            "write": {"to": str(tmp_path / "out")},
        }
    )
    with pytest.raises(RecipeError, match="add the step render"):
        run_recipe(recipe, quiet=True)
    assert not (tmp_path / "out").exists()


def test_a_step_that_is_not_there_leaves_fingerprints_as_they_were():
    assert "split" not in Recipe().identity()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"encode_formats": {"video": "webm"}}, "h264 video cannot be put into webm"),
        ({"audio_codec": "opus", "encode_formats": {"audio": "m4a"}}, "opus sound cannot"),
    ],
)
def test_codecs_that_their_container_does_not_hold_are_said_before(
    clips, tmp_path, settings, words
):
    with pytest.raises(RecipeError, match=words):
        clips.export(tmp_path / "out", quiet=True, **settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"encoder": "nope"}, "nope cannot be used for h264: there is no.*libx264 can"),
        ({"encoder": "libx265"}, "libx265 cannot be used for h264: it makes hevc"),
        ({"encoder": "h264"}, "the name of a codec, of which libx264 is an encoder"),
        ({"preset": "nope"}, "libx264 has no preset nope; it knows ultrafast"),
        ({"video_codec": "av1", "preset": "14"}, "libsvtav1 has no preset 14"),
        ({"crf": 99}, "crf must be from 0 to 51 for h264"),
        ({"crf": -1}, "crf must be from 0 to 51 for h264"),
        ({"video_codec": "vp9", "crf": 64}, "crf must be from 0 to 63 for vp9"),
        ({"fps": 0}, r"fps: must be from 0\.001 to 1000"),
        ({"fps": float("inf")}, r"fps: must be from 0\.001 to 1000"),
        ({"short_side": -2}, "short_side: must be from 1 to 16384"),
        ({"width": 0, "height": 9}, "width: must be from 1 to 16384"),
        ({"audio_sample_rate": 7}, "audio_sample_rate: must be from 4000 to 384000"),
        ({"images": 10**11}, "images: at most 10,000"),
    ],
)
def test_settings_that_no_clip_can_be_made_with_are_said_before(clips, tmp_path, settings, words):
    with pytest.raises(RecipeError, match=words):
        clips.export(tmp_path / "out", quiet=True, **settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", ["files", "webdataset"])
def test_nothing_is_written_where_the_sources_lie(tmp_path, layout):
    (tmp_path / "videos").mkdir()
    make_video(tmp_path / "videos" / "a.mp4", seconds=2)
    raw = clipmill.download(tmp_path / "videos", tmp_path / "raw", format=layout, quiet=True)
    clips = raw.split(tmp_path / "clips", detector="stride", stride_seconds=1, quiet=True)
    (tmp_path / "link").symlink_to(tmp_path / "raw")
    there = {path: path.read_bytes() for path in (tmp_path / "raw").rglob("*") if path.is_file()}
    for dataset in (clips, raw):
        for output in (tmp_path / "raw", tmp_path / "link"):
            with pytest.raises(OutputError, match="holds the sources that are read"):
                dataset.export(output, format=layout, mode="overwrite", quiet=True)
    assert (
        there.items()
        <= {
            path: path.read_bytes() for path in (tmp_path / "raw").rglob("*") if path.is_file()
        }.items()
    )


def test_splitting_by_a_column_needs_one(videos, tmp_path):
    clipmill.download(videos, tmp_path / "raw", quiet=True)
    with pytest.raises(RecipeError, match="clip_col"):
        clipmill.open(tmp_path / "raw").split(tmp_path / "out", detector="column", quiet=True)


def test_a_virtual_clip_whose_source_became_unreadable_is_still_that_clip(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    source = make_video(folder / "a.mp4", seconds=2)
    clipmill.download(folder, tmp_path / "raw", format="files", quiet=True)
    raw = clipmill.open(tmp_path / "raw")
    clips = raw.split(tmp_path / "clips", detector="stride", stride_seconds=1, quiet=True)
    (stored,) = (tmp_path / "raw").rglob("*.mp4")
    stored.write_bytes(source.read_bytes()[:100])
    made = clips.export(tmp_path / "out", failure_budget=1, quiet=True)
    rows = made.table(["status", "source_key", "clip_index", "span"]).to_pylist()
    assert {row["status"] for row in rows} == {"failed_to_process"}
    assert [(row["source_key"], row["clip_index"]) for row in rows] == [
        ("00000000", 0),
        ("00000000", 1),
    ]
    assert [row["span"]["start_seconds"] for row in rows] == [0, 1]


@pytest.mark.parametrize("steps", [["render"], ["split", "render"]])
def test_a_source_that_lacks_what_clips_are_made_of_fails_and_is_no_success(tmp_path, steps):
    (tmp_path / "videos").mkdir()
    make_video(tmp_path / "videos" / "silent.mp4", seconds=2, audio=None)
    recipe = {
        "source": {"path": str(tmp_path / "videos")},
        **{step: {} for step in steps},
        "write": {"to": str(tmp_path / "out"), "encode_formats": {"audio": "m4a"}},
        "run": {"failure_budget": 1},
    }
    run_recipe(load_recipe(recipe), quiet=True)
    rows = clipmill.open(tmp_path / "out").table(["status", "error_class"]).to_pylist()
    assert rows == [{"status": "failed_to_process", "error_class": "no_audio_stream"}]


@pytest.mark.parametrize("kept_in", ["videos", "raw"])
def test_clips_are_not_made_of_another_file_than_they_were_found_in(tmp_path, kept_in):
    (tmp_path / "videos").mkdir()
    make_video(tmp_path / "videos" / "a.mp4", seconds=2)
    make_video(tmp_path / "videos" / "b.mp4", seconds=3)
    clipmill.download(tmp_path / "videos", tmp_path / "raw", format="files", quiet=True)
    split(tmp_path / kept_in, tmp_path / "clips")
    clips = clipmill.open(tmp_path / "clips")
    shutil.copytree(tmp_path / kept_in, tmp_path / "moved")
    moved = clips.export(tmp_path / "same", parent=str(tmp_path / "moved"), quiet=True)
    assert moved.stats["00000"]["successes"] == 5
    replaced = sorted((tmp_path / kept_in).rglob("*.mp4"))[0]
    make_video(replaced, seconds=2, audio=None)
    made = clips.export(tmp_path / "out", failure_budget=1, quiet=True)
    rows = made.table(["source_key", "error_class"]).to_pylist()
    assert [row["error_class"] for row in rows] == [*["source_changed"] * 2, *[None] * 3]


def test_tables_that_do_not_say_what_their_sources_were_go_on_as_before(tmp_path):
    (tmp_path / "videos").mkdir()
    make_video(tmp_path / "videos" / "a.mp4", seconds=2)
    split(tmp_path / "videos", tmp_path / "clips")
    path = tmp_path / "clips" / "00000.parquet"
    table = pq.read_table(path)
    places = [
        [{name: value for name, value in ref.items() if name != "sha256"} for ref in refs]
        for refs in table.column("source_media").to_pylist()
    ]
    number = table.column_names.index("source_media")
    pq.write_table(table.set_column(number, "source_media", pa.array(places)), path)
    make_video(tmp_path / "videos" / "a.mp4", seconds=2, audio=None)
    made = clipmill.open(tmp_path / "clips").export(tmp_path / "out", quiet=True)
    assert made.stats["00000"]["successes"] == 2


def split(source: Path, output: Path) -> None:
    """Clips of a second each."""
    recipe = {
        "source": {"path": str(source)},
        "split": {"detector": "stride", "stride_seconds": 1},
        "write": {"to": str(output)},
    }
    run_recipe(load_recipe(recipe), quiet=True)


def test_without_opencv_all_works_that_looks_at_no_picture(videos, tmp_path, monkeypatch):
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    (lacking / "cv2.py").write_text("raise ModuleNotFoundError('no cv2', name='cv2')\n")
    monkeypatch.setenv("PYTHONPATH", str(lacking))
    raw = clipmill.download(videos, tmp_path / "raw", quiet=True)
    clips = raw.split(tmp_path / "clips", detector="stride", stride_seconds=2, quiet=True)
    exported = clips.export(tmp_path / "exported", **EDIT, quiet=True)
    assert exported.stats["00000"]["successes"] == 4
