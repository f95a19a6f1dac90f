"""Media of a shard in a working file, for layouts whose files are written once all is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from clipmill.core.errors import ProcessError
from clipmill.formats.base import Member, MemberPlace, ShardWriter, member_name, member_size
from clipmill.io.tar import TarMember, TarWriter, iter_members

MAX_CELL_BYTES = 2_000_000_000
"""Parquet counts the bytes of a cell and of a page with 31 bits; and a cell is held in memory."""


class SpoolWriter(ShardWriter):
    """Collects media in a working file; what derives from it writes the shard in ``finish``."""

    layout: ClassVar[str]
    """Name of the format, for messages."""

    def __init__(self, staging: Path, shard: str) -> None:
        super().__init__(staging, shard)
        self.spool_path = staging / f"{shard}.spool"
        self._spool = TarWriter(self.spool_path)

    def add(self, key: str, members: Mapping[str, Member]) -> dict[str, MemberPlace]:
        """Append one sample to the working file."""
        for extension, member in members.items():
            if member_size(member) > MAX_CELL_BYTES:
                raise ProcessError(
                    f"The {extension} file of {member_size(member)} bytes does not fit into "
                    f"format {self.layout!r}, which takes {MAX_CELL_BYTES}. "
                    "Use --format webdataset or files.",
                    error_class="too_large_for_format",
                )
        start = self._spool.tell()
        places = {}
        try:
            for extension, member in members.items():
                name = member_name(key, extension)
                if isinstance(member, bytes):
                    stored = self._spool.add(name, member)
                else:
                    stored = self._spool.add(name, member.path, sha256=member.sha256)
                places[extension] = MemberPlace(None, stored.size, stored.sha256)
        except BaseException:
            self._spool.truncate(start)
            raise
        return places

    def tell(self) -> int:
        """Bytes of the working file so far."""
        return self._spool.tell()

    def truncate(self, position: int) -> None:
        """Cut the working file back to ``position``."""
        self._spool.truncate(position)

    def abandon(self) -> None:
        """Leave the working file as it is."""
        self._spool.abandon()

    def spooled(self) -> dict[str, dict[str, TarMember]]:
        """Close the working file; where in it what lies, by extension and key."""
        filled = self._spool.tell() > 0
        self._spool.abandon()
        cells: dict[str, dict[str, TarMember]] = {}
        for member in iter_members(self.spool_path) if filled else ():
            key, _, extension = member.name.partition(".")
            cells.setdefault(extension, {})[key] = member
        return cells
