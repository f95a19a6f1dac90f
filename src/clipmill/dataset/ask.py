"""Whole queries over a dataset: ``select ... from data``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from clipmill.core.errors import InputError, UserError
from clipmill.dataset.engine import Engine, table_of, told_plainly, try_out
from clipmill.dataset.expression import parser
from clipmill.dataset.relation import Relation
from clipmill.dataset.resolve import Path, first_names, refuse_twin, resolve
from clipmill.dataset.sql_tree import DATA, ColumnRef, Node, column_refs, nodes

if TYPE_CHECKING:
    import duckdb

    from clipmill.dataset.dataset import Dataset


def ask(dataset: Dataset, query: str) -> pa.Table:
    """What a query says of a dataset, whose name in it is ``data``.

    Args:
        dataset: of ours or of the peers.
        query: a SELECT of DuckDB; it can read nothing else, and write nothing.

    Raises:
        UserError: the query is wrong; says where.
    """
    with Engine(dataset.folder) as engine:
        relation = Relation(dataset, engine)
        with asked(relation, query) as (connection, sql):
            return table_of(connection, sql)


@contextmanager
def asked(relation: Relation, query: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """A connection that knows the dataset as ``data``, and the query as it was checked.

    Raises:
        UserError: the query is wrong; says where.
    """
    tree = parser().query(query)
    _bind(query, tree, relation.schema)
    for ref in column_refs(tree):
        refuse_twin(ref, relation.schema, query, ref.names[:2])  # perhaps behind a table's name
    sql = parser().query_sql(tree)
    columns = _columns(tree, relation.schema)
    if not _binds(sql, relation.schema, columns):
        columns = [(name,) for name in first_names(relation.schema)]
    with relation.engine.cursor() as connection, told_plainly(relation.dataset.folder.url):
        connection.execute(f"CREATE TEMP VIEW {DATA} AS {relation.whole(columns)}")
        yield connection, sql


def _bind(query: str, tree: Node, schema: pa.Schema) -> None:
    """Try the query on no rows, as it was written.

    Raises:
        UserError: it asks for what is not there.
    """
    try:
        with Engine() as engine, told_plainly(shows_line=True):
            engine.add(DATA, pa.Table.from_batches([], schema))
            try_out(engine.connection, query)
    except UserError:
        for ref in column_refs(tree):
            if _path(ref, schema) is None:
                resolve(ref, schema, query)  # says what was meant, if this is no column
        raise


def _binds(sql: str, schema: pa.Schema, columns: list[Path]) -> bool:
    """Whether those columns are all the query needs."""
    names = {path[0] for path in columns}
    fields = [field for field in schema if field.name in names]
    kept = pa.schema([*fields, pa.field("nothing", pa.bool_())])
    try:
        with Engine() as engine, told_plainly():
            engine.add(DATA, pa.Table.from_batches([], kept))
            try_out(engine.connection, sql)
    except UserError:
        return False
    return True


def _columns(tree: Node, schema: pa.Schema) -> list[Path]:
    """Columns and fields a query may need; all of them where it says ``*`` or joins by name."""
    for node in nodes(tree):
        if node.get("class") == "STAR" or node.get("type") == "PIVOT" or node.get("using_columns"):
            return [(name,) for name in first_names(schema)]
    tables = {
        str(node["alias"] or node["table_name"]).lower()
        for node in nodes(tree)
        if node.get("type") == "BASE_TABLE"
    }
    if any(len(ref.names) == 1 and ref.names[0].lower() in tables for ref in column_refs(tree)):
        return [(name,) for name in first_names(schema)]  # a whole row as one value
    found = (_path(ref, schema) for ref in column_refs(tree))
    return list(dict.fromkeys(path for path in found if path))


def _path(ref: ColumnRef, schema: pa.Schema) -> Path | None:
    """The column that is meant, perhaps behind the name of a table; None for other names."""
    for names in (ref.names, ref.names[1:]):
        if names:
            try:
                return resolve(ColumnRef(names, 0, 0), schema, "")
            except InputError:
                continue
    return None
