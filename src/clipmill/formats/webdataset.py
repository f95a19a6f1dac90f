"""``<shard>.tar`` with ``<key>.<extension>`` members, and ``<shard>.parquet`` beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from clipmill.core.sample import MediaRef
from clipmill.formats.base import Member, MemberPlace, ShardFormat, ShardWriter, member_name
from clipmill.formats.sidecar import TEXTS, read_sidecars
from clipmill.formats.tables import table_name, write_table
from clipmill.io.folder import Folder
from clipmill.io.tar import TarReader, TarWriter
from clipmill.io.tar_samples import tar_samples


def tar_name(shard: str) -> str:
    """File name of a shard's tar."""
    return f"{shard}.tar"


class WebDatasetWriter(ShardWriter):
    """Writes a tar. All its samples must have the same members, since readers count on it.

    The container of media may differ (``mp4`` here, ``webm`` there), for those who keep the
    original files; ``txt`` and ``json``, and the number of members, may not.
    """

    def __init__(self, staging: Path, shard: str) -> None:
        super().__init__(staging, shard)
        self._tar = TarWriter(staging / tar_name(shard))
        self._first: frozenset[str] | None = None

    def add(self, key: str, members: Mapping[str, Member]) -> dict[str, MemberPlace]:
        """Append one sample.

        Raises:
            ValueError: its members differ from those of the shard's first sample.
        """
        self._check_same(key, frozenset(members))
        start = self._tar.tell()
        places = {}
        try:
            for extension, member in members.items():
                name = member_name(key, extension)
                if isinstance(member, bytes):
                    stored = self._tar.add(name, member)
                else:
                    stored = self._tar.add(name, member.path, sha256=member.sha256)
                places[extension] = MemberPlace(*stored)
        except BaseException:
            self._tar.truncate(start)
            raise
        self._first = self._first or frozenset(members)
        return places

    def _check_same(self, key: str, extensions: frozenset[str]) -> None:
        first = self._first
        if first is None or extensions == first:
            return
        if len(extensions) != len(first) or extensions & TEXTS != first & TEXTS:
            raise ValueError(
                f"sample {key} has the members {sorted(extensions)}, but the first sample of "
                f"shard {self.shard} has {sorted(first)}; within a tar they must be the same"
            )

    def tell(self) -> int:
        """Bytes of the tar so far."""
        return self._tar.tell()

    def truncate(self, position: int) -> None:
        """Cut the tar back to ``position``."""
        self._tar.truncate(position)
        self._first = None
        if position:
            with TarReader(self.staging / tar_name(self.shard)) as tar:
                _, first = next(tar_samples(tar))
            self._first = frozenset(first)

    def finish(self, table: pa.Table) -> list[str]:
        """End the tar and write the table."""
        self._tar.close()
        return [tar_name(self.shard), write_table(self.staging, self.shard, table)]

    def abandon(self) -> None:
        """Leave the tar without an end."""
        self._tar.abandon()


class WebDatasetFormat(ShardFormat):
    """Tars that every WebDataset reader loads."""

    name: ClassVar[str] = "webdataset"

    def writer(self, staging: Path, shard: str) -> WebDatasetWriter:
        """A writer of one tar."""
        return WebDatasetWriter(staging, shard)

    def table_name(self, shard: str) -> str:
        """``<shard>.parquet``."""
        return table_name(shard)

    def read_samples(
        self, folder: Folder, shard: str
    ) -> Iterator[tuple[str, Mapping[str, MediaRef], Mapping[str, Any]]]:
        """Samples in tar order; neighbours with the same key make one sample."""
        path = folder.url_of(tar_name(shard))
        with TarReader(path) as tar:
            for key, parts in tar_samples(tar):
                refs = {
                    extension: MediaRef(path, extension, member.offset, member.size)
                    for extension, member in parts.items()
                }
                texts = {name: tar.read(parts[name]) for name in TEXTS & parts.keys()}
                yield key, refs, read_sidecars(texts, f"{path}: {key}")

    def locate(
        self, folder: Folder, shard: str, key: str, row: int, extension: str, place: MemberPlace
    ) -> MediaRef:
        """A stretch of the tar."""
        return MediaRef(folder.url_of(tar_name(shard)), extension, place.offset, place.size)
