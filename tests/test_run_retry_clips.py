"""Clips that failed are made again: in the end all is as if it had succeeded the first time."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import clipmill
from clipmill.core.errors import UserError
from clipmill.dataset.verify import verify_dataset
from clipmill.run.recipe_file import load_recipe
from clipmill.run.retry import retry_dataset
from clipmill.run.runner import run_recipe
from load_tars import write_tar
from scene_media import scenes, write_pictures

SPLIT = {"detector": "stride", "stride_seconds": 1}
EDIT = {"short_side": 32, "fps": 5}


def told(folder: Path) -> tuple[list[dict], list[dict], dict[str, bytes]]:
    """All that a dataset holds but what tells of the time: rows, sources, media."""
    dataset = clipmill.open(folder)
    rows = dataset.table().to_pylist()
    has_sources = (folder / "_sources").exists()
    sources = dataset.sources().to_pylist() if has_sources else []
    for row in (*rows, *sources):
        for name in ("seconds", "fetched_at", "attempts"):
            (row.get("fetch") or {}).pop(name, None)
    return rows, sources, {path.name: path.read_bytes() for path in folder.glob("*.tar")}


@pytest.fixture
def videos(tmp_path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(3):
        write_pictures(folder / f"{number}.mp4", scenes([20, 20 + number], seed=number))
    return folder


def spoilt(path: Path) -> Callable[[], None]:
    """Cut a file short; what it returns puts it back."""
    was, times = path.read_bytes(), path.stat()

    def mend() -> None:
        path.write_bytes(was)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    path.write_bytes(was[:200])
    return mend


@pytest.mark.parametrize("keep", [False, True])
def test_links_that_failed_become_clips_in_their_places(origin, write_csv, tmp_path, keep):
    urls = [origin.url("a.mp4"), origin.url("b.mp4", "flaky", times=1), origin.url("c.mp4")]
    table = write_csv([{"url": url} for url in urls])

    def run(folder: Path) -> None:
        recipe = {
            "source": {"path": str(table)},
            "download": {"allow_private_addresses": True, "retries": 0},
            **({"keep": str(folder / "raw")} if keep else {}),
            "split": SPLIT,
            "render": EDIT,
            "write": {"to": str(folder / "clips"), "samples_per_shard": 2},
            "run": {"workers": 1},
        }
        run_recipe(load_recipe(recipe), quiet=True)

    wild, calm = tmp_path / "wild", tmp_path / "calm"
    run(wild)
    statuses = [row["status"] for row in told(wild / "clips")[0]]
    assert statuses.count("failed_to_download") == 1
    assert retry_dataset(str(wild / "clips"), quiet=True).exit_code == 0
    assert origin.count("c.mp4") == 1  # its shard had nothing to try again
    run(calm)  # the flaky link is well by now
    for name in ["clips", *["raw"] * keep]:
        assert told(wild / name) == told(calm / name)
        assert verify_dataset(clipmill.open(wild / name)).problems == []


def test_virtual_clips_of_a_source_that_failed_are_found_again(videos, tmp_path):
    raw = clipmill.download(videos, tmp_path / "raw", format="files", quiet=True)
    raw.split(tmp_path / "calm", **SPLIT, quiet=True)
    (stored,) = (tmp_path / "raw").rglob("00000001.mp4")
    mend = spoilt(stored)
    raw.split(tmp_path / "clips", **SPLIT, failure_budget=1, quiet=True)
    assert [row["status"] for row in told(tmp_path / "clips")[0]].count("failed_to_process") == 1
    mend()
    retry_dataset(str(tmp_path / "clips"), every=True, quiet=True)
    assert told(tmp_path / "clips") == told(tmp_path / "calm")


def test_exported_clips_that_failed_are_made_again_and_others_stay(videos, tmp_path):
    raw = clipmill.download(videos, tmp_path / "raw", format="files", quiet=True)
    clips = raw.split(tmp_path / "clips", **SPLIT, quiet=True)
    clips.export(tmp_path / "calm", **EDIT, quiet=True)
    (stored,) = (tmp_path / "raw").rglob("00000001.mp4")
    mend = spoilt(stored)
    clips.export(tmp_path / "out", **EDIT, failure_budget=1, quiet=True)
    (failed,) = {row["error_class"] for row in told(tmp_path / "out")[0]} - {None}
    mend()
    report = retry_dataset(str(tmp_path / "out"), classes=[failed], quiet=True)
    assert report.counts.successes == 2  # the clips of that source
    assert told(tmp_path / "out") == told(tmp_path / "calm")
    assert verify_dataset(clipmill.open(tmp_path / "out")).problems == []


def test_a_sample_named_as_a_clip_of_the_one_before_is_still_another(videos, tmp_path):
    whole = (videos / "0.mp4").read_bytes()
    (tmp_path / "raw").mkdir()
    write_tar(tmp_path / "raw" / "0.tar", {"a": {"mp4": whole}, "a_00000": {"mp4": whole[:200]}})
    recipe = {"source": {"path": str(tmp_path / "raw")}, "steps": [{"split": SPLIT}]}
    run_recipe(load_recipe({**recipe, "write": {"to": str(tmp_path / "clips")}}), quiet=True)
    before = told(tmp_path / "clips")
    assert [(row["key"], row["status"]) for row in before[0]] == [
        ("a_00000", "success"),
        ("a_00001", "success"),
        ("a_00000", "failed_to_process"),
    ]
    assert retry_dataset(str(tmp_path / "clips"), every=True, quiet=True).counts.count == 1
    assert told(tmp_path / "clips") == before


def test_clips_keep_their_order_and_so_their_shards(videos, tmp_path):
    raw = clipmill.download(videos, tmp_path / "raw", quiet=True)
    raw.split(tmp_path / "clips", **SPLIT, quiet=True)
    with pytest.raises(UserError, match="leave out --as-new-shards"):
        retry_dataset(str(tmp_path / "clips"), as_new_shards=True, quiet=True)
