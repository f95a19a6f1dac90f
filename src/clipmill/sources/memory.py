"""Rows that a Python program holds: written once to an Arrow file, then read like any table."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from clipmill.core.errors import InputError
from clipmill.core.redact import plain_text
from clipmill.sources.columns import Columns
from clipmill.sources.shard_plan import CONTENT_VERSION
from clipmill.sources.table import TableSource
from clipmill.sources.table_json import table_of_rows

_HASHED_BYTES = 1 << 20
_DATASET_ROWS = 10_000
_KINDS = (
    "a list or generator of URLs or of dicts, a pandas DataFrame, a pyarrow Table or "
    "RecordBatchReader, a datasets.Dataset, or anything with to_arrow()"
)


def open_rows(given: Any, columns: Columns, spill: Path | None) -> TableSource:
    """Open rows given in memory.

    Args:
        given: a list or generator of URLs or dicts, a DataFrame, an Arrow table or reader, a
            ``datasets.Dataset``, or the like.
        columns: which columns mean what.
        spill: local folder for the rows. Default: a temporary one, removed with the source.

    Raises:
        InputError: these are not rows.
    """
    reader = _reader(given)
    folder = spill or Path(tempfile.mkdtemp(prefix="clipmill-rows-"))
    path, digest = _write(reader, folder)
    choices = columns.model_copy(update={"input_format": "arrow"})
    source = TableSource(str(path), choices, digest=digest)
    source.columns = columns
    if spill is None:
        weakref.finalize(source, shutil.rmtree, folder, ignore_errors=True)
    return source


def _write(reader: pa.RecordBatchReader, folder: Path) -> tuple[Path, str]:
    """Write batch by batch; the file is named by its content, so the same rows are one file."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".rows-{uuid.uuid4().hex[:8]}.tmp"
    try:
        with pa.OSFile(str(draft), "wb") as file, pa.ipc.new_file(file, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
        digest = hashlib.sha256()
        with draft.open("rb") as written:
            while chunk := written.read(_HASHED_BYTES):
                digest.update(chunk)
        path = folder / f"rows-{digest.hexdigest()[:16]}.arrow"
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path, f"{CONTENT_VERSION}{digest.hexdigest()}"


def _reader(given: Any) -> pa.RecordBatchReader:
    if isinstance(given, pa.RecordBatchReader):
        return given
    if type(given).__module__.split(".")[0] == "datasets":
        return _reader_of_dataset(given)
    table = _table(given)
    if len(set(table.column_names)) < table.num_columns:
        raise InputError(f"The rows given have two columns of one name: {table.column_names}.")
    if not table.num_rows:
        raise InputError("The rows given are empty: there is nothing to do.")
    return table.to_reader()


def _reader_of_dataset(given: Any) -> pa.RecordBatchReader:
    """Rows of a ``datasets.Dataset``, also a streamed one, in its own order and selection."""
    if isinstance(given, dict):
        raise InputError(f"Give one split of the dataset, such as [{next(iter(given), '')!r}].")
    tables = given.with_format("arrow").iter(_DATASET_ROWS)
    first = next(tables, None)
    if first is None:
        raise InputError("The dataset given is empty: there is nothing to do.")
    # Whoever streams rows may not know their types, and those of later ones may be others.
    schema = given.features.arrow_schema if given.features else first.schema
    return pa.RecordBatchReader.from_batches(schema, _batches(chain([first], tables), schema))


def _batches(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for table in tables:
        try:
            yield from table.cast(schema).to_batches()
        except (pa.ArrowException, ValueError) as error:
            raise InputError(
                f"Rows of the dataset given do not go together: {error}. "
                "Say what they hold with its `features`."
            ) from error


def _table(given: Any) -> pa.Table:
    if isinstance(given, pa.RecordBatch):
        return pa.Table.from_batches([given])
    if isinstance(given, pa.Table):
        return given
    if isinstance(given, list | tuple | Iterator):
        return _table_of_list(list(given))
    try:
        if type(given).__module__.split(".")[0] == "pandas":
            frame = given if hasattr(given, "columns") else given.to_frame("url")
            return pa.Table.from_pandas(frame, preserve_index=False)
        if hasattr(given, "to_arrow"):
            made = given.to_arrow()
            return made.read_all() if isinstance(made, pa.RecordBatchReader) else _table(made)
        if hasattr(given, "__arrow_c_stream__"):
            return pa.table(given)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
        raise InputError(
            f"The {type(given).__name__} cannot be read as a table: {error}"
        ) from error
    raise InputError(f"Rows cannot be read from {type(given).__name__}. Give {_KINDS}.")


def _table_of_list(rows: list[Any]) -> pa.Table:
    if all(isinstance(row, Mapping) for row in rows):
        return table_of_rows(rows)
    if all(isinstance(row, str | os.PathLike) or row is None for row in rows):
        urls = [None if row is None else plain_text(os.fspath(row)) for row in rows]
        return pa.table({"url": pa.array(urls, pa.string())})
    odd = next(row for row in rows if not isinstance(row, str | os.PathLike | None))
    raise InputError(
        f"A list of rows must hold only URLs or only dicts; this one also holds {odd!r}. "
        f"Give {_KINDS}."
    )
