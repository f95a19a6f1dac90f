"""A Parquet table with media in it, written with the memory of one row group."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.formats.base import CHUNK_BYTES
from clipmill.formats.tables import COMPRESSION, ROWS_PER_GROUP, repeating_texts
from clipmill.io.byte_reader import ByteReader
from clipmill.io.tar import TarMember

GROUP_BYTES = 32 << 20
"""Media of one row group: what writer and reader hold in memory, unless one file is larger."""


def media_column_names(schema: pa.Schema) -> list[str]:
    """Extensions that the ``media`` column of a shard's table tells of; empty without one."""
    if "media" not in schema.names or not pa.types.is_struct(schema.field("media").type):
        return []
    return [field.name for field in schema.field("media").type]


def write_with_media(
    path: Path,
    table: pa.Table,
    media: Mapping[str, Mapping[str, TarMember]],
    spool: ByteReader,
) -> None:
    """Write a table and, behind its columns, one binary column per extension.

    Args:
        path: file to write.
        table: rows with a ``key`` column.
        media: per extension, the member of each key that has one.
        spool: the file they lie in.

    Raises:
        ValueError: there are media of a key that the table has not.
    """
    columns = list(media)
    schema = table.schema
    for name in columns:
        schema = schema.append(pa.field(name, pa.binary()))
    keys = [str(key) for key in table.column("key").to_pylist()]
    if unknown := {key for found in media.values() for key in found} - set(keys):
        raise ValueError(f"no row for {sorted(unknown)}, whose media were added")
    members = [[found.get(key) for key in keys] for found in media.values()]
    leaves = _leaves(schema)
    # Media are compressed already, and their least and greatest values say nothing.
    plain = [leaf for leaf in leaves if leaf not in columns]
    with pq.ParquetWriter(
        path,
        schema,
        compression={leaf: COMPRESSION if leaf in plain else "none" for leaf in leaves},
        use_dictionary=repeating_texts(table),  # type: ignore[arg-type]  # the stubs lack lists
        write_statistics=plain,
    ) as writer:
        for start, end in row_groups(members, len(keys)):
            group = table.slice(start, end - start)
            for name, column in zip(columns, members, strict=True):
                cells = media_cells(column[start:end], spool, pa.binary())
                group = group.append_column(schema.field(name), cells)
            writer.write_table(group, row_group_size=end - start)


def _leaves(schema: pa.Schema) -> list[str]:
    """Paths of the columns as Parquet stores them, nested ones one by one."""
    sink = io.BytesIO()
    pq.write_table(schema.empty_table(), sink)
    stored = pq.ParquetFile(sink).schema
    return [stored.column(index).path for index in range(len(stored))]


def row_groups(
    members: Sequence[Sequence[TarMember | None]], rows: int
) -> Iterator[tuple[int, int]]:
    """Runs of rows whose media fit ``GROUP_BYTES``; at least one row each."""
    start, held = 0, 0
    for row in range(rows):
        size = sum(member.size for column in members if (member := column[row]))
        if row > start and (held + size > GROUP_BYTES or row - start == ROWS_PER_GROUP):
            yield start, row
            start, held = row, 0
        held += size
    if rows > start:
        yield start, rows


def media_cells(
    members: Sequence[TarMember | None], spool: ByteReader, kind: pa.DataType
) -> pa.Array[Any]:
    """Media of some rows as a binary array, read straight into its buffer.

    Args:
        members: of each row, or None.
        spool: the file they lie in.
        kind: ``binary`` or ``large_binary``.
    """
    sizes = [member.size if member else 0 for member in members]
    width = np.int64 if pa.types.is_large_binary(kind) else np.int32
    offsets = np.zeros(len(sizes) + 1, dtype=width)
    np.cumsum(sizes, out=offsets[1:])
    buffer = pa.allocate_buffer(max(1, int(offsets[-1])))  # of nothing there is no view
    view = memoryview(buffer).cast("B")
    for member, offset in zip(members, offsets, strict=False):
        for done in range(0, member.size if member else 0, CHUNK_BYTES):
            assert member is not None
            chunk = spool.read(member.offset + done, min(CHUNK_BYTES, member.size - done))
            view[int(offset) + done : int(offset) + done + len(chunk)] = chunk
    validity = pa.array([member is not None for member in members], pa.bool_()).buffers()[1]
    buffers = [validity, pa.py_buffer(offsets.tobytes()), buffer]
    return pa.Array.from_buffers(kind, len(sizes), buffers)
