"""Tables of a dataset with the columns of steps beside its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from clipmill.core.errors import InputError
from clipmill.core.words import counted
from clipmill.dataset.engine import Engine, quoted, table_of
from clipmill.dataset.relation import PLACE, Relation
from clipmill.dataset.resolve import Path, first_names, resolve
from clipmill.dataset.sql_tree import DATA, ColumnRef

if TYPE_CHECKING:
    import duckdb

    from clipmill.dataset.dataset import Dataset
    from clipmill.dataset.selection import Selection


def joined_table(dataset: Dataset, columns: Sequence[str]) -> pa.Table:
    """All rows with columns and fields of the dataset and of its column groups.

    Args:
        dataset: of ours or of the peers.
        columns: such as ``key``, ``motion`` or ``motion.mean``; the result's are called so.

    Raises:
        InputError: there is no such column.
    """
    with Engine(dataset.folder) as engine:
        relation = Relation(dataset, engine)
        paths = {name: named(name, relation.schema) for name in columns}

        def read(connection: duckdb.DuckDBPyConnection, number: int) -> pa.Table:
            scan = relation.scan(number, paths.values())
            return table_of(connection, f"SELECT {_listed(paths)} FROM ({scan}) AS {DATA}")

        return pa.concat_tables(relation.over_chunks(read), promote_options="permissive")


def selected_table(selection: Selection, columns: Sequence[str] | None) -> pa.Table:
    """The rows of a selection, in its order; see ``joined_table``.

    Args:
        selection: of any kind.
        columns: Default: all.

    Raises:
        InputError: there is no such column, or selected samples have gone from the dataset.
    """
    places = pa.array(range(len(selection.rows)), pa.int64())
    wanted = selection.rows.select(["key", "shard"]).append_column("place", places)
    with Engine(selection.dataset.folder) as engine:
        relation = Relation(selection.dataset, engine)
        names = first_names(relation.schema) if columns is None else columns
        paths = {name: named(name, relation.schema) for name in names}

        def read(connection: duckdb.DuckDBPyConnection, number: int) -> pa.Table:
            shards = pa.array(relation.chunks[number], pa.string())
            here = f"wanted{number}"
            engine.add(here, wanted.filter(pc.is_in(wanted["shard"], shards)))
            scan = relation.scan(number, [("key",), (PLACE,), *paths.values()])
            return table_of(
                connection,
                f"SELECT place AS clipmill_place, {_listed(paths)} FROM ({scan}) AS {DATA} "
                f"JOIN {here} ON {DATA}.key = {here}.key AND {DATA}.{PLACE} = {here}.shard",
            )

        found = pa.concat_tables(relation.over_chunks(read), promote_options="permissive")
    gone = len(wanted) - pc.count_distinct(found.column("clipmill_place")).as_py()
    if gone:
        raise InputError(
            f"{counted(gone, 'sample')} of the selection {selection.name!r} lie in "
            f"{selection.dataset.folder.url} no more. Make the selection again with --overwrite."
        )
    return found.sort_by("clipmill_place").drop_columns(["clipmill_place"])


def named(name: str, schema: pa.Schema) -> Path:
    """The column or field that a name such as ``motion.mean`` means.

    Raises:
        InputError: there is none; says the nearest.
    """
    parts = (name,) if name in schema.names else tuple(name.split("."))
    return resolve(ColumnRef(parts, 0, len(name.encode())), schema, name)


def _listed(paths: dict[str, Path]) -> str:
    return ", ".join(
        f"{DATA}.{'.'.join(map(quoted, path))} AS {quoted(name)}" for name, path in paths.items()
    )
