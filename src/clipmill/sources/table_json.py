"""JSON lines and whole JSON documents: typed by Arrow, and by hand where types are mixed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pa_json

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.sources.column_types import MAX_DEPTH, is_too_deep, storable, widen_text
from clipmill.sources.forward import Chunk, ForwardReader
from clipmill.sources.streams import FileFacts, open_plain, reading
from clipmill.sources.table_format import TableFormat, TablePlan
from clipmill.sources.table_text import BOM, BlockFormat, BlockScan, check_utf8

CHUNK_ROWS = 1 << 16
_MANY_OPENINGS = re.compile(rb'(?:[\[{]\s*(?:"[^"]*"\s*:\s*)?){%d}' % MAX_DEPTH)
_NUMBER_BEYOND_INT64 = re.compile(rb"[:\[,]\s*-?[0-9]{19}")


class JsonLinesFormat(BlockFormat):
    """One JSON object per line; a column that mixes texts with other values becomes text."""

    def last_record_end(self, data: bytes) -> int:
        """After the last newline, which JSON never has inside a value."""
        return data.rfind(b"\n") + 1

    def scan(self, facts: FileFacts) -> BlockScan:
        """Count the objects and widen the types of their members."""
        return _JsonScan(facts.url)

    def parse(self, block: bytes, plan: TablePlan, schema: pa.Schema, url: str) -> pa.Table:
        """The wanted members, with the types settled over all files."""
        return _parse_lines(block, schema, url, line=None)


class _JsonScan(BlockScan):
    def __init__(self, url: str) -> None:
        self._url = url
        self._types: dict[str, pa.DataType] = {}

    def add(self, block: bytes, line: int) -> int:
        table = _parse_lines(block, None, self._url, line)
        merge_types(self._types, table.schema)
        return table.num_rows

    def finish(self) -> TablePlan:
        return TablePlan(rows=0, schema=pa.schema(list(self._types.items())))


def merge_types(types: dict[str, pa.DataType], schema: pa.Schema) -> None:
    """Widen column types so that they also hold another block's values."""
    for field in schema:
        types[field.name] = widen_text(types.get(field.name, field.type), field.type)


def plain_types(types: Mapping[str, pa.DataType]) -> pa.Schema:
    """The schema of settled column types, in forms that every table can have."""
    return pa.schema([(name, storable(kind, is_text=True)) for name, kind in types.items()])


def _parse_lines(block: bytes, schema: pa.Schema | None, url: str, line: int | None) -> pa.Table:
    """Objects of a block, with their own types or those of ``schema``."""
    # Arrow would make such a number a float, losing digits, and is not sure to survive such depth.
    if not _NUMBER_BEYOND_INT64.search(block) and not _MANY_OPENINGS.search(block):
        try:
            table = _parse_by_arrow(block, schema)
        except pa.ArrowInvalid:
            table = None
        if table is not None and table.num_rows == _line_count(block):
            return table
    return table_of_rows(list(_objects(block, url, line)), schema)


def _parse_by_arrow(block: bytes, schema: pa.Schema | None) -> pa.Table:
    table = pa_json.read_json(
        pa.BufferReader(block),  # type: ignore[arg-type]  # the stubs know no native files
        read_options=pa_json.ReadOptions(use_threads=False, block_size=len(block) + 1),
        parse_options=pa_json.ParseOptions(
            explicit_schema=schema,
            unexpected_field_behavior="infer" if schema is None else "ignore",
        ),
    )
    if any(is_too_deep(field.type) for field in table.schema):
        return table  # it is refused as soon as it is planned
    if schema is None and any(_has_timestamp(field.type) for field in table.schema):
        # Arrow takes texts that look like dates for dates; texts must stay what they are.
        texts = pa.schema([(field.name, _dates_as_text(field.type)) for field in table.schema])
        return _parse_by_arrow(block, texts)
    return table


def _has_timestamp(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_has_timestamp(kind.field(index).type) for index in range(kind.num_fields))
    return bool(pa.types.is_timestamp(kind))


def _dates_as_text(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.list_(_dates_as_text(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _dates_as_text(field.type)) for field in kind])
    return pa.string() if pa.types.is_timestamp(kind) else kind


def _line_count(block: bytes) -> int:
    return sum(1 for line in block.split(b"\n") if line.strip())


def _objects(block: bytes, url: str, line: int | None) -> Iterator[dict[str, Any]]:
    for index, text in enumerate(block.split(b"\n")):
        if not text.strip():
            continue
        where = redact_url(url) + (f", line {line + index}" if line is not None else "")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise InputError(f"{where} is not a JSON object but {type(value).__name__}.")
        _check_value_depth([value], where)
        yield value


def table_of_rows(rows: Sequence[Mapping[str, Any]], schema: pa.Schema | None = None) -> pa.Table:
    """Rows of JSON-like values as a table.

    Args:
        rows: one mapping per row; a missing name is null.
        schema: columns and types wanted. Default: all names there are, and what fits their
            values; text (JSON where it is no text) where they are mixed.
    """
    if schema is None:
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = {name: _array([row.get(name) for row in rows]) for name in names}
        return _table(columns, len(rows))
    typed = {
        field.name: _array_as([row.get(field.name) for row in rows], field.type) for field in schema
    }
    return _table(typed, len(rows))


def _table(columns: Mapping[str, pa.Array[Any]], rows: int) -> pa.Table:
    if not columns:  # a table without columns cannot have rows
        return pa.table({"_": pa.nulls(rows)}).select([])
    return pa.table(dict(columns))


def _array(values: list[Any]) -> pa.Array[Any]:
    try:
        made: pa.Array[Any] = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        return _texts(values)
    return made


def _array_as(values: list[Any], kind: pa.DataType) -> pa.Array[Any]:
    if pa.types.is_string(kind):
        return _texts(values)
    try:
        made: pa.Array[Any] = pa.array(values, kind)
    except pa.ArrowInvalid:  # whole numbers too long for a float, where other rows have floats
        made = pa.array([_rounded(value) for value in values], kind)
    return made


def _rounded(value: Any) -> Any:
    """A value with floats for the whole numbers that no float equals."""
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    is_long = isinstance(value, int) and abs(value) > 1 << 53
    return float(value) if is_long else value


def _texts(values: Iterable[Any]) -> pa.Array[Any]:
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


class JsonFormat(TableFormat):
    """One JSON document: an array of objects, or an object of columns. It is read whole."""

    is_text = True

    def plan(self, facts: FileFacts) -> TablePlan:
        """Read the document and settle its types."""
        table = self._load(facts, None)
        return TablePlan(rows=table.num_rows, schema=table.schema)

    def reader(self, facts: FileFacts, plan: TablePlan, schema: pa.Schema) -> ForwardReader:
        """A cursor over the document, which stays in memory while it is used."""
        table: pa.Table | None = None

        def open_at(seek: int) -> Iterator[Chunk]:
            nonlocal table
            if table is None:
                table = self._load(facts, schema)
            for start in range(0, table.num_rows, CHUNK_ROWS):
                count = min(CHUNK_ROWS, table.num_rows - start)
                yield count, partial(table.slice, start, count)

        return ForwardReader(open_at, np.zeros(1, dtype=np.int64))

    def _load(self, facts: FileFacts, schema: pa.Schema | None) -> pa.Table:
        with reading(facts.url), open_plain(facts.url, facts.compression) as file:
            data = file.read().removeprefix(BOM)
        check_utf8(data, facts.url, 1)
        if not data.strip():
            return table_of_rows([])
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{redact_url(facts.url)} is not JSON: {error}") from error
        rows = _rows_of_document(value, facts.url)
        _check_value_depth(rows, redact_url(facts.url))
        return table_of_rows(rows, schema)


def _check_value_depth(rows: Sequence[Any], where: str) -> None:
    level = list(rows)
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for value in level
            if isinstance(value, list | dict)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise InputError(
        f"{where} has values that are nested more than {MAX_DEPTH} levels deep. "
        "Leave them out, or give them as text."
    )


def _rows_of_document(value: Any, url: str) -> list[dict[str, Any]]:
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return value
    if (
        isinstance(value, dict)
        and value
        and all(isinstance(v, list | dict) for v in value.values())
    ):
        columns = {
            name: list(column.values()) if isinstance(column, dict) else column
            for name, column in value.items()
        }
        if len({len(column) for column in columns.values()}) == 1:
            return [
                dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
            ]
    raise InputError(
        f"{redact_url(url)} is JSON, but not a table: it must be an array of objects "
        '([{"url": ...}, ...]) or an object of columns of one length.'
    )
