"""Tables in place of those that a column group lacks, or that are of another state of a shard."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.core.errors import InputError
from clipmill.dataset.columns import MARKED, ColumnGroup, row_marks

if TYPE_CHECKING:
    from clipmill.dataset.dataset import Dataset


class StandIns:
    """Finds, for every shard, a table of a group that has the shard's rows in the shard's order.

    Cells of a shard that was written anew since are taken over by key where the sample still is the
    same (its mark says so); all others count as not computed.

    Args:
        dataset: whose groups they are.
        scratch: local folder for tables made here.
    """

    def __init__(self, dataset: Dataset, scratch: Path) -> None:
        self.dataset = dataset
        self.scratch = scratch
        self._made: dict[tuple[str, str | int], str] = {}
        self._lock = threading.Lock()

    def files(self, group: ColumnGroup, shards: Sequence[str]) -> list[str] | None:
        """A table for each of some shards; None when the group has none for any of them.

        Args:
            group: the column group.
            shards: their names.
        """
        cells = {shard: group.cells(shard) for shard in shards}
        if not any(cells.values()):
            return None
        schema = None
        found = []
        for shard, held in cells.items():
            place = group.table_path(shard)
            if held is not None and held.state == self.dataset.state(shard):
                found.append(group.folder.url_of(place))
                continue
            schema = schema or self._schema(group, next(one for one in cells if cells[one]))
            found.append(self._made_once(group, shard, schema, is_stale=held is not None))
        return found

    def _schema(self, group: ColumnGroup, shard: str) -> pa.Schema:
        table = group.shard_table(shard, [])
        if table is None:
            raise InputError(
                f"{group.folder.url_of(group.table_path(shard))} is missing. Annotate again."
            )
        with group.folder.open(group.table_path(shard)) as file:
            return pq.read_schema(file).remove_metadata()

    def _made_once(
        self, group: ColumnGroup, shard: str, schema: pa.Schema, *, is_stale: bool
    ) -> str:
        rows = 0 if is_stale else self.dataset.row_count(shard)
        identity = (group.name, shard if is_stale else rows)
        with self._lock:
            if identity not in self._made:
                table = (
                    aligned(self.dataset, group, shard, schema)
                    if is_stale
                    else _nulls(schema, rows)
                )
                path = self.scratch / f"stand-in-{len(self._made)}.parquet"
                pq.write_table(table, path)
                self._made[identity] = str(path)
            return self._made[identity]


def aligned(dataset: Dataset, group: ColumnGroup, shard: str, schema: pa.Schema) -> pa.Table:
    """A group's cells of the samples that a shard has now, in its order; null for new samples.

    Args:
        dataset: whose shard it is.
        group: with cells of an earlier state of the shard.
        shard: its name.
        schema: of the group's tables.
    """
    present = dataset.schema(shard).names
    rows = dataset.shard_table(shard, [name for name in MARKED if name in present])
    held = group.shard_table(shard)
    if held is None:
        return _nulls(schema, rows.num_rows)
    ids = zip(held.column("key").to_pylist(), held.column("mark").to_pylist(), strict=True)
    places = {identity: place for place, identity in enumerate(ids)}
    wanted = zip(rows.column("key").to_pylist(), row_marks(rows), strict=True)
    taken = held.take(pa.array([places.get(identity) for identity in wanted], pa.int64()))
    return taken.cast(schema)


def _nulls(schema: pa.Schema, rows: int) -> pa.Table:
    return pa.table({field.name: pa.nulls(rows, field.type) for field in schema}, schema)
