"""A dataset from anywhere may name any file; it is given no other than its own."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from clipmill.core.errors import InputError
from clipmill.sources.base import MEDIA_COLUMN, Part, Source
from clipmill.sources.open import open_source
from clipmill.sources.row_media import OwnFolder

CELL = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
PLACE = pa.struct([("offset", pa.int64()), ("size", pa.int64()), ("sha256", pa.string())])


def rows(source: Source) -> list[dict]:
    tables = [source.read(Part(i, 0, file.rows)) for i, file in enumerate(source.files())]
    return pa.concat_tables(tables).to_pylist()


def named(tmp_path: Path) -> dict[str, str]:
    """Names that a table may hold, and what each becomes a URL as; its own file is none."""
    folder = tmp_path / "dataset"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "own.mp4").write_bytes(b"own")
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"secret")
    (folder / "link.mp4").symlink_to(secret)
    (folder / "linked").symlink_to(tmp_path)
    return {
        str(secret): str(secret),
        "../secret.mp4": f"{folder}/../secret.mp4",
        "inner/../../secret.mp4": f"{folder}/inner/../../secret.mp4",
        "link.mp4": f"{folder}/link.mp4",
        "linked/secret.mp4": f"{folder}/linked/secret.mp4",
        "http://169.254.169.254/latest": "http://169.254.169.254/latest",
        f"file://{secret}": f"file://{secret}",
        "zip://a.mp4::file:///b.zip": "zip://a.mp4::file:///b.zip",
        "hf://datasets/me/mine/a.mp4": "hf://datasets/me/mine/a.mp4",
    }


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_cell_that_names_what_is_not_its_own_gives_a_url_to_be_judged(tmp_path: Path, kind: str):
    urls = named(tmp_path)
    cells = [{"bytes": None, "path": name} for name in ["inner/own.mp4", *urls]]
    table = pa.table({"video": pa.array(cells, CELL)})
    folder = tmp_path / "dataset"
    if kind == "parquet":
        pq.write_table(table, folder / "train-00000-of-00001.parquet")
    else:
        Dataset(table).save_to_disk(folder)
    own, *others = rows(open_source(str(folder), kind="hub"))
    assert [ref["path"] for ref in own[MEDIA_COLUMN]] == [f"{folder}/inner/own.mp4"]
    assert [row[MEDIA_COLUMN] for row in others] == [None] * len(urls)
    assert [row["url"] for row in others] == list(urls.values())


def test_keys_and_links_of_a_shard_do_not_lead_out_of_it(tmp_path: Path):
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    folder = tmp_path / "dataset"
    (folder / "00000").mkdir(parents=True)
    (folder / "00000" / "own.mp4").write_bytes(b"own")
    (folder / "00000" / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    keys = ["own", "link", "../../secret"]
    facts = {"key": keys, "status": ["success"] * 3}
    places = pa.array([{"mp4": {"size": 3}}] * 3, pa.struct([("mp4", PLACE)]))
    for table in (pa.table({**facts, "media": places}), pa.table(facts)):
        pq.write_table(table, folder / "00000.parquet")
        found = [row[MEDIA_COLUMN] for row in rows(open_source(str(folder), kind="shards"))]
        assert found[1:] == [None, None]
        assert [ref["path"] for ref in found[0]] == [f"{folder}/00000/own.mp4"]


def test_files_beside_a_remote_table(tmp_path: Path):
    bucket = OwnFolder("s3://bucket/data")
    assert bucket.file("a/b.mp4") == "s3://bucket/data/a/b.mp4"
    assert bucket.file("../b.mp4") is bucket.file("%2e%2e/b.mp4") is None
    web = OwnFolder("https://example.com/data")
    assert web.file("a b.mp4") is None
    assert web.url("a b.mp4") == "https://example.com/data/a%20b.mp4"
    assert OwnFolder(f"file://{tmp_path}").file("a.mp4") is None


@pytest.mark.parametrize("name", ["/etc", "../up", "{.,x}./up", "%2e%2e/up", "a::b"])
def test_a_card_names_files_of_the_dataset_only(tmp_path: Path, name: str):
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "a.csv").write_text("url\nx\n")
    folder = tmp_path / "dataset"
    folder.mkdir()
    for config in ({"data_dir": name}, {"data_files": f"{name}/a.csv"}):
        (folder / "README.md").write_text(f"---\nconfigs: [{json.dumps(config)}]\n---\n")
        with pytest.raises(InputError, match="not inside the dataset"):
            open_source(str(folder), kind="hub")


def test_a_saved_dataset_names_files_of_its_own_only(tmp_path: Path):
    state = {"_data_files": [{"filename": "../up.arrow"}]}
    fsspec.filesystem("memory").pipe_file("/own-test/state.json", json.dumps(state).encode())
    with pytest.raises(InputError, match="not inside the dataset"):
        open_source("memory://own-test", kind="hub")
