"""Texts that are no UTF-8: their bytes are replaced where they are read, and nowhere else."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from clipmill.core.errors import InputError


def with_valid_text(table: pa.Table) -> pa.Table:
    """The same table, with U+FFFD for every byte of a text that is no UTF-8.

    Arrow takes writers at their word, so a file may hold anything under the name of text.

    Raises:
        InputError: texts inside types that cannot be repaired.
    """
    for index, field in enumerate(table.schema):
        column = table.column(index)
        if _may_hold_text(field.type) and not _is_valid(column):
            table = table.set_column(index, field.name, _repaired(column, field.name))
    return table


def decoded(column: Any) -> pa.Array[Any]:
    """Bytes of a column as text, with U+FFFD for what is no UTF-8."""
    return pa.array([_text(value) for value in column.to_pylist()], pa.string())


def _may_hold_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _may_hold_text(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _may_hold_text(kind.storage_type)
    if pa.types.is_nested(kind):
        return any(_may_hold_text(kind.field(index).type) for index in range(kind.num_fields))
    return _is_text(kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _is_valid(column: pa.ChunkedArray[Any]) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _repaired(column: Any, name: str) -> Any:
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _repaired(column.cast(kind.storage_type), name)
    if pa.types.is_dictionary(kind):
        return _repaired(column.cast(kind.value_type), name)
    try:
        raw = column.cast(_as_bytes(kind))
        return pa.array([_in_text(value, kind) for value in raw.to_pylist()], kind)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise InputError(
            f"Column {name!r} holds text that is not UTF-8, inside {kind}. "
            "Write the file again with valid text, or leave the column out."
        ) from error


def _as_bytes(kind: Any) -> pa.DataType:
    """The same type with bytes in place of texts."""
    if _is_text(kind):
        return pa.large_binary() if pa.types.is_large_string(kind) else pa.binary()
    if pa.types.is_list(kind):
        return pa.list_(_as_bytes(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _as_bytes(field.type)) for field in kind])
    return kind  # type: ignore[no-any-return]  # the stubs know no common type


def _in_text(value: Any, kind: Any) -> Any:
    """A value read as ``_as_bytes`` with its texts decoded."""
    if value is None:
        return None
    if _is_text(kind):
        return _text(value)
    if pa.types.is_list(kind):
        return [_in_text(one, kind.value_type) for one in value]
    if pa.types.is_struct(kind):
        return {field.name: _in_text(value[field.name], field.type) for field in kind}
    return value


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
