"""Parquet and Arrow files: planned from their footers or batch headers, read by columns."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.sources.column_types import normal_schema
from clipmill.sources.forward import Chunk, ForwardReader
from clipmill.sources.streams import FileFacts, can_seek, open_plain, open_stored, reading
from clipmill.sources.table_format import TableFormat, TablePlan, check_names
from clipmill.sources.unpacked import unpacked
from clipmill.sources.valid_text import with_valid_text

BATCH_ROWS = 8192
_FILE_MAGIC = b"ARROW1\x00\x00"


class ParquetFormat(TableFormat):
    """Parquet: only the footer is read to plan, only needed columns to read.

    A file that is compressed as a whole is decompressed to disk first.
    """

    def plan(self, facts: FileFacts) -> TablePlan:
        """Row count and schema from the footer."""
        with reading(facts.url), _open(facts) as file:
            schema = normal_schema(file.schema_arrow)
            rows = file.metadata.num_rows
        check_names(schema.names, facts.url)
        return TablePlan(rows=rows, schema=schema)

    def reader(self, facts: FileFacts, plan: TablePlan, schema: pa.Schema) -> ForwardReader:
        """A cursor that seeks to row groups and decodes a few thousand rows at a time."""
        with reading(facts.url):
            file = _open(facts)
        metadata = file.metadata
        groups = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
        seek_rows = np.concatenate([[0], np.cumsum(groups[:-1], dtype=np.int64)]).astype(np.int64)
        known = set(schema.names)
        names = [name for name in file.schema_arrow.names if name in known]
        return ForwardReader(partial(_parquet_chunks, facts.url, file, names), seek_rows)


def _open(facts: FileFacts) -> pq.ParquetFile:
    return pq.ParquetFile(unpacked(facts)) if facts.compression else open_parquet(facts.url)


def open_parquet(url: str) -> pq.ParquetFile:
    """Open a Parquet file by its footer.

    Raises:
        InputError: the server does not allow reading parts of it.
    """
    if not can_seek(url):
        raise InputError(
            f"{redact_url(url)} is Parquet, but its server does not allow reading parts. "
            "Download the file first."
        )
    stored = open_stored(url)
    return pq.ParquetFile(stored, pre_buffer=False, page_checksum_verification=True)


def _parquet_chunks(
    url: str, file: pq.ParquetFile, names: list[str], first: int
) -> Iterator[Chunk]:
    groups = range(first, file.metadata.num_row_groups)
    if not names:  # batches without columns would not say how many rows they have
        for group in groups:
            rows = file.metadata.row_group(group).num_rows
            yield rows, partial(_rows_without_columns, rows)
        return
    with reading(url):
        for group in groups:  # one by one: a batch of two would be lost with either
            for batch in file.iter_batches(BATCH_ROWS, [group], names, use_threads=False):
                yield batch.num_rows, partial(_table, batch)


def _table(batch: pa.RecordBatch) -> pa.Table:
    return with_valid_text(pa.Table.from_batches([batch]))


def _rows_without_columns(rows: int) -> pa.Table:
    return pa.table({"_": pa.nulls(rows)}).select([])


class ArrowFormat(TableFormat):
    """Arrow IPC files (Feather) and streams, also compressed as a whole."""

    def plan(self, facts: FileFacts) -> TablePlan:
        """Count rows batch by batch, decoding one column at most."""
        with reading(facts.url):
            if _is_seekable_file(facts):
                file = _open_file(facts, None)
                narrow = _open_file(facts, file.schema.names[:1])
                counts = [
                    narrow.get_batch(index).num_rows for index in range(file.num_record_batches)
                ]
                schema = file.schema
            else:
                with open_plain(facts.url, facts.compression) as plain:
                    reader = _open_stream(facts, plain)
                    counts = [batch.num_rows for batch in reader]
                    schema = reader.schema
        check_names(schema.names, facts.url)
        starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        return TablePlan(rows=sum(counts), schema=normal_schema(schema), chunk_rows=starts)

    def reader(self, facts: FileFacts, plan: TablePlan, schema: pa.Schema) -> ForwardReader:
        """A cursor that seeks to batches of a file, and only goes forwards in a stream."""
        assert plan.chunk_rows is not None
        if not _is_seekable_file(facts):
            return ForwardReader(partial(_stream_chunks, facts), plan.chunk_rows[:1])
        with reading(facts.url):
            known = set(schema.names)
            names = [name for name in _open_file(facts, None).schema.names if name in known]
            file = _open_file(facts, names)
        return ForwardReader(partial(_file_chunks, facts.url, file), plan.chunk_rows[:-1])


def _is_seekable_file(facts: FileFacts) -> bool:
    if facts.compression or not facts.head.startswith(_FILE_MAGIC):
        return False
    return can_seek(facts.url)


def _open_file(facts: FileFacts, names: list[str] | None) -> pa.RecordBatchFileReader:
    if names is None:
        return pa.ipc.open_file(open_stored(facts.url))
    with open_stored(facts.url) as stored:
        schema = pa.ipc.open_file(stored).schema
    places = [schema.get_field_index(name) for name in names]
    options = pa.ipc.IpcReadOptions(included_fields=places)
    return pa.ipc.open_file(open_stored(facts.url), options=options)


def _open_stream(facts: FileFacts, plain: pa.NativeFile) -> pa.RecordBatchStreamReader:
    if facts.head.startswith(_FILE_MAGIC):
        plain.read(len(_FILE_MAGIC))  # a file is its magic, then a stream, then a footer
    return pa.ipc.open_stream(plain)


def _file_chunks(url: str, file: pa.RecordBatchFileReader, first: int) -> Iterator[Chunk]:
    with reading(url):
        for index in range(first, file.num_record_batches):
            batch = file.get_batch(index)
            yield batch.num_rows, partial(_table, batch)


def _stream_chunks(facts: FileFacts, first: int) -> Iterator[Chunk]:
    with reading(facts.url), open_plain(facts.url, facts.compression) as plain:
        for batch in _open_stream(facts, plain):
            yield batch.num_rows, partial(_table, batch)
