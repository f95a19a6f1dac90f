"""Steps and conditions within a pass: what is dropped is never encoded, and says why."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

import clipmill
from clipmill.cli import status
from clipmill.core.errors import UserError
from clipmill.dataset.status import dataset_status
from clipmill.demo.media import make_video
from clipmill.run.recipe_file import load_recipe
from clipmill.run.retry import retry_dataset
from clipmill.run.runner import run_recipe

STEPS = """
import clipmill
from clipmill.demo.media import read_frame_number

@clipmill.step(wants=clipmill.Frames(count=1), columns={"number": "int64"})
def middle(seen):
    "The number painted on the frame in the middle."
    number = read_frame_number(seen.frames[0])
    if 500 <= number < 525:
        raise ValueError("not to be judged")
    return number
"""
MODEL = """
import clipmill, pyarrow as pa
from clipmill.steps.base import InBatches

class Model(InBatches):
    "How many samples came at once, and which columns of the row."
    name = "model"
    wants = clipmill.Frames(count=1, size=(8, 8))
    reads = ("source_key",)
    columns = pa.schema([("at_once", pa.int64()), ("reads", pa.string())])

    def annotate(self, batch):
        return [{"at_once": len(batch), "reads": ",".join(seen.row)} for seen in batch]
"""
SPLIT = {"detector": "stride", "stride_seconds": 1}
EDIT = {"short_side": 64, "fps": 5}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judge") / "videos"
    folder.mkdir()
    make_video(folder / "a.mp4", seconds=3, fps=25, gop=10)
    make_video(folder / "b.mp4", seconds=2, fps=25, first_number=500)
    (folder.parent / "steps.py").write_text(STEPS)
    return folder


def recipe(videos: Path, output: Path, *steps: dict, **more) -> dict:
    return {
        "source": {"path": str(videos)},
        "modules": str(videos.parent / "steps.py"),
        "steps": list(steps),
        "write": {"to": str(output)},
        **more,
    }


def run(videos: Path, output: Path, *steps: dict, **more) -> clipmill.Dataset:
    run_recipe(load_recipe(recipe(videos, output, *steps, **more)), quiet=True)
    return clipmill.open(output)


def members(dataset: clipmill.Dataset) -> dict[str, bytes]:
    with tarfile.open(Path(dataset.folder.root) / "00000.tar") as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}
    return {name: data for name, data in files.items() if name.endswith(".mp4")}


@pytest.fixture(scope="module")
def kept(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> clipmill.Dataset:
    return run(
        videos,
        tmp_path_factory.mktemp("kept") / "out",
        {"split": SPLIT},
        {"where": "clip_index < 2"},
        {"annotate": "middle"},
        {"where": "middle.number > 20"},
        {"render": EDIT},
    )


def test_every_clip_is_made_or_says_why_it_was_dropped(kept):
    rows = kept.table(["key", "status", "error_step", "error_class", "error_message"]).to_pylist()
    assert {row["key"]: (row["status"], row["error_class"]) for row in rows} == {
        "00000000_00000": ("dropped", "where"),
        "00000000_00001": ("success", None),
        "00000000_00002": ("dropped", "where"),
        "00000001_00000": ("dropped", "unknown"),
        "00000001_00001": ("success", None),
    }
    told = {row["key"]: row["error_message"] for row in rows}
    assert told["00000000_00000"] == "not so: middle.number > 20"
    assert told["00000000_00002"] == "not so: clip_index < 2"
    assert "ValueError: not to be judged" in told["00000001_00000"]
    assert list(members(kept)) == ["00000000_00001.mp4", "00000001_00001.mp4"]


def test_dropped_rows_are_not_counted_as_failures(kept, capsys):
    told = dataset_status(kept)
    assert (told.dropped, told.failed) == (3, 0)
    assert (told.drop_reasons, told.error_classes) == ({"where": 2, "unknown": 1}, {})
    assert ("not so: clip_index < 2", 1) in told.top_drop_messages
    assert told.top_messages == []
    status.command(kept.folder.url)
    printed = capsys.readouterr().out
    assert "  dropped    3 (where 2, unknown 1)\n" in printed
    assert "failures by class" not in printed


def test_what_steps_said_is_kept_of_dropped_clips_too(kept):
    found = kept.table(["key", "middle.number", "middle.status"]).to_pylist()
    assert [(row["middle.number"], row["middle.status"]) for row in found] == [
        (12, "success"),
        (37, "success"),
        (None, None),  # dropped before anything was looked at
        (None, "failed"),
        (537, "success"),
    ]


def test_the_clips_are_those_of_split_and_export(kept, videos, tmp_path):
    clips = clipmill.download(videos, tmp_path / "raw", quiet=True)
    clips = clips.split(tmp_path / "clips", **SPLIT, quiet=True)
    all_of_them = members(clips.export(tmp_path / "all", **EDIT, quiet=True))
    assert members(kept).items() <= all_of_them.items()


def test_annotating_again_finds_all_there(kept, videos):
    before = kept.folder.read_bytes(f"columns/{_group(kept)}/00000.parquet")
    again = kept.annotate("middle", modules=[str(videos.parent / "steps.py")], quiet=True)
    assert again.table(["middle.number"]).column(0).to_pylist()[1] == 37
    assert _group(kept) == _group(again)
    assert kept.folder.read_bytes(f"columns/{_group(kept)}/00000.parquet") == before


def _group(dataset: clipmill.Dataset) -> str:
    return next(Path(dataset.folder.root, "columns").iterdir()).name


def test_batches_hold_the_clips_of_a_source_together(videos, tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    steps = {"split": SPLIT}, {"annotate": "model"}, {"where": "model.at_once > 1"}
    data = run(
        videos, tmp_path / "out", *steps, modules=str(tmp_path / "model.py"), run={"workers": 1}
    )
    rows = data.table(["status", "model.at_once", "model.reads"]).to_pylist()
    assert {(row["status"], row["model.reads"]) for row in rows} == {("success", "source_key")}


def test_whole_samples_are_judged_before_they_are_written(videos, tmp_path):
    data = run(videos, tmp_path / "out", {"annotate": "middle"}, {"where": "middle.number < 100"})
    rows = data.table(["key", "status", "middle.number"]).to_pylist()
    assert [(row["status"], row["middle.number"]) for row in rows] == [
        ("success", 37),
        ("dropped", 525),
    ]
    assert list(members(data)) == ["00000000.mp4"]


def test_virtual_clips_are_judged_too(videos, tmp_path):
    clipmill.download(videos, tmp_path / "raw", quiet=True)
    data = run(
        tmp_path / "raw",
        tmp_path / "out",
        {"split": SPLIT},
        {"where": "clip_index = 0"},
        modules=[],
    )
    assert data.table(["status"]).column(0).to_pylist().count("success") == 2


def test_a_retry_keeps_what_was_said_of_the_others(videos, tmp_path, origin, write_csv):
    urls = [origin.url("a.mp4"), origin.url("b.mp4", "flaky", times=1)]
    table = write_csv([{"url": url} for url in urls])
    steps = [{"annotate": "middle"}, {"where": "middle.number >= 0"}, {"render": EDIT}]
    more = {"download": {"allow_private_addresses": True, "retries": 0}}
    given = recipe(videos, tmp_path / "out", *steps, **more)
    run_recipe(load_recipe({**given, "source": {"path": str(table)}}), quiet=True)
    data = clipmill.open(tmp_path / "out")
    first = data.table(["status", "middle.number"]).to_pylist()
    assert [row["status"] for row in first] == ["success", "failed_to_download"]
    retry_dataset(str(tmp_path / "out"), quiet=True)
    again = clipmill.open(tmp_path / "out").table(["status", "middle.number"]).to_pylist()
    assert again[0] == first[0]
    assert again[1]["status"] == "success"
    assert again[1]["middle.number"] is not None


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("middle.numbre > 1", "Did you mean 'middle.number'"),
        ("middle.number >", "middle.number >"),
        ("middle.number", "is no condition"),
        ("middle.number > 'ten'", "'ten' is compared with a value of type BIGINT"),
        ("media.mp4.size > 1", "no column"),
        (True, "True is no text: put it in quotes"),
    ],
)
def test_a_wrong_condition_is_told_before_anything_is_written(videos, tmp_path, where, message):
    with pytest.raises(UserError, match=message):
        run(videos, tmp_path / "out", {"annotate": "middle"}, {"where": where})
    assert not (tmp_path / "out").exists()
