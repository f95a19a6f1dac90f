"""The contract of a shard format: one writer per shard in a staging folder, one reader per shard."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from clipmill.core.sample import MediaRef
from clipmill.io.folder import Folder

Member = Path | bytes
"""A file's bytes, given as a local path (moved or copied, never read whole) or directly."""


@dataclass(frozen=True, slots=True)
class MemberPlace:
    """Where a member came to lie: row of the ``media`` struct column.

    Args:
        offset: first byte in the shard's media file; None for a file or cell of its own.
        size: bytes.
        sha256: hex digest.
    """

    offset: int | None
    size: int
    sha256: str


class ShardWriter(ABC):
    """Writes one shard's files under ``staging``; the ledger commits them afterwards.

    Args:
        staging: empty local folder of this shard.
        shard: shard name, such as ``00042``.
    """

    def __init__(self, staging: Path, shard: str) -> None:
        self.staging = staging
        self.shard = shard

    @abstractmethod
    def add(self, key: str, members: Mapping[str, Member]) -> dict[str, MemberPlace]:
        """Append one sample's members (extension -> bytes), in the order given.

        Called only for samples that have their media, in key order. ``txt`` and ``json`` members
        come like any other.
        """

    @abstractmethod
    def tell(self) -> int:
        """A position to come back to with ``truncate``: everything added so far lies before it."""

    @abstractmethod
    def truncate(self, position: int) -> None:
        """Forget what was added after ``position`` (an earlier worker died there); called first."""

    @abstractmethod
    def finish(self, table: pa.Table) -> list[str]:
        """Write the shard's table, close every file, and name what was written, in commit order.

        Names are relative to ``staging``; a name may be a folder, which is committed whole.
        """


class ShardFormat(ABC):
    """One layout: how shards are written, and how existing ones are read back."""

    name: ClassVar[str]
    keeps_text: ClassVar[bool] = True
    """Whether ``txt`` and ``json`` members are written (a table-only layout has columns instead)."""

    @abstractmethod
    def writer(self, staging: Path, shard: str) -> ShardWriter:
        """A writer for one new shard."""

    @abstractmethod
    def table_name(self, shard: str) -> str | None:
        """Name of the shard's Parquet table, or None when the layout writes none."""

    @abstractmethod
    def read_samples(
        self, folder: Folder, shard: str
    ) -> Iterator[tuple[str, Mapping[str, MediaRef], Mapping[str, Any]]]:
        """Samples of one shard in file order: key, members by extension, JSON-like metadata.

        Works from the media files alone, so that shards without our table can be read too.
        """
