"""The Parquet table of a shard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clipmill.core.errors import OutputError

ROWS_PER_GROUP = 65_536
COMPRESSION: Final = "zstd"
"""Half of Snappy's size on URLs and texts at the same speed; every current reader knows it."""


def table_name(shard: str) -> str:
    """File name of a shard's table."""
    return f"{shard}.parquet"


def write_table(staging: Path, shard: str, table: pa.Table) -> str:
    """Write a shard's table, the same bytes for the same rows, and name it.

    Args:
        staging: folder to write in.
        shard: shard name.
        table: one row per sample.
    """
    name = table_name(shard)
    write_parquet(table, staging / name)
    return name


def write_parquet(table: pa.Table, place: Path, rows_per_group: int = ROWS_PER_GROUP) -> None:
    """Write rows as tables of ours are written.

    Args:
        table: the rows.
        place: where to.
        rows_per_group: the most that a row group holds.
    """
    pq.write_table(
        table,
        place,
        compression=COMPRESSION,
        use_dictionary=repeating_texts(table),  # type: ignore[arg-type]  # the stubs lack the list
        row_group_size=rows_per_group,
    )


def repeating_texts(table: pa.Table) -> list[str]:
    """Paths of texts that come more than twice on average, for Parquet's dictionaries.

    Numbers, and texts that are another one in every row, take a third more room in a dictionary,
    and longer to read.

    Args:
        table: to be written; fields of structs are looked at, those of lists are not.
    """
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return [
        field.name
        for field, column in zip(table.schema, table.columns, strict=True)
        if (pa.types.is_string(field.type) or pa.types.is_large_string(field.type))
        and 2 * pc.count_distinct(column).as_py() < len(column)
    ]


def with_offsets(
    table: pa.Table, rows: Sequence[int], offsets: Mapping[str, Sequence[int | None]]
) -> pa.Table:
    """The table with what its ``media`` column could not tell before a file was whole.

    Args:
        table: of a shard.
        rows: numbers of the rows that have media.
        offsets: first byte in the shard's file of each member of these rows, by extension.
    """
    media: list[Any] = table.column("media").to_pylist()
    for name, found in offsets.items():
        for row, offset in zip(rows, found, strict=True):
            if media[row][name] is not None:
                media[row][name]["offset"] = offset
    number = table.schema.get_field_index("media")
    field = table.schema.field(number)
    return table.set_column(number, field, pa.array(media, field.type))


def check_column_names(columns: Iterable[str], extensions: Iterable[str], layout: str) -> None:
    """Refuse input columns that have the name of media, where both become columns or features.

    Args:
        columns: names of the table's columns.
        extensions: extensions of the media.
        layout: name of the format, for the message.

    Raises:
        OutputError: names the first column that clashes.
    """
    if clash := sorted(set(columns) & set(extensions)):
        raise OutputError(
            f"The input has a column named {clash[0]!r}, which format {layout!r} needs for the "
            "media themselves. Rename it, leave it out with --save-additional-columns, or choose "
            "another format."
        )
