"""Bytes of input files wherever they lie: opened, decompressed, and described."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import pyarrow as pa

from clipmill.core.errors import DamagedInput, InputError
from clipmill.core.redact import redact_url
from clipmill.io.filesystem import open_filesystem

Compression = Literal["gzip", "zstd"]
_COMPRESSIONS: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_UNREAD_CONTENT = {
    b"BZh": "compressed with bzip2; use gzip or zstd",
    b"\xfd7zXZ\x00": "compressed with xz; use gzip or zstd",
    b"PK\x03\x04": "a zip archive (or a spreadsheet); unpack it, or save the table as CSV",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
}
# Storage libraries have errors of their own that are no OSError.
_STORAGE_ERRORS = {
    "aiohttp": "ClientError",
    "httpx": "HTTPError",
    "httpx2": "HTTPError",
    "botocore.exceptions": "BotoCoreError",
    "google.auth.exceptions": "GoogleAuthError",
}
_CONNECTION_ERRORS = {
    "aiohttp": "ClientConnectionError",
    "httpx": "TransportError",
    "httpx2": "TransportError",
    "botocore.exceptions": "ConnectionError",
    "google.auth.exceptions": "TransportError",
}
_VERSION_KEYS = ("ETag", "etag", "md5", "generation", "LastModified", "last_modified", "created")
SNIFFED_BYTES = 1 << 16


def is_local(url: str) -> bool:
    """Whether this is a plain path of this machine rather than a URL."""
    return "://" not in url and "::" not in url


def is_http(url: str) -> bool:
    """Whether this is an HTTP URL, where ``?`` starts a query and folders cannot be listed."""
    return url.startswith(("http://", "https://"))


def file_system(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL and the path inside it.

    Raises:
        InputError: the protocol is unknown.
        MissingExtra: the library for the protocol is not installed.
    """
    # Offsets only mean something in bytes as they are stored, not as a server packs them to send.
    options = {"headers": {"Accept-Encoding": "identity"}} if is_http(url) else {}
    return open_filesystem(url, **options)


@contextmanager
def reading(url: str) -> Iterator[None]:
    """Translate what storage and format libraries raise about one input file.

    Raises:
        InputError: names the file and the first cause.
        DamagedInput: the file is there, but its bytes are not what they should be.
    """
    try:
        yield
    except Exception as error:  # asked which one here, since no more can be when Python is ending
        if not isinstance(error, _file_errors()):
            raise
        kind = DamagedInput if _is_damage(url, error) else InputError
        raise kind(_what_is_wrong(url, error)) from error


def _is_damage(url: str, error: Exception) -> bool:
    """Whether a decoder stumbled over the bytes, rather than the way to them failed.

    Decoders' OSError has no number. So has that of some libraries for object stores, of which it
    is taken for a failure on the way.
    """
    if isinstance(error, (pa.ArrowInvalid, EOFError)):
        return True
    return type(error) is OSError and error.errno is None and (is_local(url) or is_http(url))


def _file_errors() -> tuple[type[Exception], ...]:
    """What says that a file is at fault."""
    return (OSError, EOFError, pa.ArrowException, *_loaded(_STORAGE_ERRORS))


def _loaded(names: Mapping[str, str]) -> tuple[type[Exception], ...]:
    """Those of these exceptions that can be raised, since their library is loaded."""
    return tuple(
        getattr(sys.modules[module], name)
        for module, name in names.items()
        if module in sys.modules
    )


def _what_is_wrong(url: str, error: Exception) -> str:
    shown = redact_url(url)
    # To fsspec, whatever goes wrong on the way to a web server is a missing file.
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else error
    reason = redact_url(" ".join(str(cause).split()) or type(cause).__name__).rstrip(".")
    if isinstance(cause, (ConnectionError, TimeoutError, *_loaded(_CONNECTION_ERRORS))):
        return (
            f"{shown} cannot be reached: {reason}. Check the address, and that it can be reached "
            "from here."
        )
    if not isinstance(error, FileNotFoundError) or getattr(cause, "status", 404) not in (404, 410):
        return f"{shown} cannot be read: {reason}."
    return f"There is no {shown}" + (f" ({reason})." if cause else ".")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of an input file before it is parsed.

    Args:
        url: local path or fsspec URL.
        size: bytes as stored; -1 when the server does not tell.
        version: modification time, etag or the like; may be empty.
        compression: ``gzip``, ``zstd`` or None.
        head: the first bytes, decompressed.
    """

    url: str
    size: int
    version: str
    compression: Compression | None
    head: bytes


def look_at(url: str) -> FileFacts:
    """Size, version, compression and first bytes of a file.

    Raises:
        InputError: the file is missing, unreadable, or of a kind nobody can use here.
    """
    with reading(url):
        size, version = _size_and_version(url)
        with open_stored(url) as file:
            head = file.read(SNIFFED_BYTES)
        compression = next(
            (name for magic, name in _COMPRESSIONS.items() if head.startswith(magic)), None
        )
        if compression:
            with open_plain(url, compression) as file:
                head = file.read(SNIFFED_BYTES)
                file.read(1)  # only beyond the last byte it tells that the stream was cut short
    for magic, what in _UNREAD_CONTENT.items():
        if head.startswith(magic):
            raise InputError(f"{redact_url(url)} is {what}.")
    return FileFacts(url, size, version, compression, head)


def is_unchanged(facts: FileFacts) -> bool:
    """Whether a file still has the size and version that it had when it was looked at.

    Raises:
        InputError: it is gone, or cannot be reached any more.
    """
    with reading(facts.url):
        return _size_and_version(facts.url) == (facts.size, facts.version)


def _size_and_version(url: str) -> tuple[int, str]:
    if is_local(url):
        status = os.stat(url)
        return status.st_size, str(status.st_mtime_ns)
    fs, path = file_system(url)
    info = fs.info(path)
    version = next((str(info[key]) for key in _VERSION_KEYS if info.get(key)), "")
    size = info.get("size")
    return -1 if size is None else int(size), version


def open_stored(url: str) -> pa.NativeFile:
    """Open the bytes as they are stored."""
    if is_local(url):
        return pa.OSFile(url, "rb")
    fs, path = file_system(url)
    if not can_seek(url):
        return pa.PythonFile(fs.open(path, "rb", block_size=0), mode="r")
    return pa.PythonFile(fs.open(path, "rb"), mode="r")


def can_seek(url: str) -> bool:
    """Whether any part of a stored file can be read without those before it."""
    return not is_http(url) or _serves_parts(url)


@lru_cache(maxsize=1024)
def _serves_parts(url: str) -> bool:
    """Whether a web server obeys Range requests; those that do not rarely say so."""
    fs, path = file_system(url)
    with fs.open(path, "rb", cache_type="none") as file:
        try:
            file.seek(1)
            file.read(1)
        except ValueError:  # how fsspec says it
            return False
    return True


def open_plain(url: str, compression: Compression | None) -> pa.NativeFile:
    """Open the bytes decompressed; only uncompressed files can be sought in."""
    stored = open_stored(url)
    return pa.CompressedInputStream(stored, compression) if compression else stored
