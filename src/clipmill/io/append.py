"""A local file that grows at its end, takes over other files, and rolls back to a position."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clipmill.core.errors import ShardError

COPY_CHUNK_BYTES = 1 << 20
# What kernels and file systems answer when they cannot copy by themselves.
_COPY_REFUSED = frozenset(
    (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY)
)


class AppendFile:
    """An unbuffered local file written at ``position``; a killed process loses nothing written.

    An existing file is kept until ``truncate`` says how much of it counts.

    Args:
        path: the file; created when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._file = open(descriptor, "r+b", buffering=0)  # noqa: SIM115 (closed by close)
        self.position = 0

    def truncate(self, position: int) -> None:
        """Keep the first ``position`` bytes of the file and go on behind them.

        Raises:
            ShardError: the file does not reach that far.
        """
        size = os.fstat(self._file.fileno()).st_size
        if size < position:
            raise ShardError(
                f"{self.path} has {size} bytes where an earlier worker had written {position}. "
                "Work in hand was lost; remove the file's folder to begin this shard again."
            )
        self._file.truncate(position)
        self.position = position

    def write(self, *parts: bytes | memoryview) -> None:
        """Append bytes, all parts in one system call where possible."""
        self._file.seek(self.position)
        left = [memoryview(part) for part in parts if len(part)]
        while left:
            written = os.writev(self._file.fileno(), left)
            self.position += written
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]

    def copy(self, path: Path, size: int, watch: Callable[[memoryview], object] | None) -> None:
        """Append a file's first ``size`` bytes in bounded memory.

        Args:
            path: a local file.
            size: bytes to take.
            watch: shown every chunk; None leaves the copy to the kernel.

        Raises:
            ShardError: the file turned out to be shorter.
        """
        with open(path, "rb", buffering=0) as source:
            copied = 0 if watch else self._copy_in_kernel(source.fileno(), size)
            source.seek(copied)
            chunk = memoryview(bytearray(min(size - copied, COPY_CHUNK_BYTES)))
            while copied < size:
                count = source.readinto(chunk[: size - copied])
                if not count:
                    raise ShardError(f"{path} has {copied} bytes, not the {size} it had before.")
                if watch:
                    watch(chunk[:count])
                self.write(chunk[:count])
                copied += count

    def _copy_in_kernel(self, source: int, size: int) -> int:
        """Bytes the kernel copied: all, or fewer where it cannot."""
        copied = 0
        if not hasattr(os, "copy_file_range"):
            return copied
        while copied < size:
            try:
                count = os.copy_file_range(
                    source, self._file.fileno(), size - copied, copied, self.position
                )
            except OSError as error:
                if error.errno not in _COPY_REFUSED:
                    raise
                break
            if count == 0:  # the end, or a file system that only pretends to copy
                break
            copied += count
            self.position += count
        return copied

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Go back to where the block began when it fails."""
        start = self.position
        try:
            yield
        except BaseException:
            self.position = start
            raise

    def close(self) -> None:
        """Cut off what lies behind ``position`` and close; closing twice is fine."""
        if not self._file.closed:
            self._file.truncate(self.position)
            self._file.close()

    def abandon(self) -> None:
        """Close and leave the file as it is, for a later worker to go on with."""
        self._file.close()


def hash_file(path: Path) -> str:
    """sha256 of a local file as hex digits."""
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
