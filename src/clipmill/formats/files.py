"""``<shard>/<key>.<extension>``: every member a file, and ``<shard>.parquet`` beside the folder."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from clipmill.core.sample import MediaRef
from clipmill.formats.base import (
    Member,
    MemberPlace,
    ShardFormat,
    ShardWriter,
    StoredFile,
    member_name,
)
from clipmill.formats.sidecar import TEXTS, read_sidecars
from clipmill.formats.tables import table_name, write_table
from clipmill.io.append import AppendFile, hash_file
from clipmill.io.folder import Folder


class FilesWriter(ShardWriter):
    """Writes a folder of files; a list beside it tells which of them count."""

    def __init__(self, staging: Path, shard: str) -> None:
        super().__init__(staging, shard)
        self._folder = staging / shard
        self._folder.mkdir(exist_ok=True)
        self._list = AppendFile(staging / f"{shard}.members")

    def add(self, key: str, members: Mapping[str, Member]) -> dict[str, MemberPlace]:
        """Write one sample's files."""
        names = {extension: member_name(key, extension) for extension in members}
        places = {}
        try:
            for extension, member in members.items():
                places[extension] = _write(self._folder / names[extension], member)
            with self._list.all_or_nothing():
                self._list.write("".join(f"{name}\n" for name in names.values()).encode())
        except BaseException:
            for name in names.values():
                (self._folder / name).unlink(missing_ok=True)
            raise
        return places

    def tell(self) -> int:
        """Bytes of the list of members so far."""
        return self._list.position

    def truncate(self, position: int) -> None:
        """Remove every file that was written after ``position``."""
        self._list.truncate(position)
        counting = set(self._list.path.read_text().split())
        for name in os.listdir(self._folder):
            if name not in counting:
                (self._folder / name).unlink()

    def finish(self, table: pa.Table) -> list[str]:
        """Write the table; an empty folder is not worth naming."""
        written = [self.shard] if self._list.position else []
        self._list.close()
        return [*written, write_table(self.staging, self.shard, table)]

    def abandon(self) -> None:
        """Leave files and list as they are."""
        self._list.abandon()


def _write(target: Path, member: Member) -> MemberPlace:
    if isinstance(member, StoredFile):
        sha256 = member.sha256 or hash_file(member.path)
        _take(member.path, target)
        return MemberPlace(None, target.stat().st_size, sha256)
    target.write_bytes(member)
    return MemberPlace(None, len(member), hashlib.sha256(member).hexdigest())


def _take(source: Path, target: Path) -> None:
    """Link a file that nobody else has, else copy it: two names must never share what one edits."""
    target.unlink(missing_ok=True)
    if source.lstat().st_nlink == 1 and not source.is_symlink():
        try:
            os.link(source, target)
            return
        except OSError:  # another disk, or a file system without links: copying says what is wrong
            pass
    shutil.copyfile(source, target)


class FilesFormat(ShardFormat):
    """Plain files, for people and programs that know no shards."""

    name: ClassVar[str] = "files"

    def writer(self, staging: Path, shard: str) -> FilesWriter:
        """A writer of one folder."""
        return FilesWriter(staging, shard)

    def table_name(self, shard: str) -> str:
        """``<shard>.parquet``."""
        return table_name(shard)

    def read_samples(
        self, folder: Folder, shard: str
    ) -> Iterator[tuple[str, Mapping[str, MediaRef], Mapping[str, Any]]]:
        """Samples in key order; no folder means no samples."""
        inside = Folder(folder.url_of(shard))
        names = [name for name in inside.list() if "." in name and not name.startswith(".")]
        # By key: "1.mp4" and "1.txt" lie apart in a listing that has "1-2.mp4".
        pairs = sorted(tuple(name.split(".", 1)) for name in names)
        for key, group in groupby(pairs, key=lambda pair: pair[0]):
            extensions = [extension for _, extension in group]
            refs = {
                extension.lower(): MediaRef(inside.url_of(f"{key}.{extension}"), extension.lower())
                for extension in extensions
            }
            texts = {
                name: inside.read_bytes(f"{key}.{name}") for name in extensions if name in TEXTS
            }
            yield key, refs, read_sidecars(texts, f"{inside.url}/{key}")

    def locate(
        self, folder: Folder, shard: str, key: str, row: int, extension: str, place: MemberPlace
    ) -> MediaRef:
        """A file of its own."""
        return MediaRef(folder.url_of(f"{shard}/{member_name(key, extension)}"), extension)
