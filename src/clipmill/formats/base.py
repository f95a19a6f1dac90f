"""The contract of a shard format: a writer per shard in a staging folder, and a reader."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from clipmill.core.sample import MediaRef
from clipmill.io.byte_reader import ByteReader
from clipmill.io.folder import Folder

CHUNK_BYTES = 1 << 20

_KEY = re.compile(r"[A-Za-z0-9_-]+")
_EXTENSION = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A member whose bytes lie in a local file.

    It is copied or linked, never read whole into memory. Its owner may remove it as soon as
    ``add`` returned, but never writes to it again.

    Args:
        path: the file.
        sha256: hex digest where it is known, so that the file need not be read for it.
    """

    path: Path
    sha256: str | None = None

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size


Member = StoredFile | bytes
"""One file of a sample."""


def member_size(member: Member) -> int:
    """Bytes of a member."""
    return member.size if isinstance(member, StoredFile) else len(member)


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


def member_name(key: str, extension: str) -> str:
    """Name of a member as every reader splits it again: at its first dot.

    Args:
        key: letters, digits, ``_`` and ``-``.
        extension: lower case, such as ``mp4`` or ``en.vtt``.

    Raises:
        ValueError: one of them could be misread, or lead out of the shard.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not a key: only letters, digits, '_' and '-' may be in it")
    if not _EXTENSION.fullmatch(extension):
        raise ValueError(f"{extension!r} is not an extension of lower-case letters and digits")
    return f"{key}.{extension}"


class ShardWriter(ABC):
    """Writes one shard's files under ``staging``; the ledger commits them afterwards.

    Nothing is buffered: what ``add`` returned for survives the death of the process. Files in
    ``staging`` that ``finish`` does not name are working files; whoever owns the folder removes it.

    Args:
        staging: local folder of this shard, empty or as an earlier writer left it.
        shard: shard name, such as ``00042``.
    """

    def __init__(self, staging: Path, shard: str) -> None:
        self.staging = staging
        self.shard = shard

    @abstractmethod
    def add(self, key: str, members: Mapping[str, Member]) -> dict[str, MemberPlace]:
        """Append one sample's members (extension -> bytes), in the order given; all or none.

        Called only for samples that have their media, in key order. ``txt`` and ``json`` members
        come like any other.

        Raises:
            ValueError: a key or extension is not fit to be a name.
            ProcessError: a member is too large for the layout.
        """

    @abstractmethod
    def tell(self) -> int:
        """A position to come back to with ``truncate``: everything added so far lies before it."""

    @abstractmethod
    def truncate(self, position: int) -> None:
        """Forget what was added after ``position`` (an earlier worker died there); called first.

        Raises:
            ShardError: what should lie before ``position`` is not there.
        """

    @abstractmethod
    def finish(self, table: pa.Table) -> list[str]:
        """Write the shard's table, close every file, and name what was written, in commit order.

        Names are relative to ``staging``; a name may be a folder, which is committed whole. When
        the process dies in between, a new writer truncated to the same position can finish again.
        """

    @abstractmethod
    def abandon(self) -> None:
        """Close every file without finishing, for a later writer to go on with."""


class ShardFormat(ABC):
    """One layout: how shards are written, and how existing ones are read back."""

    name: ClassVar[str]
    texts: ClassVar[frozenset[str]] = frozenset({"txt", "json"})
    """Which members about the media are written beside them; tables have columns instead."""
    needs_captions: ClassVar[bool] = False
    """Whether each sample has a ``txt``, an empty one where nothing is known to say."""
    index_files: ClassVar[tuple[str, ...]] = ()
    """Files and folders of the whole dataset that ``conclude`` writes."""
    members_are_columns: ClassVar[bool] = False
    """Whether media and columns share their names, so that none may be called like the other."""
    same_members: ClassVar[bool] = False
    """Whether all samples must have members of the same names, so that no container may differ."""
    max_shard_bytes: ClassVar[int | None] = None
    """Bytes of media that a file of the layout can hold; what is more goes to further volumes."""
    needs: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Optional modules it writes with, each with the extra of clipmill that brings it."""

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

        Works from the media files alone, so that shards without our table can be read too; of
        theirs, samples that failed have metadata but no media.

        Raises:
            InputError: the shard is missing, damaged or cut short.
        """

    @abstractmethod
    def locate(
        self, folder: Folder, shard: str, key: str, row: int, extension: str, place: MemberPlace
    ) -> MediaRef:
        """Where a member lies of which the table knows the place.

        Args:
            folder: the dataset.
            shard: its shard.
            key: the sample's key.
            row: the sample's row number in the shard's table.
            extension: which of its members.
            place: what the table's ``media`` column says.
        """

    def conclude(  # noqa: B027  # most layouts have nothing to say
        self, folder: Folder, shards: Sequence[str], about: Mapping[str, Any]
    ) -> None:
        """Write what is said of the whole dataset, once all shards are done; again where one is.

        Args:
            folder: the dataset.
            shards: their names, in order.
            about: content of ``dataset.json``.
        """

    def chunks(self, folder: Folder, ref: MediaRef) -> Iterator[bytes]:
        """A member's bytes in pieces of at most ``CHUNK_BYTES``.

        Raises:
            InputError: the file that holds it is missing.
        """
        with ByteReader(ref.path) as reader:
            start = ref.offset or 0
            end = reader.size if ref.size is None else start + ref.size
            while start < end and (chunk := reader.read(start, min(CHUNK_BYTES, end - start))):
                start += len(chunk)
                yield chunk

    def read(self, folder: Folder, ref: MediaRef) -> bytes:
        """A member's bytes, whole.

        Raises:
            InputError: the file that holds it is missing.
        """
        return b"".join(self.chunks(folder, ref))
