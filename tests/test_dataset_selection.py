"""Saved selections: keys of a dataset's samples under a name."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clipmill
from clipmill.core.errors import InputError, OutputError, UserError
from clipmill.dataset.selection import SelectionWriter, check_selection_name

FACTS = {"query": "true", "options": {}, "dataset": {"shards": {}}, "rows": 3, "funnel": []}


@pytest.fixture
def data(tmp_path):
    """Three samples in two shards."""
    for shard, rows in (("00000", 2), ("00001", 1)):
        keys = [f"{shard}{row}" for row in range(rows)]
        pq.write_table(pa.table({"key": keys}), tmp_path / f"{shard}.parquet")
        (tmp_path / f"{shard}_stats.json").write_text(f'{{"count": {rows}}}')
    return clipmill.open(tmp_path)


def save(data, name, keys, shards, facts=FACTS, overwrite=False, **more):
    with SelectionWriter(data.folder, name) as writer:
        writer.add(pa.table({"key": keys, "shard": shards, **more}))
        writer.commit(facts, overwrite=overwrite)
    return data.selection(name)


def test_a_selection_keeps_its_order_and_gives_it_shard_by_shard(data):
    found = save(
        data, "best", ["000010", "000001", "000000"], ["00001", "00000", "00000"],
        weight=[1.0, 2.0, 0.5],
    )  # fmt: skip
    assert (len(found), found.keys()) == (3, ["000010", "000001", "000000"])
    assert found.weights() == [1.0, 2.0, 0.5]
    parts = [(shard, rows.to_pydict()) for shard, rows in found.by_shard()]
    assert [shard for shard, _ in parts] == ["00000", "00001"]
    assert parts[0][1]["key"] == ["000001", "000000"]
    assert parts[0][1]["weight"] == [2.0, 0.5]
    assert data.selections == ["best"]


def test_an_empty_selection_is_one(data):
    empty = pa.array([], pa.string())
    found = save(data, "none", empty, empty, {**FACTS, "rows": 0})
    assert (len(found), found.keys(), list(found.by_shard())) == (0, [], [])


def test_another_selection_is_replaced_only_when_that_is_asked_for(data):
    save(data, "best", ["000000"], ["00000"])
    save(data, "best", ["000000"], ["00000"])  # the same once more is no harm
    other = {**FACTS, "query": "false"}
    with pytest.raises(OutputError, match="--overwrite"):
        save(data, "best", ["000010"], ["00001"], other)
    assert save(data, "best", ["000010"], ["00001"], other, overwrite=True).keys() == ["000010"]


def test_shards_that_changed_or_went_since_are_named(data):
    found = save(data, "best", ["000000", "x"], ["00000", "00007"])
    then = {**FACTS, "dataset": {"shards": {"00000": data.state("00000"), "00007": "abc"}}}
    found = save(data, "best", ["000000", "x"], ["00000", "00007"], then, overwrite=True)
    assert found.changed_shards() == ["00007", "00001"]
    with pytest.raises(InputError, match="no shard 00007 any more"):
        list(found.by_shard())


@pytest.mark.parametrize(
    "name", ["", ".hidden", "../up", "a/b", "a b", "é", "con", "x" * 101, "a."]
)
def test_names_that_are_no_file_names_are_refused(name):
    with pytest.raises(UserError, match="name of a selection"):
        check_selection_name(name)


def test_a_selection_that_is_not_there_is_said_with_the_nearest(data):
    save(data, "keepers", ["000000"], ["00000"])
    with pytest.raises(InputError, match="Did you mean 'keepers'"):
        data.selection("keeprs")


@pytest.mark.parametrize(
    ("file", "content"),
    [("best.json", b"{"), ("best.json", b"[]"), ("best.parquet", b"PAR1")],
)
def test_a_damaged_selection_is_said_with_advice(data, file, content):
    save(data, "best", ["000000"], ["00000"])
    data.folder.write_bytes(f"selections/{file}", content)
    with pytest.raises(InputError, match=f"selections/{file} cannot be read.*--overwrite"):
        data.selection("best").keys()


def test_a_selection_without_its_columns_is_said_to_be_damaged(data):
    save(data, "best", ["000000"], ["00000"])
    pq.write_table(pa.table({"key": ["a"]}), data.folder.local("selections/best.parquet"))
    with pytest.raises(InputError, match="no column 'shard'"):
        data.selection("best").keys()
