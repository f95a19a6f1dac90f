"""Shard plans: every row in exactly one shard, in order, however the input is split."""

from __future__ import annotations

import pickle
import tracemalloc
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipmill.core.errors import InputError
from clipmill.sources import shard_plan, table_text
from clipmill.sources.base import InputFile, Part, Source
from clipmill.sources.columns import Columns
from clipmill.sources.open import open_source
from clipmill.sources.shard_plan import (
    ShardPlan,
    plan_rows,
    plan_shards,
    read_shard,
    source_fingerprint,
)


class ListSource(Source):
    """URLs in memory, as files of the given lengths."""

    def __init__(self, urls: list[str | None], lengths: list[int]) -> None:
        self.columns = Columns()
        self._urls = urls
        self._lengths = lengths
        self.read_rows = 0

    def files(self):
        return [InputFile(f"f{i}", rows, 0, "") for i, rows in enumerate(self._lengths)]

    def schema(self):
        return pa.schema([("url", pa.string()), ("row", pa.int64())])

    def read(self, part: Part):
        assert part.count > 0
        assert part.start + part.count <= self._lengths[part.file]
        self.read_rows += part.count
        start = sum(self._lengths[: part.file]) + part.start
        rows = range(start, start + part.count)
        return pa.table([[self._urls[row] for row in rows], list(rows)], schema=self.schema())


def rows_of(source: Source, plan: ShardPlan) -> list[list[int]]:
    return [read_shard(source, plan, i).column("row").to_pylist() for i in range(plan.shards)]


@given(lengths=st.lists(st.integers(0, 40), min_size=1), size=st.integers(1, 50))
def test_all_shards_together_are_all_rows_in_order(lengths, size):
    source = ListSource(["u"] * sum(lengths), lengths)
    plan = plan_shards(source, size)
    shards = rows_of(source, plan)
    assert [row for shard in shards for row in shard] == list(range(sum(lengths)))
    assert all(len(shard) == size for shard in shards[:-1])
    assert [plan.rows_in(i) for i in range(plan.shards)] == [len(shard) for shard in shards]
    assert plan.rows == sum(lengths)
    assert source.read_rows == sum(lengths)  # nothing is read twice


@given(
    urls=st.lists(st.sampled_from(["a", "b", "c", "d", "e", None, ""]), min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    size=st.integers(1, 12),
)
def test_grouped_shards_hold_every_row_once_and_whole_groups(urls, cuts, size):
    edges = sorted({0, len(urls), *(cut for cut in cuts if cut < len(urls))})
    source = ListSource(urls, [b - a for a, b in pairwise(edges)])
    plan = plan_shards(source, size, group_by_url=True)
    shards = rows_of(source, plan)
    flat = [row for shard in shards for row in shard]

    assert sorted(flat) == list(range(len(urls)))
    assert all(0 < len(shard) <= size for shard in shards)
    counts = Counter(url for url in urls if url)
    for url, count in counts.items():
        places = [
            number for number, shard in enumerate(shards) for row in shard if urls[row] == url
        ]
        rows = [row for row in flat if urls[row] == url]
        assert rows == sorted(rows)
        if count <= size:
            assert len(set(places)) == 1
    firsts = [row for row in flat if not urls[row] or row == urls.index(urls[row])]
    assert firsts == sorted(firsts)  # groups stand in the order in which URLs first appear


def test_grouping_rows_that_already_lie_together_stores_no_order():
    plan = plan_shards(ListSource(["a", "a", "b", "c", "c"], [5]), 3, group_by_url=True)
    assert plan.order is None
    assert plan.starts.tolist() == [0, 3, 5]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25
)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    size=st.integers(1, 40),
    kind=st.sampled_from(["parquet", "csv", "jsonl", "arrow"]),
    grouped=st.booleans(),
)
def test_real_files_give_every_row_once(tmp_path_factory, lengths, size, kind, grouped):
    folder = tmp_path_factory.mktemp("plan")
    start = 0
    for number, length in enumerate(lengths):
        rows = list(range(start, start + length))
        table = pa.table({"url": [f"u{row % 7}" for row in rows], "row": rows})
        path = folder / f"{number}.{kind}"
        if kind == "parquet":
            pq.write_table(table, path, row_group_size=4)
        elif kind == "csv":
            table.to_pandas().to_csv(path, index=False)
        elif kind == "jsonl":
            table.to_pandas().to_json(path, orient="records", lines=True)
        else:
            with pa.ipc.new_file(path, table.schema) as writer:
                writer.write_table(table, max_chunksize=5)
        start += length
    source = open_source(str(folder))
    plan = plan_shards(source, size, group_by_url=grouped)
    source = pickle.loads(pickle.dumps(source))
    flat = [row for shard in rows_of(source, plan) for row in shard]
    assert sorted(flat) == list(range(start))
    if not grouped:
        assert flat == list(range(start))


def test_a_shard_may_span_files_and_shards_can_be_read_in_any_order(tmp_path: Path):
    for number in range(3):
        rows = [number * 5 + i for i in range(5)]
        pq.write_table(pa.table({"url": ["u"] * 5, "row": rows}), tmp_path / f"{number}.parquet")
    source = open_source(str(tmp_path))
    plan = plan_shards(source, 7)
    assert read_shard(source, plan, 1).column("row").to_pylist() == list(range(7, 14))
    assert read_shard(source, plan, 2).column("row").to_pylist() == [14]
    assert read_shard(source, plan, 0).column("row").to_pylist() == list(range(7))


def test_a_plan_of_chosen_rows_keeps_their_order():
    source = ListSource(["u"] * 20, [10, 10])
    plan = plan_rows(source, [15, 3, 4, 11, 0], 2)
    assert rows_of(source, plan) == [[15, 3], [4, 11], [0]]
    assert plan.row_indices(1).tolist() == [4, 11]
    assert plan_rows(source, [], 2).shards == 0


@pytest.mark.parametrize("grouped", [False, True])
def test_a_saved_plan_is_the_same_plan(tmp_path: Path, grouped: bool):
    source = ListSource(["b", "a", "b", "c"], [3, 1])
    plan = plan_shards(source, 2, group_by_url=grouped)
    plan.save(tmp_path / "plan")
    again = ShardPlan.load(tmp_path / "plan")
    assert rows_of(source, again) == rows_of(source, plan)
    assert again.rows == 4


def test_millions_of_rows_make_a_small_plan():
    rows = 5_000_000
    source = ListSource([], [rows])
    plan = plan_shards(source, 1000)
    assert len(pickle.dumps(plan)) < 100_000
    assert plan.row_indices(4999).tolist() == list(range(4_999_000, 5_000_000))


def test_a_large_text_makes_a_small_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(table_text, "BLOCK_BYTES", 1 << 16)
    path = tmp_path / "a.csv"
    path.write_text("url,n\n" + "".join(f"https://a.org/{i},{i}\n" for i in range(200_000)))
    source = open_source(str(path))
    tracemalloc.start()
    source.schema()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < path.stat().st_size / 4
    assert len(pickle.dumps(source)) < 5_000


def test_gaps_between_wanted_rows_are_skipped_not_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shard_plan, "_GAP_ROWS", 10)
    source = ListSource(["u"] * 1000, [1000])
    plan = plan_rows(source, [0, 5, 500, 999], 4)
    assert rows_of(source, plan) == [[0, 5, 500, 999]]
    assert source.read_rows == 6 + 1 + 1


def test_the_fingerprint_follows_files_columns_and_choices(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("url,n\nx,1\n")
    first = source_fingerprint(open_source(str(path)))
    assert source_fingerprint(open_source(str(path))) == first
    assert source_fingerprint(open_source(str(path), Columns(save_additional_columns=()))) != first
    path.write_text("url,n\nx,1\ny,2\n")
    assert source_fingerprint(open_source(str(path))) != first


def test_the_same_rows_in_memory_have_one_fingerprint_wherever_they_are_kept(tmp_path: Path):
    rows = [{"url": "x", "n": 1}, {"url": "y", "n": 2}]
    prints = {
        source_fingerprint(open_source(rows, spill=spill))
        for spill in (tmp_path / "a", tmp_path / "b", None)
    }
    assert len(prints) == 1
    assert source_fingerprint(open_source(rows[:1])) not in prints


def test_grouping_takes_a_few_bytes_per_row():
    rows = 300_000
    source = ListSource([], [rows])
    urls = np.random.default_rng(0).integers(0, rows // 2, rows)
    source.read_urls = (
        lambda part: pa.chunked_array(  # type: ignore[method-assign]
            [[f"u{n}" for n in urls[part.start : part.start + part.count]]]
        )
    )
    tracemalloc.start()
    plan = plan_shards(source, 1000, group_by_url=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert plan.order is not None
    assert plan.order.dtype == np.uint32
    assert peak < rows * 40 + 30e6  # a batch of texts comes on top


@pytest.mark.parametrize("damage", ["gone", "empty", "text", "cut", "flipped", "another", "array"])
def test_a_damaged_plan_is_named_with_what_to_try(tmp_path: Path, damage: str):
    path = tmp_path / "plan-0.npz"
    plan_shards(ListSource(["a"] * 9, [9]), 2).save(path)
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "another":
        np.savez(path, other=np.zeros(3))
    elif damage == "array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        half = len(data) // 4
        flipped = data[:half] + bytes(byte ^ 255 for byte in data[half:])
        path.write_bytes({"empty": b"", "text": b"hi", "cut": data[:half]}.get(damage, flipped))
    with pytest.raises(InputError, match=r"plan-0\.npz.*--overwrite"):
        ShardPlan.load(path)
