"""A shard's table as loaders take it: samples that have media, structs as columns of their own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from clipmill.formats.media_table import media_column_names

_LEFT_OUT = frozenset(
    {
        *("status", "error_step", "error_class", "error_message", "retryable"),
        *("fetch", "info", "media", "source_media"),
    }
)
_LICENSE = "license"


def rows_with_media(table: pa.Table) -> list[int]:
    """Numbers of the rows of a shard's table that have media."""
    names = media_column_names(table.schema)
    places = [pc.struct_field(table.column("media"), [name, "size"]) for name in names]
    held = [[size is not None for size in column.to_pylist()] for column in places]
    return [row for row, found in enumerate(zip(*held, strict=True)) if any(found)]


def flat_table(table: pa.Table, rows: list[int], taken: Collection[str]) -> pa.Table:
    """What is known of some rows, under flat names such as ``probe_duration_seconds``.

    ``license`` is what a site said, where the input has no such column; units and descriptions
    stay with the columns. A map becomes a list of its pairs, ``key`` and ``value``, since hardly a
    reader has maps.

    Args:
        table: of a shard.
        rows: numbers of the rows to take.
        taken: names that the layout needs itself; a column of that name becomes ``input_<name>``.
    """
    if _LICENSE not in table.column_names and "info" in table.column_names:
        licences = pc.struct_field(table.column("info"), _LICENSE)
        table = table.append_column(_LICENSE, licences)
    kept = table.drop_columns([name for name in table.column_names if name in _LEFT_OUT])
    kept = kept.take(pa.array(rows, pa.int64()))
    while any(pa.types.is_struct(field.type) for field in kept.schema):
        kept = kept.flatten()
    made: dict[str, tuple[pa.Field[Any], pa.ChunkedArray[Any]]] = {}
    for field, column in zip(kept.schema, kept.columns, strict=True):
        name = field.name.replace(".", "_")
        name = f"input_{name}" if name in taken or name in made else name
        kind = _without_maps(field.type)
        column = column if kind == field.type else column.cast(kind)
        made[name] = (field.with_name(name).with_type(kind), column)
    known = [pair for pair in made.values() if pair[1].type != pa.null()]
    return pa.table([column for _, column in known], schema=pa.schema([one for one, _ in known]))


def _without_maps(kind: pa.DataType) -> pa.DataType:
    """The same type with lists of pairs for maps, in lists and structs too."""
    if isinstance(kind, pa.MapType):
        pair = [("key", _without_maps(kind.key_type)), ("value", _without_maps(kind.item_type))]
        return pa.list_(pa.struct(pair))
    if isinstance(kind, pa.ListType):
        return pa.list_(_without_maps(kind.value_type))
    if isinstance(kind, pa.StructType):
        return pa.struct([field.with_type(_without_maps(field.type)) for field in kind])
    return kind
