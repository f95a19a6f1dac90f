"""Nothing but stats: for measuring everything that comes before writing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from clipmill.core.errors import UserError
from clipmill.core.sample import MediaRef
from clipmill.formats.base import Member, MemberPlace, ShardFormat, ShardWriter, member_name
from clipmill.io.folder import Folder


class DummyWriter(ShardWriter):
    """Writes nothing."""

    def add(self, key: str, members: Mapping[str, Member]) -> dict[str, MemberPlace]:
        """Check the names and forget the sample."""
        for extension in members:
            member_name(key, extension)
        return {}

    def tell(self) -> int:
        """Nothing is written, so nothing is ever lost."""
        return 0

    def truncate(self, position: int) -> None:
        """There is nothing to forget."""

    def finish(self, table: pa.Table) -> list[str]:
        """No files."""
        return []

    def abandon(self) -> None:
        """No files are open."""


class DummyFormat(ShardFormat):
    """Keeps neither media nor tables."""

    name: ClassVar[str] = "dummy"
    texts: ClassVar[frozenset[str]] = frozenset()

    def writer(self, staging: Path, shard: str) -> DummyWriter:
        """A writer of nothing."""
        return DummyWriter(staging, shard)

    def table_name(self, shard: str) -> None:
        """There is no table."""

    def read_samples(
        self, folder: Folder, shard: str
    ) -> Iterator[tuple[str, Mapping[str, MediaRef], Mapping[str, Any]]]:
        """No samples."""
        return iter(())

    def locate(
        self, folder: Folder, shard: str, key: str, row: int, extension: str, place: MemberPlace
    ) -> MediaRef:
        """Refuse.

        Raises:
            UserError: always.
        """
        raise UserError("Format 'dummy' keeps no media.")
