"""Datasets of tables alone, with column groups beside them, for tests of queries."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

import clipmill
from clipmill.dataset.columns import MARKED, ColumnGroup, ShardCells, group_schema, row_marks

FLOAT = pa.float32()
STATISTICS = pa.struct([("mean", FLOAT), ("max", FLOAT), ("values", pa.list_(FLOAT))])
MOTION = pa.schema([("mean", FLOAT), ("values", pa.list_(FLOAT))])
PICTURE = pa.schema([("black_share", STATISTICS), ("luminance", STATISTICS)])
NAN = float("nan")


def write_shard(folder, shard, rows, *, columns=None):
    """A shard as ours: rows are mappings; what they lack of key, uid and status is filled in."""
    folder.mkdir(parents=True, exist_ok=True)
    full = []
    for number, row in enumerate(rows):
        key = row.get("key", f"{shard}{number}")
        full.append({"key": key, "uid": f"uid-{key}", "status": "success", **row})
    table = pa.Table.from_pylist(full) if columns is None else pa.Table.from_pylist(full, columns)
    pq.write_table(table, folder / f"{shard}.parquet")
    count = sum(row["status"] == "success" for row in full)
    stats = {"count": len(rows), "successes": count, "content": json.dumps(full, default=str)}
    (folder / f"{shard}_stats.json").write_text(json.dumps(stats))


def write_cells(folder, name, number, columns, cells, *, index=True):
    """A column group as ``clipmill annotate`` writes it.

    Args:
        folder: the dataset's.
        name: of the group, such as ``motion-3f9c21``.
        number: how new it is.
        columns: the step's schema.
        cells: by shard, what the step says of each row: a mapping, or None where it failed, or
            ``...`` where nothing was computed.
        index: whether ``shards.json`` is written, too.
    """
    data = clipmill.open(folder)
    group = ColumnGroup(data.folder, name)
    data.folder.write_json(group.path("step.json"), {"step": group.step, "number": number})
    held = {}
    for shard, values in cells.items():
        rows = data.shard_table(shard)
        marks = row_marks(rows.select([name for name in MARKED if name in rows.column_names]))
        table = []
        for key, mark, value in zip(rows["key"].to_pylist(), marks, values, strict=True):
            status = "failed" if value is None else None if value is ... else "success"
            said = value if isinstance(value, dict) else {}
            table.append({"key": key, "mark": mark, "status": said.get("status", status), **said})
        count = sum(row["status"] == "success" for row in table)
        held[shard] = ShardCells(data.state(shard), len(table), count, 0, {})
        written = pa.Table.from_pylist(table, group_schema(columns, held[shard]))
        pq.write_table(written, data.folder.local(group.table_path(shard)))
    if index:
        told = {shard: cells.dump() for shard, cells in held.items()}
        data.folder.write_json(group.path("shards.json"), told)


def motion(*values):
    """A cell of the group ``motion`` with such raw values."""
    return {"mean": sum(values) / len(values), "values": values}


def score(*values):
    """A cell of a score of ``picture`` with such raw values."""
    return {"mean": sum(values) / len(values), "max": max(values), "values": values}


def make_dataset(folder):
    """Two shards of three rows; one row failed, and one cell of each of two groups is missing."""
    rows = [
        {"caption": "a cat", "url": "u0", "probe": {"duration_seconds": 3600.0, "width": 640}},
        {
            "caption": "ein Hündchen",
            "url": "u0",
            "probe": {"duration_seconds": 1800.0, "width": 320},
        },
        {"status": "failed_to_download", "caption": None, "url": "u1", "probe": None},
    ]
    more = [
        {"caption": "猫", "url": "u2", "probe": {"duration_seconds": 7200.0, "width": 1280}},
        {"caption": "", "url": "u2", "probe": {"duration_seconds": 900.0, "width": 64}},
        {"caption": "it's", "url": "u2", "probe": {"duration_seconds": NAN, "width": None}},
    ]
    write_shard(folder, "00000", rows)
    write_shard(folder, "00001", more)
    cells = {
        "00000": [motion(0.5), motion(0.1, 0.3), ...],
        "00001": [motion(0.9), None, motion(NAN)],
    }
    write_cells(folder, "motion-aaaaaa", 1, MOTION, cells)
    black = {
        "00000": [
            {"black_share": score(0.0), "luminance": score(0.05, 0.5)},
            {"black_share": score(0.2, 0.4), "luminance": score(0.05, 0.09)},
            ...,
        ]
    }
    write_cells(folder, "picture-bbbbbb", 2, PICTURE, black)
    return clipmill.open(folder)
