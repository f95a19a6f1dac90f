"""The contract that every registered source keeps; a new source only adds how it is made."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset as wds

from clipmill.core.errors import InputError
from clipmill.core.registry import load, names
from clipmill.sources.base import MEDIA_COLUMN, MEDIA_TYPE, Part, Source
from clipmill.sources.columns import RESERVED, Columns
from clipmill.sources.shard_plan import plan_shards, read_shard, source_fingerprint

KINDS = names("clipmill.sources")


def make_table(folder: Path) -> None:
    for number in range(3):
        table = pa.table({"url": [f"u{number}{i}" for i in range(4)], "views": range(4)})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=3)


def make_folder(folder: Path) -> None:
    for name in ("a.mp4", "b.mp4", "x/c.mp4", "x/d.mp4", "y/e.mp4"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
        (folder / name).with_suffix(".json").write_text('{"views": 1}')


def make_shards(folder: Path) -> None:
    for shard in range(2):
        with wds.TarWriter(str(folder / f"{shard}.tar")) as writer:
            for row in range(3):
                sample = {"__key__": f"{shard}{row}", "mp4": b"x", "json": {"views": row}}
                writer.write(sample)


def make_hub(folder: Path) -> None:
    (folder / "data").mkdir()
    for split in ("test", "train"):
        table = pa.table({"url": [f"{split}{i}" for i in range(5)], "views": range(5)})
        pq.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")


MAKERS: dict[str, Callable[[Path], None]] = {
    "table": make_table,
    "folder": make_folder,
    "shards": make_shards,
    "hub": make_hub,
}


@pytest.fixture(params=KINDS)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    MAKERS[request.param](tmp_path)
    return load("clipmill.sources", request.param)(str(tmp_path), Columns())


def all_rows(source: Source) -> list[dict]:
    found: list[dict] = []
    for number, file in enumerate(source.files()):
        found += source.read(Part(number, 0, file.rows)).to_pylist()
    return found


def test_rows_have_exactly_the_schema(source: Source):
    schema = source.schema()
    assert schema.names[0] == "url"
    assert schema.field("url").type == pa.string()
    assert len(set(schema.names)) == len(schema.names)
    assert not (set(schema.names) & RESERVED) - {"url", "caption", "clips", MEDIA_COLUMN}
    if MEDIA_COLUMN in schema.names:
        assert schema.field(MEDIA_COLUMN).type == MEDIA_TYPE
    for number, file in enumerate(source.files()):
        table = source.read(Part(number, 0, file.rows))
        assert table.schema.equals(schema)
        assert table.num_rows == file.rows


def test_parts_in_any_order_equal_the_whole(source: Source):
    for number, file in reversed(list(enumerate(source.files()))):
        whole = source.read(Part(number, 0, file.rows)).to_pylist()
        for start in reversed(range(file.rows)):
            for count in (1, file.rows - start):
                part = source.read(Part(number, start, count)).to_pylist()
                assert part == whole[start : start + count]


def test_urls_alone_are_the_urls(source: Source):
    for number, file in enumerate(source.files()):
        part = Part(number, 0, file.rows)
        assert source.read_urls(part).to_pylist() == source.read(part).column("url").to_pylist()


def test_a_copy_in_another_process_reads_the_same(source: Source):
    copy = pickle.loads(pickle.dumps(source))
    assert all_rows(copy) == all_rows(source)
    assert copy.files() == source.files()
    assert source_fingerprint(copy) == source_fingerprint(source)


@pytest.mark.parametrize("grouped", [False, True])
def test_shards_hold_every_row_once(source: Source, grouped: bool):
    plan = plan_shards(source, 2, group_by_url=grouped)
    found = [row for i in range(plan.shards) for row in read_shard(source, plan, i).to_pylist()]
    assert found == all_rows(source)


def test_nothing_there_is_an_input_error(tmp_path: Path):
    for kind in KINDS:
        with pytest.raises(InputError, match="here"):
            load("clipmill.sources", kind)(str(tmp_path / "missing"), Columns())
        with pytest.raises(InputError):
            load("clipmill.sources", kind)(str(tmp_path), Columns()).files()
