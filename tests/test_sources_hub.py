"""Hugging Face datasets in their usual shapes, as local folders and over fsspec."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipmill.core.errors import InputError, MissingExtra
from clipmill.io.byte_reader import ByteReader
from clipmill.sources.base import MEDIA_COLUMN, Part, Source, media_ref
from clipmill.sources.columns import Columns
from clipmill.sources.hub import HubSource
from clipmill.sources.open import open_source

CELL = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def rows(source: Source) -> list[dict]:
    files = source.files()
    tables = [source.read(Part(i, 0, file.rows)) for i, file in enumerate(files) if file.rows]
    assert all(table.schema.equals(source.schema()) for table in tables)
    return pa.concat_tables(tables).to_pylist()


def write_parquet(path: Path, **columns: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def test_splits_come_from_file_names(tmp_path: Path):
    write_parquet(tmp_path / "data" / "train-00000-of-00002.parquet", url=["a"], n=[1])
    write_parquet(tmp_path / "data" / "train-00001-of-00002.parquet", url=["b"], n=[2])
    write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", url=["c"], n=[3.5])
    (tmp_path / "README.md").write_text("# A dataset\n")

    source = open_source(str(tmp_path))

    assert isinstance(source, HubSource)
    assert rows(pickle.loads(pickle.dumps(source))) == [
        {"url": "c", "n": 3.5, "split": "test"},
        {"url": "a", "n": 1.0, "split": "train"},
        {"url": "b", "n": 2.0, "split": "train"},
    ]
    chosen = open_source(str(tmp_path), Columns(save_additional_columns=("n",)))
    assert chosen.schema().names == ["url", "n"]


def test_splits_come_from_folders(tmp_path: Path):
    write_parquet(tmp_path / "train" / "0.parquet", url=["a"])
    write_parquet(tmp_path / "validation" / "0.parquet", url=["b"])
    found = rows(open_source(str(tmp_path)))
    assert [(row["url"], row["split"]) for row in found] == [("a", "train"), ("b", "validation")]


@pytest.mark.parametrize(
    "data_files",
    [
        [{"split": "train", "path": "x/*.csv"}, {"split": "extra", "path": ["y/b.csv"]}],
        {"train": "x/*.csv", "extra": "y/b.csv"},
    ],
)
def test_splits_come_from_the_card(tmp_path: Path, data_files):
    for name in ("x/a.csv", "y/b.csv", "y/ignored.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"url\n{name}\n")
    configs = [
        {"config_name": "other", "data_files": "y/ignored.csv"},
        {"config_name": "default", "data_files": data_files},
    ]
    card = f"---\nlicense: mit\nconfigs: {json.dumps(configs)}\n---\n# Title\n"
    (tmp_path / "README.md").write_text(card)
    found = rows(open_source(str(tmp_path)))
    assert [(r["url"], r["split"]) for r in found] == [("x/a.csv", "train"), ("y/b.csv", "extra")]


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("---\nconfigs: [\n---\n", "is not YAML"),
        ("---\nconfigs: [{data_files: '../secret.csv'}]\n---\n", "not inside the dataset"),
        ("---\nconfigs: [{data_files: 'none-*.csv'}]\n---\n", "Nothing matches"),
    ],
)
def test_wrong_cards_are_explained(tmp_path: Path, card: str, message: str):
    (tmp_path / "README.md").write_text(card)
    with pytest.raises(InputError, match=message):
        open_source(str(tmp_path), kind="hub").files()


def test_a_folder_without_data_is_no_dataset(tmp_path: Path):
    (tmp_path / "README.md").write_text("# Nothing\n")
    with pytest.raises(InputError, match="no data files"):
        open_source(str(tmp_path), kind="hub")


def test_video_cells_are_used_where_they_lie(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "beside.mp4").write_bytes(b"file")
    cells = [
        {"bytes": b"one", "path": "1.mp4"},
        {"bytes": None, "path": "beside.mp4"},
        None,
        {"bytes": b"four", "path": None},
    ]
    table = pa.table({"video": pa.array(cells, CELL), "caption": ["a", "b", "c", "d"]})
    path = tmp_path / "data" / "train-00000-of-00001.parquet"
    pq.write_table(table, path, row_group_size=2)

    source = open_source(str(tmp_path), kind="hub")

    found = rows(pickle.loads(pickle.dumps(source)))
    assert [row["caption"] for row in found] == ["a", "b", "c", "d"]
    places = [row[MEDIA_COLUMN] and row[MEDIA_COLUMN][0] for row in found]
    assert places[0] == media_ref(str(path), "video", row=0)
    assert places[1]["path"] == str(tmp_path / "data" / "beside.mp4")
    assert places[2] is None
    assert places[3] == media_ref(str(path), "video", row=3)
    assert [row["url"] for row in found] == [f"{path}#0", f"{path}#1", None, f"{path}#3"]
    assert "video" not in source.schema().names


@pytest.mark.parametrize("in_dict", [False, True])
def test_a_dataset_saved_to_disk(tmp_path: Path, in_dict: bool):
    made = datasets.Dataset.from_dict({"url": ["a", "b", "c"], "n": [1, 2, 3]})
    if in_dict:
        made = datasets.DatasetDict({"train": made, "test": made.select([0])})
    made.save_to_disk(tmp_path / "saved")
    found = rows(open_source(str(tmp_path / "saved")))
    splits = ["train"] * 3 + (["test"] if in_dict else [])
    assert [row["split"] for row in found] == splits
    assert [row["url"] for row in found][:3] == ["a", "b", "c"]


def test_media_in_a_dataset_saved_to_disk_are_read_in_place(tmp_path: Path):
    cells = [{"bytes": b"first", "path": "1.mp4"}, {"bytes": b"second", "path": None}]
    features = datasets.Features(
        {"video": datasets.Video(decode=False), "n": datasets.Value("int64")}
    )
    made = datasets.Dataset.from_dict({"video": cells, "n": [1, 2]}, features=features)
    made.save_to_disk(tmp_path / "saved")

    found = rows(pickle.loads(pickle.dumps(open_source(str(tmp_path / "saved")))))

    assert [row["n"] for row in found] == [1, 2]
    refs = [row[MEDIA_COLUMN][0] for row in found]
    for ref, data in zip(refs, (b"first", b"second"), strict=True):
        with ByteReader(ref["path"]) as file:
            assert file.read(ref["offset"], ref["size"]) == data
    assert [ref["extension"] for ref in refs] == ["mp4", "video"]


def test_a_video_folder_with_splits(tmp_path: Path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.mp4").write_bytes(b"")
        (tmp_path / split / "metadata.csv").write_text(f"file_name,text\na.mp4,{split} caption\n")
    found = rows(open_source(str(tmp_path), Columns(caption_col="text"), kind="hub"))
    assert sorted((row["split"], row["caption"]) for row in found) == [
        ("test", "test caption"),
        ("train", "train caption"),
    ]


def test_a_dataset_over_fsspec_is_read_the_same_way(tmp_path: Path):
    write_parquet(tmp_path / "data" / "train-00000-of-00001.parquet", url=["a", "b"])
    (tmp_path / "README.md").write_text("---\nconfigs: [{data_files: 'data/*.parquet'}]\n---\n")
    fsspec.filesystem("memory").put(f"{tmp_path}/", "/hub-test/", recursive=True)
    found = rows(open_source("memory:///hub-test"))
    assert [row["url"] for row in found] == ["a", "b"]


def test_a_hub_id_needs_its_library(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for given, kind in (("hf://datasets/org/name", None), ("org/name", "hub")):
        with pytest.raises(MissingExtra, match=r"clipmill\[hf\]"):
            open_source(given, kind=kind)


def test_a_hub_that_cannot_be_reached_is_said_in_one_paragraph():
    # In a process of its own: the library reads the hub's address when it is imported.
    code = (
        "from clipmill.core.errors import InputError; "
        "from clipmill.sources.open import open_source\n"
        "try: open_source('hf://datasets/org/name')\n"
        "except InputError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
    )
    (paragraph,) = done.stdout.splitlines()
    assert paragraph.startswith("hf://datasets/org/name cannot be reached: "), done.stderr


def test_a_name_that_is_no_path_is_not_taken_for_a_hub_id():
    with pytest.raises(InputError, match="There is nothing at"):
        open_source("org/name")
