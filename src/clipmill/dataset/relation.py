"""A dataset as one SQL relation: its tables, and beside them the columns of steps as structs.

Tables of a shard and of its column groups have the same rows in the same order, so they are joined
by position: no keys are read or compared. Where a group lacks a shard, or was made of another
state of it, a stand-in takes its table's place (``stand_ins.py``). Shards go in chunks, so that
memory stays flat and cores have something to do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.core.errors import InputError
from clipmill.dataset.columns import BEFORE, ColumnGroup, column_groups
from clipmill.dataset.dataset import Dataset, holds_media
from clipmill.dataset.engine import Engine, quoted, sql_types, table_of, text_list, told_plainly
from clipmill.dataset.projection import Tree, projection, tree_of
from clipmill.dataset.resolve import SECOND_NAME, TWIN, Path
from clipmill.dataset.stand_ins import StandIns

if TYPE_CHECKING:
    import duckdb


SHARD = "shard"
"""The column that says which shard a row lies in, unless the table has one of that name."""
PLACE = "clipmill_shard"
"""The same under a name that no table has; for our own use."""
CHUNK_ROWS = 1_000_000
CHUNK_SHARDS = 128
_ROW = "file_row_number"
_FILE = "clipmill_file"
_JOINED = tuple(name for name, _ in BEFORE)
Result = TypeVar("Result")


class Relation:
    """What can be asked of a dataset.

    Args:
        dataset: of ours or of the peers.
        engine: that reads it.

    Raises:
        InputError: it has no finished shard, or a table is missing or damaged.
    """

    def __init__(self, dataset: Dataset, engine: Engine) -> None:
        if not dataset.shards:
            raise InputError(f"{dataset.folder.url} has no finished shard yet.")
        self.dataset = dataset
        self.engine = engine
        self.chunks = list(_chunks(dataset))
        self._stand_ins = StandIns(dataset, engine.scratch)

    @cached_property
    def base_schemas(self) -> list[pa.Schema]:
        """Columns of each chunk's tables, media bytes left out."""
        return list(self.over_chunks(self._base_schema))

    @cached_property
    def base(self) -> pa.Schema:
        """Columns of all tables."""
        distinct = list(dict.fromkeys(self.base_schemas))
        if len(distinct) == 1:
            return distinct[0]
        with self.engine.cursor() as connection, told_plainly(self.dataset.folder.url):
            for number, schema in enumerate(distinct):
                self.engine.add(f"part{number}", pa.Table.from_batches([], schema))
            parts = (f"SELECT * FROM part{number}" for number in range(len(distinct)))
            return table_of(connection, " UNION ALL BY NAME ".join(parts)).schema

    @cached_property
    def groups(self) -> dict[str, ColumnGroup]:
        """Column groups by the name of their struct: of each step the newest has the short one."""
        found = [group for group in column_groups(self.dataset.folder) if self._first(group)]
        newest = {group.step: group for group in found}
        taken = {name.lower() for name in self.base.names}
        named = {}
        for group in found:
            is_short = newest[group.step] is group and group.step not in taken
            named[group.step if is_short else group.lasting_name] = group
        return named

    @cached_property
    def called(self) -> dict[str, ColumnGroup]:
        """The same by every name they answer to."""
        return self.groups | {group.lasting_name: group for group in self.groups.values()}

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns as queries see them, and second names of groups (see ``first_names``)."""
        twins = self._twins()
        fields = [
            field.with_metadata({TWIN: twins[field.name]}) if field.name in twins else field
            for field in self.base
        ]
        for name, group in self.called.items():
            marks = {} if name in self.groups else {SECOND_NAME: b"1"}
            fields.append(pa.field(name, pa.struct(self._group_fields(group)), metadata=marks))
        if SHARD not in (name.lower() for name in self.base.names):
            fields.append(pa.field(SHARD, pa.string()))
        return pa.schema(fields)

    def over_chunks(
        self, work: Callable[[duckdb.DuckDBPyConnection, int], Result]
    ) -> Iterator[Result]:
        """Do something with every chunk, as many at a time as there are cores; results in order.

        Args:
            work: is given a connection of its own and the chunk's number.
        """

        def call(number: int) -> Result:
            with self.engine.cursor() as connection, told_plainly(self.dataset.folder.url):
                return work(connection, number)

        cores = os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()
        with ThreadPoolExecutor(cores or 1) as pool:
            numbers = iter(range(len(self.chunks)))
            ahead = [pool.submit(call, number) for number in islice(numbers, pool._max_workers)]
            while ahead:
                yield ahead.pop(0).result()
                ahead += [pool.submit(call, number) for number in islice(numbers, 1)]

    def scan(self, number: int, paths: Iterable[Path], *, unified: bool = False) -> str:
        """A chunk's rows as SQL: those columns and fields that are named, and nothing else read.

        Args:
            number: of the chunk.
            paths: columns and fields, as ``resolve`` gives them.
            unified: cast columns to the type they have in the whole dataset.
        """
        shards = self.chunks[number]
        tree = tree_of(paths)
        base = Tree({name: part for name, part in tree.items() if name in self.base.names})
        types = sql_types(self.base) if unified else {}
        selected = projection("b", base, self.base_schemas[number], self.base, types)
        joins, guards = [], []
        for at, (name, group) in enumerate(self.called.items()):
            if name not in tree:
                continue
            fields = pa.schema(self._group_fields(group))
            files = self._stand_ins.files(group, shards)
            if files is None:  # nothing of the whole chunk
                null = f"CAST(NULL AS {sql_types(self.schema)[name]})"
                selected.append(f"{null} AS {quoted(name)}")
                continue
            alias = f"g{at}"
            parts = tree[name] or tree_of((one,) for one in fields.names)
            packed = ", ".join(projection(alias, parts, fields, fields, {}, pack=True))
            selected.append(f"struct_pack({packed}) AS {quoted(name)}")
            joins.append(
                f"POSITIONAL JOIN read_parquet({text_list(files)}, file_row_number = true)"
                f" AS {alias}"
            )
            guards.append(f"b.{_ROW} = {alias}.{_ROW}")
        for name in (SHARD, PLACE):
            if name in tree and name not in self.base.names:
                selected.append(f"parse_filename(b.{_FILE}, true) AS {name}")
        source = self._read_base(number)
        where = ""
        if guards:
            told = "Tables of column groups do not have the rows of their shards."
            where = f"WHERE CASE WHEN {' AND '.join(guards)} THEN true ELSE error('{told}') END"
        columns = ", ".join(selected) or "true AS nothing"
        return f"SELECT {columns} FROM {source} AS b {' '.join(joins)} {where}"

    def whole(self, paths: Iterable[Path]) -> str:
        """All rows as SQL, in the dataset's order; see ``scan``."""
        paths = list(paths)
        return " UNION ALL ".join(
            f"({self.scan(number, paths, unified=True)})" for number in range(len(self.chunks))
        )

    def empty(self) -> pa.Table:
        """No rows, with all columns: to try queries on."""
        return pa.Table.from_batches([], self.schema)

    def _twins(self) -> dict[str, str]:
        """Names of columns that differ from those before in case alone, by DuckDB's for them."""
        found: dict[str, str] = {}
        seen: set[str] = set()
        for name in self.dataset.schema(self.dataset.shards[0]).names:
            told = name
            number = 0
            while told.lower() in seen:
                number += 1
                told = f"{name}_{number}"
            seen.add(told.lower())
            if told != name:
                found[told] = name
        return found

    def _base_schema(self, connection: duckdb.DuckDBPyConnection, number: int) -> pa.Schema:
        source = (
            f"read_parquet({text_list(self._files(self._unlike(number)))}, union_by_name = true)"
        )
        schema = table_of(connection, f"SELECT * FROM {source} LIMIT 0").schema
        return pa.schema([field for field in schema if not holds_media(field, schema)])

    def _read_base(self, number: int) -> str:
        # Where all tables are of one schema, there is no need to compare those.
        unites = "union_by_name = true, " if len(self._unlike(number)) > 1 else ""
        files = text_list(self._files(self.chunks[number]))
        return f"read_parquet({files}, {unites}file_row_number = true, filename = '{_FILE}')"

    def _unlike(self, number: int) -> list[str]:
        """Shards of a chunk whose tables may have other columns, one for each schema."""
        found: dict[str, str] = {}
        for shard in self.chunks[number]:
            found.setdefault(self.dataset.schema_name(shard) or f"of {shard}", shard)
        return list(found.values())

    def _files(self, shards: Iterable[str]) -> list[str]:
        tables = (self.dataset.table_path(shard) for shard in shards)
        return [self.dataset.folder.url_of(table) for table in tables]

    def _group_fields(self, group: ColumnGroup) -> list[pa.Field[Any]]:
        return [field for field in self._group_schemas[group.name] if field.name not in _JOINED]

    @cached_property
    def _group_schemas(self) -> dict[str, pa.Schema]:
        return {group.name: self._group_schema(group) for group in self.groups.values()}

    def _group_schema(self, group: ColumnGroup) -> pa.Schema:
        place = group.table_path(str(self._first(group)))
        try:
            with group.folder.open(place) as file:
                return pq.read_schema(file)
        except (FileNotFoundError, pa.ArrowInvalid) as error:
            raise InputError(
                f"{group.folder.url_of(place)} cannot be read: {error}. Remove it and annotate "
                "again."
            ) from error

    def _first(self, group: ColumnGroup) -> str | None:
        """A shard that the group has cells of."""
        return next((shard for shard in self.dataset.shards if group.cells(shard)), None)


def _chunks(dataset: Dataset) -> Iterator[list[str]]:
    """Shards in order, some at a time."""
    chunk: list[str] = []
    rows = 0
    for shard in dataset.shards:
        count = int(dataset.stats[shard]["count"]) if shard in dataset.stats else 0
        if chunk and (rows + count > CHUNK_ROWS or len(chunk) == CHUNK_SHARDS):
            yield chunk
            chunk, rows = [], 0
        chunk.append(shard)
        rows += count
    yield chunk
