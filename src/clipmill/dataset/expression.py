"""Conditions and values over the columns of one row, as users write them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pyarrow as pa

from clipmill.core.errors import UserError
from clipmill.dataset.engine import Engine, name_a_field, table_of, told_plainly, try_out
from clipmill.dataset.literals import refuse_unlike
from clipmill.dataset.resolve import Path, resolve
from clipmill.dataset.sql_tree import (
    DATA,
    Node,
    Ordering,
    Parser,
    calls,
    column_refs,
    conjuncts,
)


@dataclass(frozen=True, slots=True)
class Expression:
    """Something that can be worked out for each row.

    Args:
        text: as the user wrote it; of a part of it, as SQL.
        sql: the same for DuckDB.
        columns: columns and fields it needs.
        parts: of a condition, those that it joins by AND; itself alone where it joins none.
    """

    text: str
    sql: str
    columns: tuple[Path, ...]
    parts: tuple[Expression, ...] = ()


def parse_condition(text: str, schema: pa.Schema) -> Expression:
    """A condition such as ``motion.mean > 0.3 and probe.duration_seconds > 2``.

    Args:
        text: SQL of DuckDB, without subqueries, aggregates or windows.
        schema: columns of the rows; structs for what steps say.

    Raises:
        InputError: it does not parse, or names no column; points at the place.
        UserError: it is no condition, or compares what cannot be compared.
    """
    node = parser().condition(text)
    whole = _expression(node, text, schema)
    kind = _type_of(whole, text, schema)
    if pa.types.is_struct(kind):
        fields = name_a_field([field.name for field in kind])
        raise UserError(f"{text!r} is no condition: it gives a struct. {fields}")
    if kind != pa.bool_() and not pa.types.is_null(kind):
        raise UserError(f"{text!r} is no condition: it gives a value of type {kind}. Compare it.")
    refuse_unlike(node, text, schema, parser())
    labels = [_label(parser().sql(part)) for part in conjuncts(node)]
    _make_nan_unknown(node, schema)
    pieces = [_expression(part, text, schema) for part in conjuncts(node)]
    if len(pieces) == 1:
        labels = [text.strip()]
    parts = tuple(
        Expression(label, one.sql, one.columns) for label, one in zip(labels, pieces, strict=True)
    )
    return Expression(text, parser().sql(node), whole.columns, parts)


def parse_value(text: str, schema: pa.Schema) -> Expression:
    """A number such as ``1 / motion.mean``; arguments and errors as of a condition."""
    node = parser().value(text)
    kind = _type_of(_expression(node, text, schema), text, schema)
    if not (pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)):
        raise UserError(f"{text!r} is no number: it gives a value of type {kind}.")
    refuse_unlike(node, text, schema, parser())
    _make_nan_unknown(node, schema)
    return _expression(node, text, schema)


def parse_order(text: str, schema: pa.Schema) -> list[tuple[Expression, str]]:
    """An order such as ``motion.mean desc, key``: its expressions, each with its direction.

    Arguments and errors as of a condition.
    """
    parts: list[Ordering] = parser().order(text)
    for part in parts:
        expression = _expression(part.node, text, schema)
        _type_of(expression, expression.sql, schema)
        refuse_unlike(part.node, text, schema, parser())
        _make_nan_unknown(part.node, schema)
    return [(_expression(part.node, text, schema), part.direction) for part in parts]


@cache
def parser() -> Parser:
    """The one parser of the process."""
    return Parser()


def _expression(node: Node, text: str, schema: pa.Schema) -> Expression:
    refs = column_refs(node)
    columns = tuple(dict.fromkeys(resolve(ref, schema, text) for ref in refs))
    return Expression(text, parser().sql(node), columns)


def _type_of(expression: Expression, text: str, schema: pa.Schema) -> pa.DataType:
    """Bind what the user wrote to no rows, so that errors show the line as it was written."""
    with Engine() as engine, told_plainly(shows_line=True):
        engine.add(DATA, pa.Table.from_batches([], schema))
        # In a WHERE, neither aggregates nor UNNEST would be taken.
        bound = f"SELECT {expression.sql} FROM {DATA} WHERE (\n{text}\n) IS NOT NULL"
        try_out(engine.connection, bound)
        kind: pa.DataType = table_of(engine.connection, bound).schema.field(0).type
        return kind


def _make_nan_unknown(node: Node, schema: pa.Schema) -> None:
    """Make what is worked out unknown where it is no number, as 0 / 0, as it is in columns.

    To DuckDB, NaN is a number above all others, so that ``sqrt(-1) > 1`` would pass.

    Args:
        node: of an expression that was bound; changed in place.
        schema: columns of the rows.
    """
    found = list(calls(node))
    if not found:
        return
    with Engine() as engine, told_plainly():
        engine.add(DATA, pa.Table.from_batches([], schema))
        listed = (f"{parser().sql(call)} AS c{number}" for number, call in enumerate(found))
        kinds = table_of(engine.connection, f"SELECT {', '.join(listed)} FROM {DATA}").schema
    within: set[int] = set()
    for call, kind in zip(found, kinds, strict=True):
        # NaN goes through to the outermost; one check for each would double the work of the next.
        if pa.types.is_floating(kind.type) and id(call) not in within:
            within.update(map(id, calls(call)))
            known = parser().value("nullif(0, 'nan'::DOUBLE)")
            known["arguments"][0]["expression"] = dict(call)
            call.clear()
            call.update(known)


def _label(sql: str) -> str:
    """A part of a condition without the brackets around it."""
    if not (sql.startswith("(") and sql.endswith(")")):
        return sql
    depth = 0
    quote = ""
    for place, letter in enumerate(sql):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter == "(") - (letter == ")")
            if depth == 0:
                return sql[1:-1] if place == len(sql) - 1 else sql
    return sql
