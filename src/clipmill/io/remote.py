"""The one border where what storage libraries raise becomes an error of ours."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from clipmill.core.errors import ClipmillError, StorageError
from clipmill.core.redact import redact_url


@contextmanager
def from_remote(url: str, verb: str = "read") -> Iterator[None]:
    """Translate what a storage library raises; missing files stay ``FileNotFoundError``.

    Only calls into the library belong inside: each has exceptions of its own, which share no class
    but ``Exception``, so that a bug of ours inside would be taken for one of them.

    Args:
        url: what is worked on.
        verb: what is done to it: ``read``, ``listed``, ``written``, ``removed``.

    Raises:
        StorageError: names the URL and the cause.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, ClipmillError):
        raise
    except Exception as error:
        raise storage_error(url, verb, error) from error


@contextmanager
def to_remote(url: str, verb: str = "written") -> Iterator[None]:
    """The same for writing, where a bucket that is missing is an error like any other."""
    try:
        with from_remote(url, verb):
            yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise storage_error(url, verb, error) from error


def storage_error(url: str, verb: str, error: Exception) -> StorageError:
    """What to say of a storage library's error."""
    cause = redact_url(" ".join(str(error).split()) or type(error).__name__).rstrip(".")
    return StorageError(
        f"{redact_url(url)} cannot be {verb}: {cause}. Check that the address is right, that you "
        "have access (credentials), and that the storage can be reached from here."
    )


class RemoteFile(io.RawIOBase):
    """A remote file open for reading, whose errors are ours.

    Args:
        file: as fsspec opened it; closed with this one.
        url: for messages.
    """

    def __init__(self, file: IO[bytes], url: str) -> None:
        self._file = file
        self._url = url

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes: whatever fsspec opens for us can be sought in."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to ``size`` bytes; all that are left by default."""
        with from_remote(self._url):
            return self._file.read(-1 if size is None else size)

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position."""
        with from_remote(self._url):
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Position of the next byte."""
        return self._file.tell()

    def close(self) -> None:
        """Close both files."""
        if not self.closed:
            self._file.close()
        super().close()
