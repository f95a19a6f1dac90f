"""Text that a query compares with what is no text: DuckDB sees it only when it comes to a row."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from clipmill.core.errors import UserError
from clipmill.dataset.engine import Engine, row_of, told_plainly
from clipmill.dataset.engine import text as as_sql
from clipmill.dataset.sql_tree import DATA, Node, Parser, pointed_at, row_nodes


def refuse_unlike(node: Node, text: str, schema: pa.Schema, parser: Parser) -> None:
    """Refuse texts in quotes that are none of the values that they are compared with.

    Args:
        node: of an expression that was bound.
        text: as the user wrote it.
        schema: columns of the rows.
        parser: writes parts of it as SQL.

    Raises:
        UserError: names the text and the type, and points at the place.
    """
    found = list(_compared(node))
    if not found:
        return
    with Engine() as engine, told_plainly():
        engine.add(DATA, pa.Table.from_batches([], schema))
        others = (", ".join(map(parser.sql, others)) for _, others in found)
        listed = ", ".join(f"coalesce({one}) AS c{n}" for n, one in enumerate(others))
        told = engine.connection.execute(f"DESCRIBE SELECT {listed} FROM {DATA}").fetchall()
        kinds = [row[1] for row in told]
        for (literals, _), kind in zip(found, kinds, strict=True):
            texts = [as_sql(_text_of(one) or "") for one in literals]
            casts = (f"TRY_CAST({one} AS {kind}) IS NULL" for one in texts)
            wrong = row_of(engine.connection, f"SELECT {', '.join(casts)}")
            for literal, told_text, is_wrong in zip(literals, texts, wrong, strict=True):
                if is_wrong:
                    place, length = literal["query_location"], literal["query_location_length"]
                    raise UserError(
                        f"{told_text} is compared with a value of type {kind}, and is none.\n"
                        f"{pointed_at(text, int(place), int(length))}"
                    )


def _compared(node: Node) -> Iterator[tuple[list[Node], list[Node]]]:
    """Of every comparison with text in quotes, these texts and what else it compares."""
    for one in row_nodes(node):
        if one.get("class") not in ("COMPARISON", "BETWEEN") and one.get("type") != "COMPARE_IN":
            continue
        named = (one.get(part) for part in ("left", "right", "input", "lower", "upper"))
        sides = [side for side in (*named, *one.get("children", ())) if side]
        literals = [side for side in sides if _text_of(side) is not None]
        others = [side for side in sides if _text_of(side) is None]
        if literals and others:
            yield literals, others


def _text_of(node: Node) -> str | None:
    """A text in quotes; None of whatever is none."""
    literal = node.get("literal") or {}
    return str(literal["text"]) if literal.get("kind") == "STRING" else None
