"""Tar files whose members' offsets are known: written without a library, read by walking headers.

Written tars are plain ustar wherever ustar suffices, so every reader takes them, and the same
members give the same bytes. Reading skips data, so listing a tar costs one small read per member.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from clipmill.core.errors import DamagedInput, InputError
from clipmill.io.append import AppendFile
from clipmill.io.byte_reader import ByteReader
from clipmill.io.tar_header import (
    BLOCK_BYTES,
    ZERO_BLOCK,
    RawHeader,
    member_header,
    padding,
    parse_header,
    parse_pax,
    pax_size,
    text_until_nul,
)

RECORD_BYTES = 20 * BLOCK_BYTES
"""Tar programs read and write this much at a time; a tar's size is a multiple of it."""

SMALL_BYTES = 1 << 20
"""Files up to this size are read and written at once, which beats copying them in the kernel."""

MAX_EXTENSION_BYTES = 1 << 20
"""Longest extension header believed; names are far shorter."""

_COMPRESSIONS = (
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"\xfd7zXZ\x00", "xz", "unxz"),
    (b"BZh", "bzip2", "bunzip2"),
    (b"\x04\x22\x4d\x18", "lz4", "unlz4"),
)


class Stored(NamedTuple):
    """Where bytes came to lie: offset of the first in the file, their number, their hex digest."""

    offset: int
    size: int
    sha256: str


class TarMember(NamedTuple):
    """A regular file in a tar: its name, offset of its first byte, and its size in bytes."""

    name: str
    offset: int
    size: int


class TarWriter:
    """Writes a tar member by member; can go on with one that an earlier process began.

    Nothing is buffered: what ``add`` returned for survives the death of the process. A file that
    exists is kept until ``truncate`` says how much of it counts.

    Args:
        path: local file.
    """

    def __init__(self, path: Path) -> None:
        self._file = AppendFile(path)

    def add(self, name: str, data: bytes | Path, *, sha256: str | None = None) -> Stored:
        """Append a member; when it fails half-way, the tar is as before.

        Args:
            name: its name.
            data: its bytes, or a local file that holds them, which is copied in bounded memory.
            sha256: hex digest where it is known, so that a file need not be read for it.

        Raises:
            ValueError: the name is absolute, or leads out of the tar.
        """
        if isinstance(data, Path) and (size := data.stat().st_size) <= SMALL_BYTES:
            data = data.read_bytes()
        file = self._file
        with file.all_or_nothing():
            if isinstance(data, bytes):
                header = member_header(name, len(data))
                offset = file.position + len(header)
                file.write(header, data, bytes(padding(len(data))))
                return Stored(offset, len(data), sha256 or hashlib.sha256(data).hexdigest())
            file.write(member_header(name, size))
            offset = file.position
            digest = None if sha256 else hashlib.sha256()
            file.copy(data, size, digest.update if digest else None)
            file.write(bytes(padding(size)))
            return Stored(offset, size, digest.hexdigest() if digest else sha256 or "")

    def tell(self) -> int:
        """Position behind the last member, to come back to with ``truncate``."""
        return self._file.position

    def truncate(self, position: int) -> None:
        """Forget what lies behind ``position``.

        Raises:
            ShardError: the file does not reach that far.
        """
        self._file.truncate(position)

    def close(self) -> None:
        """Write the end of the tar and close it."""
        end = self._file.position + 2 * BLOCK_BYTES
        self._file.write(bytes(2 * BLOCK_BYTES + -end % RECORD_BYTES))
        self._file.close()

    def abandon(self) -> None:
        """Close without an end, for a later writer to go on with."""
        self._file.abandon()


class TarReader:
    """Walks a tar's headers and reads members.

    Args:
        source: local path, fsspec URL, or a seekable file, which stays open.

    Raises:
        InputError: there is no such file, or it is empty or compressed.
    """

    def __init__(self, source: str | os.PathLike[str] | IO[bytes]) -> None:
        self._bytes = ByteReader(source)
        self._position = 0
        try:
            self._check_start()
        except BaseException:
            self._bytes.close()
            raise

    @property
    def name(self) -> str:
        """Path or URL, secrets redacted."""
        return self._bytes.name

    def _check_start(self) -> None:
        name = self._bytes.name
        start = self._bytes.read(0, 6)
        if not start:
            raise InputError(f"{name} is empty: not even the end of a tar is there.")
        for magic, kind, program in _COMPRESSIONS:
            if start.startswith(magic):
                raise InputError(
                    f"{name} is compressed with {kind}, so its members cannot be read by offset. "
                    f"Decompress it first, for example with {program}."
                )

    def __iter__(self) -> Iterator[TarMember]:
        """Regular files in the order they lie, up to the end mark (or the end, if it has none).

        Raises:
            DamagedInput: the tar is damaged, or cut short within a member.
        """
        return self._members(0)

    def after_damage(self) -> Iterator[TarMember]:
        """Those that lie behind the damage that the last walk has come upon."""
        start = self._position + BLOCK_BYTES
        for position in range(start, self._bytes.size, SMALL_BYTES):
            blocks = self._bytes.read(position, SMALL_BYTES)
            for within in range(0, len(blocks), BLOCK_BYTES):
                if _is_header(blocks[within : within + BLOCK_BYTES]):
                    return self._members(position + within)
        return iter(())

    def _members(self, position: int) -> Iterator[TarMember]:
        named: dict[str, str] = {}  # pax records and GNU names that hold for the next member
        everywhere: dict[str, str] = {}
        self._position = position
        while position < self._bytes.size:
            block = self._bytes.read(position, BLOCK_BYTES)
            if block == ZERO_BLOCK:
                return
            header = self._parse(block, position)
            position += BLOCK_BYTES
            if header.kind in "xXgLK":
                body = self._extension(header, position)
                position += header.size + padding(header.size)
                self._remember(header, body, named, everywhere, position)
                continue
            member = self._member(header, everywhere | named, position)
            named.clear()
            if member is not None:
                if member.offset + member.size > self._bytes.size:
                    self._position = self._bytes.size  # there is nothing behind it
                    raise self._cut_short(member.name, member.offset + member.size)
                yield member
                position += member.size + padding(member.size)
            self._position = position

    def read(self, member: TarMember) -> bytes:
        """A member's bytes."""
        return self._bytes.read(member.offset, member.size)

    def _parse(self, block: bytes, position: int) -> RawHeader:
        if len(block) < BLOCK_BYTES:
            raise self._cut_short(f"the header at {position}", position + BLOCK_BYTES)
        try:
            return parse_header(block)
        except ValueError as error:
            raise self._damaged(position, error) from error

    def _extension(self, header: RawHeader, position: int) -> bytes:
        if header.size > MAX_EXTENSION_BYTES:
            raise self._damaged(position, f"an extension header of {header.size} bytes")
        body = self._bytes.read(position, header.size)
        if len(body) < header.size:
            raise self._cut_short(f"the header at {position}", position + header.size)
        return body

    def _remember(
        self,
        header: RawHeader,
        body: bytes,
        named: dict[str, str],
        everywhere: dict[str, str],
        position: int,
    ) -> None:
        if header.kind == "L":
            named["path"] = text_until_nul(body)
        elif header.kind != "K":  # K names the target of a link
            try:
                (everywhere if header.kind == "g" else named).update(parse_pax(body))
            except ValueError as error:
                raise self._damaged(position, error) from error

    def _member(
        self, header: RawHeader, records: dict[str, str], position: int
    ) -> TarMember | None:
        """The file a header stands for; None for folders, links and devices, which have no data."""
        name = records.get("path", header.name)
        if header.kind in "123456" or (header.kind == "\0" and name.endswith("/")):
            return None
        try:
            if header.kind == "S":
                raise ValueError("it is stored sparse, which only tar programs can read")
            return TarMember(name, position, pax_size(records, header.size))
        except ValueError as error:
            raise self._damaged(position, f"member {name!r}: {error}") from error

    def _damaged(self, position: int, why: object) -> DamagedInput:
        return DamagedInput(f"{self._bytes.name} is not a readable tar, at byte {position}: {why}.")

    def _cut_short(self, what: str, end: int) -> DamagedInput:
        return DamagedInput(
            f"{self._bytes.name} is cut short: {what} would end at byte {end}, but the file has "
            f"only {self._bytes.size}. Fetch or write it again."
        )

    def close(self) -> None:
        """Close what was opened here."""
        self._bytes.close()

    def __enter__(self) -> TarReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _is_header(block: bytes) -> bool:
    """Whether a block begins a member; headers of the oldest tars are not told from data."""
    try:
        return block[257:262] == b"ustar" and bool(parse_header(block))
    except ValueError:
        return False


def iter_members(source: str | os.PathLike[str] | IO[bytes]) -> Iterator[TarMember]:
    """Regular files of a tar with their offsets, data skipped.

    Args:
        source: local path, fsspec URL, or a seekable file, which stays open.

    Raises:
        InputError: the tar is missing, empty, compressed, damaged or cut short.
    """
    with TarReader(source) as tar:
        yield from tar
