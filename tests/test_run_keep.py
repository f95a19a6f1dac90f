"""A run that makes clips keeps its sources: the dataset that downloading alone would have made."""

import json
from pathlib import Path

import pytest

import clipmill
from clipmill.core.errors import OutputError, RecipeError
from clipmill.dataset.verify import verify_dataset
from clipmill.demo.media import make_video
from clipmill.demo.server import Origin
from clipmill.run.explain import explain
from clipmill.run.recipe_file import load_recipe
from clipmill.run.runner import run_recipe
from clipmill.run.source_spec import SourceSpec
from clipmill.run.work import RunReport

EDIT = {"short_side": 48, "fps": 10}
SPLIT = {"detector": "stride", "stride_seconds": 1}
HERE = {"allow_private_addresses": True, "retries": 0}


@pytest.fixture(scope="module")
def origin(media):
    with Origin(media) as running:
        yield running


@pytest.fixture(scope="module")
def links(origin, media, tmp_path_factory) -> Path:
    """Two videos, one of them in another container and wanted twice, and one that is not there."""
    make_video(media / "d.mkv", seconds=1.5, fps=25)
    table = tmp_path_factory.mktemp("links") / "links.csv"
    names = ["a.mp4", "d.mkv", "nothing.mp4", "d.mkv"]
    table.write_text("url,caption\n" + "".join(f"{origin.url(n)},{n}\n" for n in names))
    return table


@pytest.fixture(scope="module")
def made(links, tmp_path_factory) -> Path:
    """A folder with the datasets raw and clips, made by one run."""
    folder = tmp_path_factory.mktemp("made")
    assert run(links, folder).exit_code == 0
    return folder


def recipe(links: Path, folder: Path, **changes):
    steps = {"download": HERE, "keep": str(folder / "raw"), "split": SPLIT, "render": EDIT}
    return load_recipe(
        {
            "source": {"path": str(links), "caption_col": "caption"},
            "steps": [{name: step} for name, step in {**steps, **changes}.items()],
            "write": {"to": str(folder / "clips"), "samples_per_shard": 3},
            "run": {"workers": 1},
        }
    )


def run(links: Path, folder: Path, mode="auto", **changes) -> RunReport:
    return run_recipe(recipe(links, folder, **changes), mode=mode, quiet=True)


def rows(folder: Path) -> list[dict]:
    """Rows without what tells of the time."""
    found = clipmill.open(folder).table().to_pylist()
    for row in found:
        for name in ("seconds", "fetched_at"):
            (row.get("fetch") or {}).pop(name, None)
    return found


def media_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.tar")}


def test_sources_are_kept_as_downloading_alone_would(links, made, tmp_path):
    settings = {**HERE, "samples_per_shard": 3, "caption_col": "caption", "quiet": True}
    clipmill.download(links, tmp_path / "raw", **settings)
    assert rows(made / "raw") == rows(tmp_path / "raw")
    assert media_files(made / "raw") == media_files(tmp_path / "raw") != {}
    kept, alone = (json.loads((f / "raw" / "dataset.json").read_text()) for f in (made, tmp_path))
    assert {**kept, "run": 0, "recipe": 0} == {**alone, "run": 0, "recipe": 0}


def test_clips_are_those_that_a_split_of_the_kept_and_an_export_give(made, tmp_path):
    virtual = clipmill.open(made / "raw").split(tmp_path / "virtual", **SPLIT, quiet=True)
    virtual.export(tmp_path / "clips", **EDIT, quiet=True)
    names = ["key", "source_key", "clip_index", "span", "rendered", "probe", "caption", "media"]
    there = [row for row in rows(made / "clips") if row["status"] == "success"]
    again = rows(tmp_path / "clips")
    for row in (*there, *again):
        for place in filter(None, row["media"].values()):
            del place["offset"]  # they lie in shards of other sizes
    assert [[row[n] for n in names] for row in there] == [[row[n] for n in names] for row in again]


def test_both_datasets_account_for_every_row_and_are_whole(links, made):
    lost = [row for row in rows(made / "clips") if row["status"] != "success"]
    assert [(row["key"], row["error_class"]) for row in lost] == [("000002", "http_status")]
    assert [row["status"] for row in rows(made / "raw")].count("success") == 3
    for name in ("raw", "clips"):
        assert verify_dataset(clipmill.open(made / name)).problems == []
    assert run(links, made).counts.count == 0  # all done: nothing is fetched again


def test_a_shard_that_one_of_both_lost_is_made_again_in_both(links, made):
    before = [rows(made / name) for name in ("raw", "clips")]
    (made / "raw" / "00001_stats.json").unlink()
    assert run(links, made).shards_done == 2
    assert [rows(made / name) for name in ("raw", "clips")] == before


def test_a_source_whose_clips_cannot_be_made_is_kept_in_a_layout_of_its_own(links, tmp_path):
    keep = {"to": str(tmp_path / "raw"), "format": "files", "encode_formats": "video=original"}
    run(links, tmp_path, keep=keep, split={**SPLIT, "max_clips": 1, "stride_seconds": 0.1})
    assert "success" not in [row["status"] for row in rows(tmp_path / "clips")]
    raw = clipmill.open(tmp_path / "raw")
    assert {path.suffix for path in (tmp_path / "raw").rglob("*.m*")} == {".mp4", ".mkv"}
    assert verify_dataset(raw).problems == []


def test_new_rows_extend_both(origin, links, tmp_path):
    table = tmp_path / "links.csv"
    table.write_text("\n".join(links.read_text().splitlines()[:2]) + "\n")
    run(table, tmp_path)
    with table.open("a") as file:
        file.write(f"{origin.url('b.mp4')},new\n")
    run(table, tmp_path, mode="extend")
    for name in ("raw", "clips"):
        found = rows(tmp_path / name)
        assert {row["caption"] for row in found if row["key"].startswith("00001")} == {"new"}
        assert {row["caption"] for row in found if row["key"].startswith("00000")} == {"a.mp4"}
        assert verify_dataset(clipmill.open(tmp_path / name)).problems == []


def test_a_dataset_of_its_own_is_not_written_over(links, tmp_path):
    clipmill.download(links, tmp_path / "raw", **HERE, quiet=True)
    before = media_files(tmp_path / "raw")
    for mode in ("auto", "overwrite"):
        with pytest.raises(OutputError, match="a dataset of its own"):
            run(links, tmp_path, mode=mode)
    assert media_files(tmp_path / "raw") == before
    assert not (tmp_path / "clips").exists()


def test_sources_that_are_gone_are_told(links, made):
    (made / "raw").rename(made / "elsewhere")
    with pytest.raises(OutputError, match="not there any more"):
        run(links, made)
    assert not (made / "raw").exists()
    (made / "elsewhere").rename(made / "raw")


@pytest.mark.parametrize("inside", ["clips", "clips/raw", "."])
def test_both_need_folders_side_by_side(links, tmp_path, inside):
    with pytest.raises(OutputError, match="side by side"):
        run(links, tmp_path, keep=str(tmp_path / inside))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"keep": "raw"}, "download keeps"),
        ({"keep": "raw", "split": {}}, "recipes that render"),
        ({"keep": {}, "render": {}}, "keep needs a folder"),
        ({"keep": {"to": "raw", "encode_formats": "audio=m4a"}, "render": {}}, "must have video"),
    ],
)
def test_what_cannot_be_kept_is_refused(data, words):
    with pytest.raises(RecipeError, match=words):
        load_recipe({**data, "write": {"to": "clips"}})


def test_media_of_a_dataset_are_there_already(made, tmp_path):
    given = recipe(made / "raw", tmp_path)
    with pytest.raises(RecipeError, match="leave keep out"):
        run_recipe(given.model_copy(update={"source": SourceSpec(path=str(made / "raw"))}))


def test_explaining_tells_where_sources_are_kept(links, tmp_path):
    told = explain(recipe(links, tmp_path)).lines()
    assert any(f"keep sources in {tmp_path / 'raw'} (mp4, webdataset)" in line for line in told)
