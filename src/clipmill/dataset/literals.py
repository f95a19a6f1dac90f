"""Text compared with what is no text: DuckDB notices only when it comes to a row."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from clipmill.core.errors import UserError
from clipmill.dataset.engine import Engine, row_of, told_plainly
from clipmill.dataset.engine import text as as_sql
from clipmill.dataset.sql_tree import DATA, Node, Parser, pointed_at, row_nodes

_TEXT = "VARCHAR"
_NUMBERS = (
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
    *("FLOAT", "DOUBLE", "DECIMAL", "BOOLEAN"),
)


def refuse_unlike(node: Node, text: str, schema: pa.Schema, parser: Parser) -> None:
    """Refuse numbers beside texts, and texts in quotes that are none of what is beside them.

    Args:
        node: of an expression that was bound.
        text: as the user wrote it.
        schema: columns of the rows.
        parser: writes parts of it as SQL.

    Raises:
        UserError: names the value and the type, and points at the place.
    """
    found = list(_compared(node))
    if not found:
        return
    with Engine() as engine, told_plainly():
        engine.add(DATA, pa.Table.from_batches([], schema))
        for _, others in found:
            _refuse_numbers(others, text, engine, parser)
        found = [(literals, others) for literals, others in found if literals and others]
        sides = [f"coalesce({', '.join(map(parser.sql, others))})" for _, others in found]
        for (literals, _), kind in zip(found, _kinds(sides, engine), strict=True):
            texts = [as_sql(_text_of(one) or "") for one in literals]
            casts = (f"TRY_CAST({one} AS {kind}) IS NULL" for one in texts)
            wrong = row_of(engine.connection, f"SELECT {', '.join(casts)}")
            for literal, told_text, is_wrong in zip(literals, texts, wrong, strict=True):
                if is_wrong:
                    raise UserError(
                        f"{told_text} is compared with a value of type {kind}, and is none.\n"
                        f"{_marked(literal, text)}"
                    )


def _refuse_numbers(sides: list[Node], text: str, engine: Engine, parser: Parser) -> None:
    """Refuse a number or truth value among sides of a comparison of which another is a text."""
    told = [parser.sql(side) for side in sides]
    kinds = _kinds(told, engine)
    if len(sides) < 2 or _TEXT not in kinds:
        return
    words = told[kinds.index(_TEXT)]
    for side, sql, kind in zip(sides, told, kinds, strict=True):
        if kind.startswith(_NUMBERS):
            value = (side.get("literal") or {}).get("text")
            advice = f"Put it in quotes, '{value}', or write" if value else "Write"
            raise UserError(
                f"{sql} is compared with {words}, which is text. {advice} "
                f"try_cast({words} AS {kind}).\n{_marked(side, text)}"
            )


def _kinds(expressions: list[str], engine: Engine) -> list[str]:
    """DuckDB's types of expressions over the columns of the rows."""
    if not expressions:
        return []
    listed = ", ".join(f"{one} AS c{n}" for n, one in enumerate(expressions))
    told = engine.connection.execute(f"DESCRIBE SELECT {listed} FROM {DATA}").fetchall()
    return [row[1] for row in told]


def _marked(node: Node, text: str) -> str:
    """The line of the text that a part of it stands in, and a mark below the part."""
    return pointed_at(text, int(node["query_location"]), int(node["query_location_length"]))


def _compared(node: Node) -> Iterator[tuple[list[Node], list[Node]]]:
    """Of every comparison, the texts in quotes and what else it compares."""
    for one in row_nodes(node):
        if one.get("class") not in ("COMPARISON", "BETWEEN") and one.get("type") != "COMPARE_IN":
            continue
        named = (one.get(part) for part in ("left", "right", "input", "lower", "upper"))
        sides = [side for side in (*named, *one.get("children", ())) if side]
        literals = [side for side in sides if _text_of(side) is not None]
        yield literals, [side for side in sides if _text_of(side) is None]


def _text_of(node: Node) -> str | None:
    """A text in quotes; None of whatever is none."""
    literal = node.get("literal") or {}
    return str(literal["text"]) if literal.get("kind") == "STRING" else None
