"""The cells of one column group and one shard: those that are there, those still to be made."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from clipmill.core.seen import Cell
from clipmill.dataset.columns import ColumnGroup, ShardCells, cell_table, group_schema
from clipmill.formats.tables import ROWS_PER_GROUP, write_parquet
from clipmill.run.columns_job import Redo
from clipmill.steps.base import Annotate

_ROW_GROUP_BYTES = 16 << 20


class ShardColumns:
    """What a step says of the samples of one shard, from the old table to the new one.

    Args:
        group: where it is kept.
        step: who says it.
        marks: ``key`` and ``mark`` of the shard's rows.
        there: numbers of the rows that have media.
        redo: which cells to make again.
    """

    def __init__(
        self,
        group: ColumnGroup,
        step: Annotate,
        marks: pa.Table,
        *,
        shard: str,
        there: Sequence[int],
        redo: Redo,
    ) -> None:
        self.group = group
        self.step = step
        self._marks = marks
        self._made: list[pa.Table] = []
        self._rows: list[int] = []
        old = group.shard_table(shard)
        self._old = None if old is None else _aligned(old, marks)
        fine = [False] * marks.num_rows if self._old is None else _fine(self._old, redo)
        self.todo = {row for row in there if not fine[row]}
        """Numbers of the rows whose cells are still to be made."""

    def add(self, rows: Sequence[int], cells: Sequence[Cell]) -> dict[str, Any]:
        """Put cells in their rows; what to journal of it."""
        self._put(rows, cell_table(self.step.columns, cells))
        return {"rows": list(rows), "cells": cells_as_text(self.step.columns, cells)}

    def take_up(self, journalled: dict[str, Any]) -> None:
        """Put cells in their rows that an earlier worker made and journalled."""
        table = pa.ipc.open_stream(base64.b64decode(journalled["cells"])).read_all()
        self._put(journalled["rows"], table)

    def _put(self, rows: Sequence[int], table: pa.Table) -> None:
        self._made.append(table)
        self._rows += rows
        self.todo.difference_update(rows)

    def table(self, state: str) -> tuple[pa.Table, ShardCells]:
        """A row for every row of the shard, new cells in place of old ones; and what it holds.

        Args:
            state: of the shard.
        """
        count = self._marks.num_rows
        kind = cell_table(self.step.columns, []).schema
        pieces = [kind.empty_table(), *(piece.cast(kind) for piece in self._made)]
        places: list[int | None] = [None] * count
        if self._old is not None:
            places = list(range(count))
            pieces.insert(0, self._old.cast(kind))
        start = count if self._old is not None else 0
        for place, row in enumerate(self._rows):
            places[row] = start + place
        cells = pa.concat_tables(pieces).take(pa.array(places, pa.int64()))
        columns = [*self._marks.columns, *cells.columns]
        held = _held(cells, state)
        schema = group_schema(self.step.columns, held)
        return pa.Table.from_arrays(columns, schema=schema), held


def _aligned(old: pa.Table, marks: pa.Table) -> pa.Table:
    """Old cells in the order of the rows as they are now; of those that changed, none."""
    known = zip(old.column("key").to_pylist(), old.column("mark").to_pylist(), strict=True)
    places = {pair: place for place, pair in enumerate(known)}
    now = zip(marks.column("key").to_pylist(), marks.column("mark").to_pylist(), strict=True)
    taken = old.take(pa.array([places.get(pair) for pair in now], pa.int64()))
    return taken.drop_columns(["key", "mark"])


def _fine(old: pa.Table, redo: Redo) -> list[bool]:
    """Of each row whether its cell can stay."""
    statuses, classes = old.column("status").to_pylist(), old.column("error_class").to_pylist()
    return [
        status is not None and not (redo.every or (status == "failed" and redo.wants(error_class)))
        for status, error_class in zip(statuses, classes, strict=True)
    ]


def _held(cells: pa.Table, state: str) -> ShardCells:
    endings = Counter(cells.column("status").to_pylist())
    classes = [str(name) for name in cells.column("error_class").to_pylist() if name is not None]
    failures = dict(sorted(Counter(classes).items()))
    return ShardCells(state, cells.num_rows, endings["success"], endings["absent"], failures)


def write_cells(table: pa.Table, place: Path) -> None:
    """Write a group's table, in row groups of which one is read for a single cell.

    Args:
        table: of a shard.
        place: where to.
    """
    fitting = _ROW_GROUP_BYTES * table.num_rows // max(table.nbytes, 1)
    rows = min(max(fitting, 1), ROWS_PER_GROUP)
    write_parquet(table, place, rows)


def cells_as_text(columns: pa.Schema, cells: Sequence[Cell]) -> str:
    """Cells for a journal, of whatever types a step's columns are.

    Args:
        columns: the step's own.
        cells: what it says, checked.
    """
    table = cell_table(columns, cells)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()
