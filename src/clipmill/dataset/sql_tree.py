"""SQL as DuckDB's parser sees it: checked to read and do nothing else, and taken apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from clipmill.core.errors import InputError
from clipmill.core.redact import plain_text

DATA = "data"
"""What queries call the dataset."""
_CONDITION = f"SELECT * FROM {DATA} WHERE (\n"
_VALUE = "SELECT (\n"
_ORDER = f"SELECT 1 FROM {DATA} ORDER BY\n"
_TABLE_FUNCTIONS = {"unnest", "range", "generate_series"}
_REFUSED_FUNCTIONS = {"getenv", "query", "query_table", "write_log", "nextval", "currval"}
_NOWHERE = 1 << 62
_DEEPEST = 240
"""How far lists and mappings of a tree may be nested; DuckDB reads back 256 levels."""

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """A column as a query names it.

    Args:
        names: the parts between the dots.
        start: first byte of it in the text; ``length`` bytes long.
    """

    names: tuple[str, ...]
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Ordering:
    """One part of an order: an expression as SQL, and how to sort by it."""

    node: Node
    direction: str


class Parser:
    """Parses what users write, and writes parts of it as SQL again."""

    def __init__(self) -> None:
        import duckdb

        self._connection = duckdb.connect()  # it is asked for trees alone

    def condition(self, text: str) -> Node:
        """The tree of a condition about one row.

        Raises:
            InputError: it does not parse, or is more than a condition; says where.
        """
        select = self._select(_CONDITION, text, "\n)")
        if not _is_plain(select, "where_clause") or not _is_star(select):
            raise _not_one(text)
        return _about_one_row(select["where_clause"], text, len(_CONDITION))

    def value(self, text: str) -> Node:
        """The tree of an expression that gives a value for one row; errors as of a condition."""
        select = self._select(_VALUE, text, f"\n) FROM {DATA}")
        if not _is_plain(select, "") or len(select["select_list"]) != 1:
            raise _not_one(text)
        return _about_one_row(select["select_list"][0], text, len(_VALUE))

    def order(self, text: str) -> list[Ordering]:
        """The parts of an order such as ``motion.mean desc, key``; errors as of a condition."""
        select = self._select(_ORDER, text, "\n")
        if not _is_plain(select, "modifiers") or len(select["modifiers"]) != 1:
            raise _not_one(text)
        return [
            Ordering(_about_one_row(part["expression"], text, len(_ORDER)), _direction(part))
            for part in select["modifiers"][0]["orders"]
        ]

    def query(self, text: str) -> Node:
        """The tree of a whole query.

        Raises:
            InputError: it does not parse, or does more than read the dataset.
        """
        return self._select("", text.rstrip().removesuffix(";"), "")

    def sql(self, node: Node) -> str:
        """An expression as SQL."""
        select = self._select(_CONDITION, "true", "\n)")
        select["where_clause"] = node
        whole = self.query_sql(select)
        return whole.partition(" WHERE ")[2]

    def query_sql(self, node: Node) -> str:
        """A query as SQL: what was checked, and nothing that was not."""
        import duckdb

        tree = {"error": False, "statements": [{"node": node, "named_param_map": []}]}
        call = "SELECT json_deserialize_sql(?)"
        try:
            ((sql,),) = self._connection.execute(call, [json.dumps(tree)]).fetchall()
        except duckdb.SerializationException as error:
            raise _too_deep() from error
        return str(sql)

    def _select(self, before: str, text: str, after: str) -> Node:
        if not text.strip():
            raise InputError("The query is empty.")
        if plain_text(text) != text or "\0" in text:
            raise InputError("The query is not UTF-8 text, or has a zero byte in it.")
        call = "SELECT json_serialize_sql(?)"
        ((told,),) = self._connection.execute(call, [f"{before}{text}{after}"]).fetchall()
        if _depth(told) > _DEEPEST:
            raise _too_deep()
        tree = json.loads(told)
        if tree.get("error"):
            raise _parse_error(tree, text, len(before))
        if len(tree["statements"]) != 1:
            raise InputError("One query at a time: leave out what follows the ';'.")
        node: Node = tree["statements"][0]["node"]
        _check_reads_only(node, text, len(before))
        return node


def column_refs(node: Any, bound: frozenset[str] = frozenset()) -> Iterator[ColumnRef]:
    """Columns that a tree names, parameters of its lambdas left out."""
    if isinstance(node, list):
        for part in node:
            yield from column_refs(part, bound)
        return
    if not isinstance(node, dict):
        return
    if node.get("class") == "COLUMN_REF":
        names = tuple(node["column_names"])
        if names[0].lower() not in bound:
            yield ColumnRef(names, int(node["query_location"]), _length(node, names))
        return
    if node.get("class") == "LAMBDA":
        own = {ref.names[0].lower() for ref in column_refs(node.get("lhs"))}
        yield from column_refs(node.get("expr"), bound | own)
        return
    for part in node.values():
        yield from column_refs(part, bound)


def calls(node: Any) -> Iterator[Node]:
    """Functions and operators that a tree calls, those within its lambdas left out."""
    return (one for one in row_nodes(node) if one.get("class") == "FUNCTION")


def row_nodes(node: Any) -> Iterator[Node]:
    """Every mapping in a tree that can be told from a row's columns: none within its lambdas."""
    if isinstance(node, list):
        for part in node:
            yield from row_nodes(part)
    elif isinstance(node, dict) and node.get("class") != "LAMBDA":
        yield node
        for part in list(node.values()):
            yield from row_nodes(part)


def conjuncts(node: Node) -> list[Node]:
    """The conditions that a condition joins by AND."""
    if node.get("type") != "CONJUNCTION_AND":
        return [node]
    return [part for child in node["children"] for part in conjuncts(child)]


def nodes(tree: Any) -> Iterator[Node]:
    """Every mapping in a tree."""
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            yield from nodes(part)


def pointed_at(text: str, start: int, length: int = 1) -> str:
    """The line of a text that a byte lies in, and a mark below it.

    Args:
        text: what the user wrote.
        start: the byte, counted in UTF-8.
        length: bytes to mark.
    """
    data = text.encode()
    start = min(max(start, 0), len(data))
    begin = data.rfind(b"\n", 0, start) + 1
    end = data.find(b"\n", start)
    line = data[begin : end if end >= 0 else len(data)]
    before = line[: start - begin].decode(errors="replace")
    marked = line[start - begin : start - begin + length].decode(errors="replace")
    return f"  {line.decode(errors='replace')}\n  {' ' * len(before)}{'^' * max(len(marked), 1)}"


def _too_deep() -> InputError:
    return InputError(
        "The query is nested too deeply: write long lists of values with IN, and put brackets "
        "around parts of long sums."
    )


def _depth(told: str) -> int:
    """How far lists and mappings of a JSON text are nested."""
    depth = deepest = 0
    for bracket in re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', told):
        if bracket in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif bracket in "]}":
            depth -= 1
    return deepest


def _length(node: Node, names: tuple[str, ...]) -> int:
    return int(node.get("query_location_length") or len(".".join(names).encode()))


def _parse_error(tree: Node, text: str, shift: int) -> InputError:
    message = str(tree["error_message"]).strip()
    if "Only SELECT" in message:
        return InputError(
            'Only queries that read can be made: a condition such as "motion.mean > 0.3", or '
            '"select key from data ...".'
        )
    if "position" not in tree:
        return InputError(f"The query cannot be understood: {message}.")
    start = int(tree["position"]) - shift
    if start >= len(text.encode()):
        message = "it ends too early"
    return InputError(f"The query cannot be understood: {message}.\n{pointed_at(text, start)}")


def _check_reads_only(tree: Node, text: str, shift: int) -> None:
    """Refuse whatever reaches beyond the dataset.

    Raises:
        InputError: names the table or function.
    """
    named = {DATA} | {
        str(entry["key"]).lower()
        for node in nodes(tree)
        if isinstance(found := node.get("map"), list)
        for entry in found
    }
    for node in nodes(tree):
        kind = node.get("type")
        if kind == "BASE_TABLE":
            table = str(node["table_name"])
            outside = node.get("schema_name") or node.get("catalog_name")
            if outside or table.lower() not in named:
                raise _refused(
                    f"There is no table {table!r}: the dataset is called {DATA!r}",
                    node,
                    text,
                    shift,
                )
        elif kind in ("SHOW_REF", "PARAMETER", "VALUE_PARAMETER"):
            raise _refused("Only plain queries can be made", node, text, shift)
        elif kind == "TABLE_FUNCTION":
            name = str(node["function"]["function_name"])
            if name.lower() not in _TABLE_FUNCTIONS:
                raise _refused(
                    f"{name}() reaches beyond the dataset", node["function"], text, shift
                )
        elif str(node.get("function_name")).lower() in _REFUSED_FUNCTIONS:
            raise _refused(
                f"{node['function_name']}() reaches beyond the dataset", node, text, shift
            )


def _direction(part: Node) -> str:
    """How a part of an order sorts; unknown values come last unless the query says otherwise."""
    nulls = "FIRST" if "FIRST" in part["null_order"] else "LAST"
    return f"{'DESC' if 'DESC' in part['type'] else 'ASC'} NULLS {nulls}"


def _not_one(text: str) -> InputError:
    return InputError(
        f"{text!r} is more than one expression. Write a whole query instead: "
        f'"select key from {DATA} ...".'
    )


def _about_one_row(node: Node, text: str, shift: int) -> Node:
    """A tree with places counted from the user's text; refused when it needs more than one row."""
    for part in nodes(node):
        if part.get("class") in ("SUBQUERY", "STAR", "WINDOW"):
            raise _refused(
                "A condition is about the columns of one row. For subqueries, '*' and windows, "
                f'write a whole query: "select key from {DATA} where ..."',
                part,
                text,
                shift,
            )
    for part in nodes(node):
        if isinstance(place := part.get("query_location"), int) and place < _NOWHERE:
            part["query_location"] = max(place - shift, 0)
    return node


def _refused(message: str, node: Node, text: str, shift: int) -> InputError:
    place = node.get("query_location")
    if not isinstance(place, int) or place >= _NOWHERE:
        return InputError(f"{message}.")
    length = int(node.get("query_location_length") or 1)
    return InputError(f"{message}.\n{pointed_at(text, place - shift, length)}")


def _is_star(select: Node) -> bool:
    return [node["class"] for node in select["select_list"]] == ["STAR"]


def _is_plain(select: Node, allowed: str) -> bool:
    """Whether a SELECT has no part but its list and the one that is allowed."""
    parts = ("where_clause", "having", "qualify", "sample", "modifiers", "group_expressions")
    return (
        select["type"] == "SELECT_NODE"
        and not any(select[part] for part in parts if part != allowed)
        and not select["cte_map"]["map"]
        and (select["from_table"].get("table_name") == DATA)
    )
