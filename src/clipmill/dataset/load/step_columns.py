"""Columns that lie beside a shard's rows: of steps, and what was recorded of each row itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.core.errors import UserError
from clipmill.dataset.columns import ColumnGroup, column_groups, newest_groups
from clipmill.dataset.dataset import Dataset
from clipmill.dataset.joined import named
from clipmill.dataset.resolve import Path
from clipmill.dataset.stand_ins import aligned


class StepColumns:
    """Some columns of a dataset, shard by shard.

    Args:
        dataset: whose they are.
        names: such as ``motion.mean``: the step, and the field of what it says;
            ``motion_3f9c21.mean``, of one choice of its settings; or ``probe.duration_seconds``,
            what clipmill recorded.

    Raises:
        UserError: no step of that name has seen the dataset.
    """

    def __init__(self, dataset: Dataset, names: Sequence[str]) -> None:
        self._dataset = dataset
        asked = {name.partition(".")[0] for name in names}
        lasting = {group.lasting_name: group for group in column_groups(dataset.folder)}
        groups = newest_groups(dataset.folder)
        groups |= {name: group for name, group in lasting.items() if name in asked}
        own = list(dataset.schema(dataset.shards[0]))
        own += [pa.field(step, _said(group, dataset)) for step, group in groups.items()]
        known = pa.schema(own)
        self._paths = {name: named(name, known) for name in names}
        for name, path in self._paths.items():
            kind = known.field(name).type if len(path) == 1 else None
            if kind is not None and pa.types.is_struct(kind):
                raise UserError(f"Say which field of {name!r}, such as {name}.{kind[0].name}.")
        tops = {path[0] for path in self._paths.values()}
        self._groups = {name: group for name, group in groups.items() if name in tops}

    def of(self, shard: str, there: Any) -> dict[str, Any]:
        """The columns of one shard, null where the step has not seen a sample.

        Args:
            shard: its name.
            there: numbers of the rows that count; None for all.
        """
        tables = {step: self._table(group, shard) for step, group in self._groups.items()}
        made: dict[str, Any] = {}
        for name, path in self._paths.items():
            own = path[0] not in self._groups
            table = self._dataset.shard_table(shard, [path[0]]) if own else tables[path[0]]
            if table is None:
                count = self._dataset.row_count(shard) if there is None else len(there)
                made[name] = pa.nulls(count)
                continue
            column = column_at(table, path if own else path[1:])
            made[name] = column if there is None else column.take(pa.array(there, pa.int64()))
        return made

    def _table(self, group: ColumnGroup, shard: str) -> pa.Table | None:
        held = group.cells(shard)
        if held is None:
            return None
        if held.state == self._dataset.state(shard):
            return group.shard_table(shard)
        with group.folder.open(group.table_path(shard)) as file:
            schema = pq.read_schema(file).remove_metadata()
        return aligned(self._dataset, group, shard, schema)


def _said(group: ColumnGroup, dataset: Dataset) -> pa.DataType:
    """What a step says of a sample, as a struct."""
    held = next((shard for shard in dataset.shards if group.cells(shard)), None)
    table = group.shard_table(held, None) if held else None
    return pa.struct(list(table.schema) if table is not None else [])


def column_at(table: pa.Table, path: Path) -> Any:
    """A column, or a field of one; null where the struct it lies in is.

    Args:
        table: that has it.
        path: as ``resolve`` gives it.
    """
    column: Any = table.column(path[0]).combine_chunks()
    for name in path[1:]:
        column = column.flatten()[column.type.get_field_index(name)]
    return column
