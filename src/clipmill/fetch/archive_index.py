"""What lies where in a remote zip or tar, found by the standard library over range reads."""

from __future__ import annotations

import asyncio
import io
import struct
import tarfile
import threading
import zipfile
from abc import ABC, abstractmethod
from concurrent.futures import Executor, Future
from typing import NamedTuple

from clipmill.fetch.archive_ranges import Ranges
from clipmill.fetch.failures import failure
from clipmill.fetch.manners import Effort
from clipmill.media.sniff import sniff

# The end record of a zip may carry a comment of 64 KB; small archives have their index there too.
ZIP_TAIL_BYTES = (1 << 16) + 22
TAR_READ_BYTES = 1 << 16
MAX_INDEX_BYTES = 512 << 20

LOCAL_HEADER_BYTES = 30
"""What stands before every member of a zip, beside its name and extra fields."""

_ENCRYPTED = 0x1
_METHODS = {9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd", 95: "xz"}
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    NotImplementedError,
    ValueError,
    EOFError,
    OverflowError,
    struct.error,
)


class Member(NamedTuple):
    """Where one member lies and how it is packed.

    Args:
        start: first byte; of a zip's local header, or of a tar's data.
        packed_size: bytes as they lie in the archive, headers not counted.
        size: bytes once unpacked, as declared.
        header_size: most bytes that a local header is expected to take; 0 in a tar.
        method: compression of zip: 0 for none, 8 for deflate.
        checksum: CRC-32 as declared; None in a tar.
        obstacle: why it cannot be read, or empty.
    """

    start: int
    packed_size: int
    size: int
    header_size: int = 0
    method: int = zipfile.ZIP_STORED
    checksum: int | None = None
    obstacle: str = ""


class RangeFile(io.RawIOBase):
    """A read-only file whose bytes come over the network, for use in a thread.

    Args:
        ranges: reads stretches, in the event loop.
        effort: whose bytes are counted.
        known: a stretch that is known already: where it starts, and its bytes.
        read_ahead: least bytes per request.
    """

    def __init__(
        self, ranges: Ranges, effort: Effort, known: tuple[int, bytes], read_ahead: int
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._ranges = ranges
        self.effort = effort
        self._known = [known]
        self._read_ahead = read_ahead
        self._position = 0
        self._total = 0
        self._request: Future[bytes] | None = None
        self.stopped = threading.Event()

    def stop(self) -> None:
        """Let the thread that reads end soon."""
        self.stopped.set()
        if self._request is not None:
            self._request.cancel()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Position of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._ranges.size}
        self._position = max(0, base[whence] + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Read up to ``size`` bytes, from what is known or by one request."""
        start = self._position
        end = self._ranges.size if size is None or size < 0 else start + size
        end = min(end, self._ranges.size)
        if end <= start:
            return b""
        data = self._find(start, end) or self._fetch(start, end)
        self._position = start + len(data)
        return data

    def _find(self, start: int, end: int) -> bytes:
        for begin, data in self._known:
            if begin <= start and end <= begin + len(data):
                return data[start - begin : end - begin]
        return b""

    def _fetch(self, start: int, end: int) -> bytes:
        stretch = max(end - start, self._read_ahead)
        self._total += stretch
        if self._total > MAX_INDEX_BYTES:
            raise failure(
                "bad_archive",
                f"The index of {self._ranges.shown} is larger than {MAX_INDEX_BYTES} bytes.",
            )
        if self.stopped.is_set():
            raise failure("timeout", f"Reading the index of {self._ranges.shown} was given up.")
        read = self._ranges.read(start, start + stretch, self.effort)
        self._request = asyncio.run_coroutine_threadsafe(read, self._loop)
        data = self._request.result()
        self._known[1:] = [(start, data)]
        return data[: end - start]


class Index(ABC):
    """Members of one archive by name.

    Args:
        ranges: reads the archive.
        threads: where the standard library's parsers wait for bytes.
    """

    def __init__(self, ranges: Ranges, threads: Executor) -> None:
        self.ranges = ranges
        self.threads = threads
        self.members: dict[str, Member] = {}
        self.file: RangeFile | None = None

    def close(self) -> None:
        """Let a thread that reads the index end."""
        if self.file is not None:
            self.file.stop()

    @abstractmethod
    async def load(self, effort: Effort) -> None:
        """Read as much as is needed to know that it is an archive.

        Raises:
            DownloadError: it is none, or cannot be had.
        """

    @abstractmethod
    async def find(self, name: str, effort: Effort) -> Member | None:
        """The member of that name, or None."""


class ZipIndex(Index):
    """The central directory of a zip, read whole by two or three requests."""

    async def load(self, effort: Effort) -> None:
        """Read the directory."""
        known = await self.ranges.begin(effort, at_end=True, size=ZIP_TAIL_BYTES)
        self.file = RangeFile(self.ranges, effort, known, read_ahead=0)
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self.threads, self._parse, self.file)
        except _BROKEN as error:
            raise failure(
                "bad_archive", f"{self.ranges.shown} is not a zip that can be read: {error}"
            ) from error
        self.file = None

    def _parse(self, file: RangeFile) -> None:
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    self.members[info.filename] = _zip_member(info)

    async def find(self, name: str, effort: Effort) -> Member | None:
        """Look it up."""
        return self.members.get(name)


def _zip_member(info: zipfile.ZipInfo) -> Member:
    obstacle = ""
    if info.flag_bits & _ENCRYPTED:
        obstacle = "is encrypted"
    elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
        obstacle = f"is compressed by {method}, which is not supported (deflate and none are)"
    name_size = len(info.orig_filename.encode("utf-8", "surrogatepass"))
    return Member(
        info.header_offset,
        info.compress_size,
        info.file_size,
        LOCAL_HEADER_BYTES + name_size + len(info.extra),
        info.compress_type,
        info.CRC,
        obstacle,
    )


class TarIndex(Index):
    """The headers of a tar, read one after the other until what is asked for has come."""

    def __init__(self, ranges: Ranges, threads: Executor) -> None:
        super().__init__(ranges, threads)
        self._archive: tarfile.TarFile | None = None
        self._reading = asyncio.Lock()
        self._is_complete = False

    async def load(self, effort: Effort) -> None:
        """Read the first header."""
        known = await self.ranges.begin(effort, at_end=False, size=TAR_READ_BYTES)
        found = sniff(known[1])
        if found.extension in ("gz", "bz2", "xz", "zst"):
            raise failure(
                "bad_archive",
                f"{self.ranges.shown} is compressed by {found.extension} as a whole, so single "
                "members cannot be read. Unpack it, or store it as a plain tar.",
            )
        self.file = RangeFile(self.ranges, effort, known, TAR_READ_BYTES)
        await self._read(None)

    async def find(self, name: str, effort: Effort) -> Member | None:
        """Look it up, reading further headers if it has not come yet."""
        # Whoever gives up waiting must not leave the parser to two threads.
        await asyncio.shield(asyncio.ensure_future(self._read_until(name, effort)))
        return self.members.get(name)

    async def _read_until(self, name: str, effort: Effort) -> None:
        async with self._reading:
            if self.file and name not in self.members and not self._is_complete:
                self.file.effort = effort
                await self._read(name)

    async def _read(self, name: str | None) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self.threads, self._parse, name)
        except _BROKEN as error:
            raise failure(
                "bad_archive", f"{self.ranges.shown} is not a tar that can be read: {error}"
            ) from error

    def _parse(self, name: str | None) -> None:
        if self._archive is None and self.file is not None:
            self.file.seek(0)
            self._archive = tarfile.TarFile(fileobj=self.file, mode="r")
        while self._archive is not None and name is not None and name not in self.members:
            info = self._archive.next()
            if info is None:
                self._is_complete = True
                return
            # It keeps every member it has seen, which is more than we need of them.
            self._archive.members.clear()  # type: ignore[attr-defined]  # left out of typeshed
            if not info.isdir():
                self.members.setdefault(info.name.removeprefix("./"), _tar_member(info))


def _tar_member(info: tarfile.TarInfo) -> Member:
    obstacle = ""
    if info.issym() or info.islnk():
        obstacle = f"is a link to {info.linkname!r}; ask for that member"
    elif info.issparse() or not info.isreg():
        obstacle = "is not a regular file"
    return Member(info.offset_data, info.size, info.size, obstacle=obstacle)
