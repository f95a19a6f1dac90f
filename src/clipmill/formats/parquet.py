"""``<shard>.parquet`` alone: the table, with one binary column per extension."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clipmill.core.errors import InputError
from clipmill.core.sample import MediaRef
from clipmill.formats.base import CHUNK_BYTES, MemberPlace, ShardFormat
from clipmill.formats.media_table import media_column_names, write_with_media
from clipmill.formats.spool import SpoolWriter
from clipmill.formats.tables import check_column_names, table_name
from clipmill.io.byte_reader import ByteReader
from clipmill.io.folder import Folder
from clipmill.io.parquet_cells import ParquetCells


class ParquetWriter(SpoolWriter):
    """Writes everything once the table is known."""

    layout: ClassVar[str] = "parquet"

    def finish(self, table: pa.Table) -> list[str]:
        """Write the table and its media, one bounded row group at a time.

        Raises:
            OutputError: an input column has the name of a media column.
        """
        cells = self.spooled()
        promised = media_column_names(table.schema)
        columns = promised + sorted(cells.keys() - set(promised))
        check_column_names(table.column_names, columns, self.layout)
        path = self.staging / table_name(self.shard)
        with ByteReader(self.spool_path) as spool:
            write_with_media(path, table, {name: cells.get(name, {}) for name in columns}, spool)
        return [table_name(self.shard)]


class ParquetFormat(ShardFormat):
    """One table that holds everything."""

    name: ClassVar[str] = "parquet"
    texts: ClassVar[frozenset[str]] = frozenset()
    members_are_columns: ClassVar[bool] = True

    def __init__(self) -> None:
        self._held = threading.local()

    def __reduce__(self) -> tuple[type[ParquetFormat], tuple[()]]:
        return (ParquetFormat, ())

    def writer(self, staging: Path, shard: str) -> ParquetWriter:
        """A writer of one table."""
        return ParquetWriter(staging, shard)

    def table_name(self, shard: str) -> str:
        """``<shard>.parquet``."""
        return table_name(shard)

    def read_samples(
        self, folder: Folder, shard: str
    ) -> Iterator[tuple[str, Mapping[str, MediaRef], Mapping[str, Any]]]:
        """Samples in row order.

        Where a ``media`` column tells which rows have which media, those are not read.
        """
        path = folder.url_of(table_name(shard))
        with _opened(folder, path) as file:
            schema = file.schema_arrow
            if "key" not in schema.names:
                raise InputError(f"{path} has no column 'key', so it is no shard's table.")
            told = media_column_names(schema)
            media = told or [field.name for field in schema if _is_bytes(field.type)]
            columns = [name for name in schema.names if name not in told]
            row = 0
            for batch in file.iter_batches(batch_size=1024 if told else 16, columns=columns):
                first, present = row, _present(batch, media)
                others = [name for name in columns if name not in media]
                for values in batch.select(others).to_pylist():
                    found = [name for name, rows in present.items() if rows[row - first]]
                    refs = {name: MediaRef(path, name, row=row) for name in found}
                    yield values["key"], refs, values
                    row += 1

    def locate(
        self, folder: Folder, shard: str, key: str, row: int, extension: str, place: MemberPlace
    ) -> MediaRef:
        """A cell."""
        return MediaRef(folder.url_of(table_name(shard)), extension, row=row)

    def chunks(self, folder: Folder, ref: MediaRef) -> Iterator[bytes]:
        """A cell's bytes in pieces; its column of the row group is kept for the next call.

        Raises:
            InputError: there is no such cell, or nothing in it.
        """
        assert ref.row is not None
        cells: ParquetCells = self._held.__dict__.setdefault("cells", ParquetCells())
        with _readable(ref.path):
            path = folder.fs._strip_protocol(ref.path)
            cell = cells.read(folder.fs, path, ref.extension, ref.row)
        for start in range(0, cell.size, CHUNK_BYTES):
            yield cell.slice(start, min(CHUNK_BYTES, cell.size - start)).to_pybytes()


def _present(batch: pa.RecordBatch, media: Sequence[str]) -> dict[str, list[bool]]:
    """Which rows have which media, without making Python values of them."""
    found: dict[str, list[bool]] = {}
    for name in media:
        if name in batch.schema.names:
            cells = batch.column(name)
        else:
            cells = pc.struct_field(batch.column("media"), name)
        found[name] = [bool(valid) for valid in cells.is_valid().to_pylist()]
    return found


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _opened(folder: Folder, path: str) -> pq.ParquetFile:
    with _readable(path):
        return pq.ParquetFile(folder.fs._strip_protocol(path), filesystem=folder.fs)


@contextmanager
def _readable(path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.") from error
    except pa.ArrowInvalid as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}.") from error
