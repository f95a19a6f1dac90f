"""Bytes in single cells of Parquet files, read with the memory of one row group."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url

KEPT_COLUMN_BYTES = 64 << 20
"""Largest column of a row group that is kept for the next row."""
_KEPT_COLUMNS = 4


class _Kept(NamedTuple):
    """One column of one row group, and the row of the file that it starts at."""

    path: str
    column: str
    first: int
    cells: pa.ChunkedArray[Any]


class ParquetCells:
    """Reads cells one by one; the last small columns are kept for their next rows.

    Threads may share one, and then read one column at a time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[_Kept] = deque(maxlen=_KEPT_COLUMNS)

    def read(self, filesystem: Any, path: str, column: str, row: int) -> pa.Buffer:
        """Bytes of one cell, which may be of Hugging Face's struct of ``bytes`` and ``path``.

        Args:
            filesystem: fsspec's.
            path: of the file, inside it.
            column: its name.
            row: counted from the start of the file.

        Raises:
            InputError: there is no such row or column, or it holds no bytes.
            OSError: the file cannot be read.
        """
        with self._lock:
            kept = self._find(path, column, row)
        if kept is None:
            with filesystem.open(path, "rb") as opened, pq.ParquetFile(opened) as file:
                if column not in file.schema_arrow.names:
                    raise InputError(f"{redact_url(path)} has no column {column!r}.")
                group, first = _row_group(file.metadata, path, row)
                if _column_bytes(file.metadata, group, column) > KEPT_COLUMN_BYTES:
                    return _bytes_of(_lone_cell(file, group, column, row - first), path, row)
                with self._lock:
                    kept = self._find(path, column, row)
                    if kept is None:
                        cells = file.read_row_group(group, columns=[column]).column(0)
                        kept = _Kept(path, column, first, cells)
                        self._kept.append(kept)
        return _bytes_of(kept.cells[row - kept.first], path, row)

    def _find(self, path: str, column: str, row: int) -> _Kept | None:
        for kept in self._kept:
            place = row - kept.first
            if (kept.path, kept.column) == (path, column) and 0 <= place < len(kept.cells):
                return kept
        return None


def _row_group(metadata: pq.FileMetaData, path: str, row: int) -> tuple[int, int]:
    """The row group of a row, and its first row."""
    first = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if row < first + rows:
            return group, first
        first += rows
    raise InputError(f"{redact_url(path)} has {first} rows; there is no row {row}.")


def _column_bytes(metadata: pq.FileMetaData, group: int, column: str) -> int:
    found = metadata.row_group(group)
    chunks = [found.column(index) for index in range(found.num_columns)]
    return sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if chunk.path_in_schema.partition(".")[0] == column
    )


def _lone_cell(file: pq.ParquetFile, group: int, column: str, row: int) -> Any:
    batches = file.iter_batches(1, row_groups=[group], columns=[column])
    return next(batch for number, batch in enumerate(batches) if number == row).column(0)[0]


def _bytes_of(cell: Any, path: str, row: int) -> pa.Buffer:
    if pa.types.is_struct(cell.type) and cell.type.get_field_index("bytes") >= 0 and cell.is_valid:
        cell = cell["bytes"]
    kind = cell.type
    if not cell.is_valid or not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise InputError(f"{redact_url(path)}: row {row} holds no bytes.")
    return cell.as_buffer()  # type: ignore[no-any-return]  # the stubs know scalars only as Any
