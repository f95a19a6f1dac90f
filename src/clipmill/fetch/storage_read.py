"""Reading from storages in bounded pieces; runs in threads, knows nothing of the event loop."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.core.errors import ClipmillError, DownloadError, RunError
from clipmill.fetch.failures import failure
from clipmill.fetch.sniff import HEAD_BYTES

LOCAL_CHUNK_BYTES = 1 << 20
REMOTE_CHUNK_BYTES = 4 << 20
CACHED_GROUP_BYTES = 64 << 20
"""Largest row group of which the wanted column is kept for the next row."""

# Where storages' own errors come from; an error of any other kind is a bug and stays one.
_STORAGE_LIBRARIES = frozenset(
    {
        *("adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "fsspec", "ftplib", "gcsfs"),
        *("google", "httpx", "huggingface_hub", "ocifs", "ossfs", "paramiko", "pyarrow"),
        *("requests", "s3fs", "smbprotocol", "urllib3"),
    }
)
_CREDENTIAL_ERRORS = ("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError")


@dataclass(frozen=True, slots=True)
class Chunks:
    """Bytes to be had in pieces.

    Args:
        size: bytes in all.
        stop: set when nobody wants them any more.
        read: yields the pieces, from the first.
        local_file: the path, when these are all bytes of a local file.
        is_remote: whether they come over the wire.
    """

    size: int
    stop: threading.Event
    read: Callable[[], Iterator[bytes]]
    local_file: str | None = None
    is_remote: bool = False


class Copied(NamedTuple):
    """What was written: bytes, their hex digest, and the first of them."""

    size: int
    sha256: str
    head: bytes


def local_chunks(path: str, offset: int | None, size: int | None, stop: threading.Event) -> Chunks:
    """Look at a local file, or a stretch of it.

    Raises:
        DownloadError: it is not a regular file, or shorter than the stretch.
        OSError: it cannot be read.
    """
    # Without O_NONBLOCK, opening a FIFO would wait for its writer for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise failure("not_media", f"{path} is not a regular file.")
    start, length = _stretch(path, offset, size, status.st_size)

    def read() -> Iterator[bytes]:
        with open(path, "rb", buffering=0) as file:
            file.seek(start)
            left = length
            while left and (chunk := file.read(min(left, LOCAL_CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk

    return Chunks(length, stop, read, local_file=path if offset is None else None)


def remote_chunks(
    filesystem: Any, path: str, offset: int | None, size: int | None, stop: threading.Event
) -> Chunks:
    """Look at a file of a storage, or a stretch of it; every piece is one exact range request."""
    if offset is not None and size is not None:
        start, length = offset, size
    else:
        found = filesystem.info(path)
        if found["type"] != "file":
            raise failure("not_media", f"{path} is a {found['type']}, not a file.")
        if found.get("size") is None:
            raise failure("storage", f"{path}: the storage does not tell its size.")
        start, length = 0, int(found["size"])

    def read() -> Iterator[bytes]:
        for position in range(start, start + length, REMOTE_CHUNK_BYTES):
            end = min(position + REMOTE_CHUNK_BYTES, start + length)
            chunk = filesystem.cat_file(path, start=position, end=end)
            if len(chunk) > end - position:
                raise failure("bad_response", f"{path}: the server ignores Range requests.")
            yield chunk

    return Chunks(length, stop, read, is_remote=True)


def _stretch(path: str, offset: int | None, size: int | None, available: int) -> tuple[int, int]:
    if offset is None or size is None:
        return 0, available
    if offset + size > available:
        raise failure(
            "truncated",
            f"{path} ends at byte {available}, before the member at {offset} of {size} bytes does.",
            retryable=False,
        )
    return offset, size


def link_local(chunks: Chunks, target: Path) -> Copied | None:
    """Hard-link a local file to ``target`` and hash it; None when it cannot be linked."""
    if chunks.local_file is None:
        return None
    try:
        # A link to what a symbolic link names, since that may be replaced under our feet.
        target.unlink(missing_ok=True)
        os.link(os.path.realpath(chunks.local_file), target)
    except FileNotFoundError:
        raise
    except OSError:
        return None
    digest, size, head = hashlib.sha256(), 0, b""
    with open(target, "rb", buffering=0) as file:
        while not chunks.stop.is_set() and (chunk := file.read(LOCAL_CHUNK_BYTES)):
            head = head or chunk[:HEAD_BYTES]
            size += len(chunk)
            digest.update(chunk)
    _remove_if_given_up(chunks, target)
    return Copied(size, digest.hexdigest(), head)


def copy_chunks(chunks: Chunks, target: Path) -> Copied:
    """Write all pieces to ``target``, hashing on the way; who calls removes it after a failure.

    Raises:
        DownloadError: fewer bytes came than were announced.
        RunError: this machine's disk cannot take them.
    """
    digest, size, head = hashlib.sha256(), 0, b""
    with _open_target(target) as file:
        try:
            for chunk in chunks.read():
                if chunks.stop.is_set():
                    break
                head = head if len(head) >= HEAD_BYTES else head + chunk[:HEAD_BYTES]
                digest.update(chunk)
                size += len(chunk)
                _write(file, chunk)
        finally:
            _remove_if_given_up(chunks, target)
    if size != chunks.size:
        raise failure("truncated", f"{size} bytes came where {chunks.size} were announced.")
    return Copied(size, digest.hexdigest(), head)


def _remove_if_given_up(chunks: Chunks, target: Path) -> None:
    """Who gives up sets ``stop``, then removes the target: one of both comes last."""
    if chunks.stop.is_set():
        target.unlink(missing_ok=True)


def _open_target(target: Path) -> io.FileIO:
    try:
        return io.FileIO(target, "wb")
    except OSError as error:
        raise _disk_trouble(error) from error


def _write(file: io.FileIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise _disk_trouble(error) from error


def _disk_trouble(error: OSError) -> RunError:
    """When our own disk fails the run is in trouble, not the sample."""
    return RunError(f"Fetched bytes cannot be written: {error}.")


class ParquetCells:
    """Reads single cells of Parquet files; the last small row group is kept for its next rows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[str, str, int] | None = None
        self._column: pa.ChunkedArray[Any] | None = None

    def read(self, filesystem: Any, path: str, column: str, row: int) -> bytes:
        """Bytes in one cell, reading no more than its row group's column.

        Raises:
            DownloadError: there is no such row or column, or it holds no bytes.
        """
        with filesystem.open(path, "rb") as opened, pq.ParquetFile(opened) as file:
            if column not in file.schema_arrow.names:
                raise failure("not_found", f"{path} has no column {column!r}.")
            group, row_in_group = _row_group(file.metadata, path, row)
            cell = self._cell(file, (path, column, group), row_in_group)
        value = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(value, bytes):
            raise failure("not_found", f"{path}: row {row} of column {column!r} holds no bytes.")
        return value

    def _cell(self, file: pq.ParquetFile, key: tuple[str, str, int], row: int) -> Any:
        _, column, group = key
        if file.metadata.row_group(group).total_byte_size > CACHED_GROUP_BYTES:
            for batch in file.iter_batches(1, row_groups=[group], columns=[column]):
                if row == 0:
                    return batch.column(0)[0].as_py()
                row -= 1
        with self._lock:
            if self._key != key or self._column is None:
                self._column = file.read_row_group(group, columns=[column]).column(0)
                self._key = key
            return self._column[row].as_py()


def _row_group(metadata: pq.FileMetaData, path: str, row: int) -> tuple[int, int]:
    before = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if row < before + rows:
            return group, row - before
        before += rows
    raise failure("not_found", f"{path} has {before} rows; there is no row {row}.")


def translate(error: Exception, shown: str) -> DownloadError | None:
    """Say a storage library's error in our words; None when it is a bug of ours."""
    if isinstance(error, ClipmillError):
        return None
    text = f"{shown}: {error or type(error).__name__}"
    if isinstance(error, ImportError):
        protocol = shown.partition("://")[0]
        extra = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "hf": "hf"}.get(protocol)
        line = f' Install it with: pip install "clipmill[{extra}]"' if extra else ""
        return DownloadError(f"{text}{line}", error_class="missing_extra")
    if type(error).__name__ in _CREDENTIAL_ERRORS:
        return failure("access_denied", f"{text}. Give credentials as its library expects them.")
    if isinstance(error, OSError):
        return _of_os_error(error, text)
    if isinstance(error, ValueError) and "Protocol not known" in str(error):
        return failure("unsupported_scheme", text)
    if type(error).__module__.partition(".")[0] in _STORAGE_LIBRARIES:
        return failure("storage", text)
    return None


def _of_os_error(error: OSError, text: str) -> DownloadError:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return failure("not_found", text)
    if isinstance(error, IsADirectoryError):
        return failure("not_media", text)
    if isinstance(error, PermissionError):
        return failure("access_denied", text)
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return failure("not_found", text)
    if error.errno == errno.ENXIO:  # a socket, which cannot be opened
        return failure("not_media", text)
    return failure("storage", text)
