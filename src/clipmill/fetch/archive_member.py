"""One member on its way from an archive to disk: unpacked, checked, hashed, bounded."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from clipmill.fetch.archive_index import LOCAL_HEADER_BYTES, Member
from clipmill.fetch.archive_ranges import Ranges
from clipmill.fetch.failures import failure
from clipmill.fetch.inflate import RAW_DEFLATE, Inflater
from clipmill.fetch.manners import Effort
from clipmill.fetch.target import open_target, write_all
from clipmill.media.sniff import HEAD_BYTES, UNKNOWN, Sniffed, sniff

_LOCAL_HEADER = struct.Struct("<26xHH")
_LOCAL_MAGIC = b"PK\x03\x04"
# A local header may hold more extra fields than its copy in the index; this much is foreseen.
_SPARE_BYTES = 256


class Unpacking:
    """Writes one member to a file.

    Args:
        target: where to; removed by the caller after a failure.
        shown: how messages call the member.
    """

    def __init__(self, target: Path, shown: str) -> None:
        self._target = target
        self._shown = shown
        self._head: bytes | None = b""
        self._hash = hashlib.sha256()
        self._checksum = 0
        self.size = 0
        self.sniffed: Sniffed = UNKNOWN

    @property
    def sha256(self) -> str:
        """Hex digest of what was written."""
        return self._hash.hexdigest()

    async def run(self, ranges: Ranges, member: Member, effort: Effort) -> None:
        """Read, unpack and write the member.

        Raises:
            DownloadError: it is not what the index says, or not media.
            RunError: the disk does not take it.
        """
        packed = _packed(ranges, member, effort, self._shown)
        pieces = _inflated(packed, self._shown) if member.method else packed
        with open_target(self._target) as file:
            async with aclosing(pieces):
                async for piece in pieces:
                    self.size += len(piece)
                    if self.size > member.size:
                        raise failure(
                            "bad_archive",
                            f"{self._shown} unpacks to more than the {member.size} bytes declared.",
                        )
                    self._take(file, piece)
            if self._head is not None:
                self._check_head(file, self._head)
        if self.size != member.size:
            raise failure(
                "truncated", f"{self._shown} has {self.size} bytes instead of {member.size}."
            )
        if member.checksum is not None and self._checksum != member.checksum:
            raise failure("truncated", f"{self._shown} does not agree with its checksum.")

    def _take(self, file: io.FileIO, piece: bytes) -> None:
        self._checksum = zlib.crc32(piece, self._checksum)
        if self._head is None:
            self._write(file, piece)
            return
        self._head += piece
        if len(self._head) >= HEAD_BYTES:
            self._check_head(file, self._head)

    def _check_head(self, file: io.FileIO, head: bytes) -> None:
        """Decide by the first bytes whether to go on, then write them."""
        self._head = None
        self.sniffed = sniff(head)
        if not self.sniffed.may_be_media:
            what = self.sniffed.extension or self.sniffed.kind
            raise failure("not_media", f"{self._shown} is {what}, not video or audio.")
        self._write(file, head)

    def _write(self, file: io.FileIO, data: bytes) -> None:
        write_all(file, data)
        self._hash.update(data)


async def _packed(
    ranges: Ranges, member: Member, effort: Effort, shown: str
) -> AsyncGenerator[bytes]:
    """Yield exactly the member's bytes as they lie in the archive, by one request if possible."""
    spare = member.header_size + _SPARE_BYTES if member.header_size else 0
    end = min(member.start + spare + member.packed_size, ranges.size)
    left, position, head = member.packed_size, member.start, b""
    header_end = None if member.header_size else member.start
    while left:
        if position >= end:
            end = min(max(position, header_end or 0) + left, ranges.size)
        if position >= end:
            raise failure("truncated", f"{shown} ends after the archive does.")
        begun = position
        async with aclosing(ranges.stream(position, end, effort)) as stream:
            async for data in stream:
                position += len(data)
                if header_end is None:
                    head += data
                    header_end = _header_end(head, member, shown)
                    if header_end is None:
                        continue
                    data = head
                start = max(0, len(data) - (position - header_end))
                piece = data[start : start + left]
                left -= len(piece)
                if piece:
                    yield piece
        if position == begun:
            raise failure("truncated", f"{shown}: no more bytes came.")


def _header_end(head: bytes, member: Member, shown: str) -> int | None:
    """Where a zip member's data start, by its local header; None when more of it is needed."""
    if len(head) < LOCAL_HEADER_BYTES:
        return None
    if not head.startswith(_LOCAL_MAGIC):
        raise failure("bad_archive", f"{shown} is not where the archive's index says.")
    name_size, extra_size = _LOCAL_HEADER.unpack_from(head)
    return int(member.start + LOCAL_HEADER_BYTES + name_size + extra_size)


async def _inflated(packed: AsyncGenerator[bytes], shown: str) -> AsyncGenerator[bytes]:
    inflater = Inflater(shown, RAW_DEFLATE, "bad_archive")
    async with aclosing(packed):
        async for data in packed:
            for piece in inflater.pieces(data):
                yield piece
    yield inflater.rest()
