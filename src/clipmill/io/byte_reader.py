"""Bytes at an offset, of local files, URLs and open files alike."""

from __future__ import annotations

import os
from types import TracebackType
from typing import IO, cast

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.io.filesystem import open_filesystem
from clipmill.io.remote import RemoteFile, from_remote

REMOTE_BLOCK_BYTES = 256 * 1024
"""Read ahead of an object store; small, since headers lie far apart."""


class ByteReader:
    """Reads stretches of one file in any order.

    Args:
        source: local path, fsspec URL, or a seekable file open for reading, which stays open.

    Raises:
        InputError: there is no such file.
    """

    def __init__(self, source: str | os.PathLike[str] | IO[bytes]) -> None:
        self._descriptor: int | None = None
        self._file: IO[bytes] | None = None
        self._owns_file = False
        if not isinstance(source, str | os.PathLike):
            self.name = redact_url(str(getattr(source, "name", None) or "the open file"))
            self._file = source
            self.size = source.seek(0, os.SEEK_END)
            return
        path = os.fspath(source)
        self.name = redact_url(path)
        try:
            self._open(path)
        except FileNotFoundError as error:
            raise InputError(f"{self.name} does not exist.") from error

    def _open(self, path: str) -> None:
        if "://" in path:
            with from_remote(path):
                filesystem, inner = open_filesystem(path)
                opened = filesystem.open(inner, block_size=REMOTE_BLOCK_BYTES)
            self._file = cast(IO[bytes], RemoteFile(opened, path))
            self._owns_file = True
            self.size = self._file.seek(0, os.SEEK_END)
        else:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.size = os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        """Bytes ``[offset, offset + size)``; fewer only where the file ends."""
        size = max(0, min(size, self.size - offset))
        if self._descriptor is not None:
            data = os.pread(self._descriptor, size, offset)
            if len(data) == size:
                return data
        else:
            assert self._file is not None
            self._file.seek(offset)
            data = self._file.read(size)
        parts = [data]  # systems hand out at most 2 GiB at once, some files less
        got = len(data)
        while got < size and data:
            data = self._more(offset + got, size - got)
            parts.append(data)
            got += len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _more(self, offset: int, size: int) -> bytes:
        if self._descriptor is not None:
            return os.pread(self._descriptor, size, offset)
        assert self._file is not None
        self._file.seek(offset)
        return self._file.read(size)

    def close(self) -> None:
        """Close what was opened here."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._owns_file and self._file is not None:
            self._file.close()

    def __enter__(self) -> ByteReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
