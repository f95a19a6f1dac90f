"""Reading from storages in bounded pieces; runs in threads, knows nothing of the event loop."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from clipmill.core.errors import ClipmillError, DownloadError
from clipmill.fetch.failures import failure
from clipmill.fetch.target import open_target, write_all
from clipmill.media.sniff import HEAD_BYTES

LOCAL_CHUNK_BYTES = 1 << 20
REMOTE_CHUNK_BYTES = 4 << 20

# Where storages' own errors come from; an error of any other kind is a bug and stays one.
_STORAGE_LIBRARIES = frozenset(
    {
        *("adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "fsspec", "gcsfs"),
        *("google", "httpcore", "httpx", "httpx2", "huggingface_hub", "oss2", "ossfs"),
        *("pyarrow", "requests", "s3fs", "urllib3"),
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
        local_file: the path, when these are bytes of a local file.
        offset: of the first byte in the local file; None when these are all of its bytes.
        is_remote: whether they come over the wire.
    """

    size: int
    stop: threading.Event
    read: Callable[[], Iterator[bytes]]
    local_file: str | None = None
    offset: int | None = None
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
        return _pieces(path, start, length)

    return Chunks(length, stop, read, local_file=path, offset=offset)


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


def cell_chunks(cell: pa.Buffer, stop: threading.Event, *, is_remote: bool) -> Chunks:
    """Bytes of a table's cell, which are in memory."""

    def read() -> Iterator[bytes]:
        for start in range(0, cell.size, LOCAL_CHUNK_BYTES):
            yield cell.slice(start, min(LOCAL_CHUNK_BYTES, cell.size - start)).to_pybytes()

    return Chunks(cell.size, stop, read, is_remote=is_remote)


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


def _pieces(path: Path | str, start: int, length: int) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        left = length
        while left and (chunk := file.read(min(left, LOCAL_CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk


def link_local(chunks: Chunks, target: Path, *, in_place: bool) -> Copied | None:
    """Link a local file to ``target`` and hash what is wanted of it; None when it must be copied.

    Args:
        chunks: what is wanted, a whole file or a stretch of one.
        target: becomes a hard link.
        in_place: ``target`` will only be read: it may hold more than is wanted, and be a symbolic
            link where the file lies on another disk or is somebody else's.

    Raises:
        DownloadError: the file is shorter than it was just now.
    """
    if chunks.local_file is None or not (in_place or chunks.offset is None):
        return None
    # A link to what a symbolic link names, since that may be replaced under our feet.
    place = os.path.realpath(chunks.local_file)
    try:
        os.link(place, target)
    except FileNotFoundError:
        raise
    except OSError:
        if not in_place:
            return None
        os.symlink(place, target)
    digest, size, head = hashlib.sha256(), 0, b""
    try:
        whole = chunks.offset is None  # and hashed as long as it has become meanwhile
        for chunk in _pieces(target, chunks.offset or 0, sys.maxsize if whole else chunks.size):
            if chunks.stop.is_set():
                break
            head = head or chunk[:HEAD_BYTES]
            size += len(chunk)
            digest.update(chunk)
    finally:
        _remove_if_given_up(chunks, target)
    if not whole and size != chunks.size and not chunks.stop.is_set():
        raise failure("truncated", f"{size} bytes came where {chunks.size} were announced.")
    return Copied(size, digest.hexdigest(), head)


def copy_chunks(chunks: Chunks, target: Path) -> Copied:
    """Write all pieces to ``target``, hashing on the way; who calls removes it after a failure.

    Raises:
        DownloadError: fewer bytes came than were announced.
        RunError: this machine's disk cannot take them.
    """
    digest, size, head = hashlib.sha256(), 0, b""
    with open_target(target) as file:
        try:
            for chunk in chunks.read():
                if chunks.stop.is_set():
                    break
                head = head if len(head) >= HEAD_BYTES else head + chunk[:HEAD_BYTES]
                digest.update(chunk)
                size += len(chunk)
                write_all(file, chunk)
        finally:
            _remove_if_given_up(chunks, target)
    if size != chunks.size:
        raise failure("truncated", f"{size} bytes came where {chunks.size} were announced.")
    return Copied(size, digest.hexdigest(), head)


def _remove_if_given_up(chunks: Chunks, target: Path) -> None:
    """Who gives up sets ``stop``, then removes the target: one of both comes last."""
    if chunks.stop.is_set():
        target.unlink(missing_ok=True)


def translate(error: Exception, shown: str) -> DownloadError | None:
    """Say a storage library's error in our words; None when it is a bug of ours."""
    if isinstance(error, ClipmillError):
        return None
    text = f"{shown}: {error or type(error).__name__}"
    if type(error).__name__ in _CREDENTIAL_ERRORS:
        return failure("access_denied", f"{text}. Give credentials as its library expects them.")
    if isinstance(error, OSError):
        return _of_os_error(error, text)
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
