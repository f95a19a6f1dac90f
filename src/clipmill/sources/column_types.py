"""Which Arrow types the columns of an input have, settled over all of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url

_PATTERNS = {
    "int64": r"^(0|-?[1-9][0-9]{0,18})$",
    "float64": r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$|^-?inf$|^nan$",
    "bool": r"^(true|false|True|False|TRUE|FALSE)$",
}
_WIDE_INTEGER = r"^-?[0-9]{16,}$"
MAX_DEPTH = 40
"""Levels of lists and objects in one value; Arrow writes no more than 64, Parquet half of 100."""
_TYPES: dict[str, pa.DataType] = {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}


class TextEvidence:
    """What the texts of one column have allowed so far: whole numbers, numbers, truth values.

    A number is only recognised when reading it loses nothing: ``007`` stays text, and so does a
    column that mixes decimals with whole numbers too long for a float.
    """

    def __init__(self) -> None:
        self.possible = set(_PATTERNS)
        self.seen = False

    def add(self, texts: Any) -> None:
        """Take more texts of the column into account; empty ones say nothing."""
        if not self.possible:
            return
        texts = texts.filter(pc.not_equal(texts, pa.scalar("")))
        if not len(texts):
            return
        self.seen = True
        for kind in sorted(self.possible):
            if not _all_match(texts, _PATTERNS[kind]):
                self.possible.discard(kind)
        if "float64" in self.possible and _any_match(texts, _WIDE_INTEGER):
            self.possible.discard("float64")
        if "int64" in self.possible:
            try:
                pc.cast(texts, pa.int64())
            except pa.ArrowInvalid:  # too large
                self.possible.discard("int64")

    def merge(self, other: TextEvidence) -> None:
        """Take another file's evidence about the same column into account."""
        if other.seen:
            self.possible &= other.possible
            self.seen = True

    def type(self) -> pa.DataType:
        """The narrowest type that holds every text seen."""
        if self.seen:
            for kind in ("int64", "float64", "bool"):
                if kind in self.possible:
                    return _TYPES[kind]
        return pa.string()


def _all_match(texts: pa.ChunkedArray[Any], pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _any_match(texts: pa.ChunkedArray[Any], pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())


def check_depth(schema: pa.Schema, where: str) -> None:
    """Refuse columns of lists in lists, and so on, deeper than tables can be stored.

    Raises:
        InputError: names the column.
    """
    for field in schema:
        if is_too_deep(field.type):
            raise InputError(
                f"Column {field.name!r} of {redact_url(where)} is nested more than {MAX_DEPTH} "
                "levels deep. Leave it out, or give it as text."
            )


def is_too_deep(data_type: Any) -> bool:
    """Whether a type has more than ``MAX_DEPTH`` levels."""
    level = [data_type]
    for _ in range(MAX_DEPTH):
        level = [kind.field(index).type for kind in level for index in range(kind.num_fields)]
        if not level:
            return False
    return True


def normal_type(data_type: Any) -> Any:
    """The plain form of a type: no dictionaries, extensions, or 64-bit offsets."""
    if pa.types.is_dictionary(data_type):
        return normal_type(data_type.value_type)
    if isinstance(data_type, pa.BaseExtensionType):
        return normal_type(data_type.storage_type)
    if pa.types.is_large_string(data_type) or pa.types.is_string_view(data_type):
        return pa.string()
    if pa.types.is_large_binary(data_type) or pa.types.is_binary_view(data_type):
        return pa.binary()
    if pa.types.is_list(data_type) or pa.types.is_large_list(data_type):
        return pa.list_(normal_type(data_type.value_type))
    if pa.types.is_fixed_size_list(data_type):
        return pa.list_(normal_type(data_type.value_type), data_type.list_size)
    if pa.types.is_struct(data_type):
        return pa.struct([(field.name, normal_type(field.type)) for field in data_type])
    return data_type


def normal_schema(schema: pa.Schema) -> pa.Schema:
    """The same columns in their plain forms, without metadata."""
    return pa.schema([(field.name, normal_type(field.type)) for field in schema])


def widen(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """The narrowest type that holds values of both, or None."""
    if first.equals(second):
        return first
    schemas = [pa.schema([("value", kind)]) for kind in (first, second)]
    try:
        wide: pa.DataType = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
        return wide
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None


def widen_text(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    """The same for formats whose values can all be written as text."""
    return widen(first, second) or pa.string()


def storable(kind: Any, is_text: bool) -> Any:
    """A type that every shard's table can have: what is always null is text."""
    if pa.types.is_null(kind) or (is_text and _has_empty_struct(kind)):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(storable(kind.value_type, is_text))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, storable(field.type, is_text)) for field in kind])
    return kind


def _has_empty_struct(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind) and not kind.num_fields:
        return True
    return any(_has_empty_struct(kind.field(index).type) for index in range(kind.num_fields))


def unify(schemas: Iterable[tuple[str, pa.Schema, bool]]) -> pa.Schema:
    """One schema for all files: columns by name, in order of first appearance.

    Args:
        schemas: per file its URL, its normal schema, and whether its values are texts that can
            stay texts when another file does not agree on their type.

    Raises:
        InputError: two files hold values in one column that no type holds both of.
    """
    settled: dict[str, tuple[pa.DataType, bool]] = {}
    previous: pa.Schema | None = None
    for url, schema, is_text in schemas:
        if previous is not None and schema.equals(previous):
            continue
        previous = schema
        for field in schema:
            known, known_is_text = settled.get(field.name, (field.type, is_text))
            wide = widen(known, field.type)
            if wide is None and (
                (is_text and (known_is_text or pa.types.is_string(known)))
                or (known_is_text and pa.types.is_string(field.type))
            ):
                wide = pa.string()
            if wide is None:
                raise InputError(
                    f"Column {field.name!r} is {known} in the files before, but {field.type} in "
                    f"{redact_url(url)}. Give both the same type, or read them in separate runs."
                )
            settled[field.name] = (wide, known_is_text and is_text)
    return pa.schema([(name, kind) for name, (kind, _) in settled.items()])


def conform(table: pa.Table, schema: pa.Schema, url: str) -> pa.Table:
    """Give rows of one file the columns and types settled over all files.

    Raises:
        InputError: a value does not fit the settled type.
    """
    arrays = []
    present = set(table.column_names)
    for field in schema:
        if field.name not in present:
            arrays.append(pa.nulls(table.num_rows, field.type))
            continue
        try:
            arrays.append(cast_column(table.column(field.name), field.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"Column {field.name!r} of {redact_url(url)} cannot be read as "
                f"{field.type}: {error}"
            ) from error
    if not schema.names:
        return table.select([])
    return pa.Table.from_arrays(arrays, schema=schema)


def cast_column(column: Any, wanted: pa.DataType) -> Any:
    """Cast a column; empty text becomes null where the type is not text."""
    if column.type.equals(wanted):
        return column
    if isinstance(column.type, pa.BaseExtensionType):
        return cast_column(column.cast(column.type.storage_type), wanted)
    if pa.types.is_string(column.type) and not pa.types.is_nested(wanted):
        column = pc.if_else(pc.equal(column, pa.scalar("")), pa.scalar(None, pa.string()), column)
    lossy = pa.types.is_integer(column.type) and pa.types.is_floating(wanted)
    try:
        return column.cast(wanted, safe=not lossy)
    except pa.ArrowNotImplementedError:  # some nested casts; rare, so the slow way is good enough
        return pa.chunked_array([pa.array(column.to_pylist(), wanted)])
