"""``<shard>.mds`` files and ``index.json``, as MosaicML Streaming reads them, and tables beside.

A file is, in little-endian numbers of 32 bits: how many samples there are; where each begins, and
the last ends; a JSON text that names the columns; the samples. A sample is the size of each value,
then the values. Columns are ``key``, one for each member, ``txt`` and ``json``. From the library's
``base/format/mds``; checked against its reader.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from clipmill.core.errors import InputError, ProcessError
from clipmill.core.sample import MediaRef
from clipmill.formats.base import (
    Member,
    MemberPlace,
    ShardFormat,
    ShardWriter,
    member_name,
    member_size,
)
from clipmill.formats.flat import rows_with_media
from clipmill.formats.media_table import media_column_names
from clipmill.formats.sidecar import TEXTS, read_sidecars
from clipmill.formats.tables import table_name, with_offsets, write_table
from clipmill.io.append import AppendFile
from clipmill.io.byte_reader import ByteReader
from clipmill.io.folder import Folder

INDEX = "index.json"
MAX_BYTES = 4_000_000_000
"""Places in a file have 32 bits; the rest is left for texts and the head."""

_U32 = np.dtype("<u4")
_KEY = "key"
_ENCODINGS = {_KEY: "str", "txt": "str", "json": "json"}


def mds_name(shard: str) -> str:
    """File name of a shard's samples."""
    return f"{shard}.mds"


def _config(columns: Sequence[str]) -> dict[str, Any]:
    """What a file, and the index, say of its columns."""
    return {
        "column_encodings": [_ENCODINGS.get(name, "bytes") for name in columns],
        "column_names": list(columns),
        "column_sizes": [None for _ in columns],
        "compression": None,
        "format": "mds",
        "hashes": [],
        "size_limit": None,
        "version": 2,
    }


class MosaicMLWriter(ShardWriter):
    """Writes samples to a working file; the head, which tells of all of them, comes last."""

    def __init__(self, staging: Path, shard: str) -> None:
        super().__init__(staging, shard)
        self._body = AppendFile(staging / f"{shard}.samples")
        self._names = staging / f"{shard}.columns"
        self._columns: list[str] = []

    def add(self, key: str, members: Mapping[str, Member]) -> dict[str, MemberPlace]:
        """Append one sample.

        Raises:
            ValueError: its members differ from those of the shard's first sample.
        """
        for extension in members:
            member_name(key, extension)
        columns = [_KEY, *members]
        if self._columns and columns != self._columns:
            raise ValueError(
                f"sample {key} has the members {list(members)}, but shard {self.shard} has "
                f"{self._columns[1:]}; in a file of MosaicML's they must be the same"
            )
        values: list[Member] = [key.encode(), *members.values()]
        sizes = [member_size(value) for value in values]
        if self._body.position + sum(sizes) > 2**32 - (1 << 24):
            raise ProcessError(
                f"A sample of {sum(sizes)} bytes does not fit into a file of MosaicML's, which "
                f"takes {MAX_BYTES}. Use --format webdataset or files.",
                error_class="too_large_for_format",
            )
        if not self._columns:
            self._names.write_text(json.dumps(columns))
        with self._body.all_or_nothing():
            self._body.write(np.array(sizes, _U32).tobytes())
            places = [self._append(value) for value in values]
        self._columns = columns
        return dict(zip(members, places[1:], strict=True))

    def _append(self, value: Member) -> MemberPlace:
        offset = self._body.position
        if isinstance(value, bytes):
            self._body.write(value)
            return MemberPlace(offset, len(value), hashlib.sha256(value).hexdigest())
        digest = None if value.sha256 else hashlib.sha256()
        size = value.size
        self._body.copy(value.path, size, digest.update if digest else None)
        return MemberPlace(offset, size, digest.hexdigest() if digest else value.sha256 or "")

    def tell(self) -> int:
        """Bytes of the working file so far."""
        return self._body.position

    def truncate(self, position: int) -> None:
        """Cut the working file back to ``position``."""
        self._body.truncate(position)
        self._columns = json.loads(self._names.read_text()) if position else []

    def finish(self, table: pa.Table) -> list[str]:
        """Write the head and, behind it, the samples; and the table that tells where they lie."""
        self._body.close()
        if not self._columns:
            return [write_table(self.staging, self.shard, table)]
        with ByteReader(self._body.path) as reader:
            ends = np.array([0, *_ends(reader, len(self._columns))], np.int64)
        config = json.dumps(_config(self._columns), sort_keys=True).encode()
        before = 4 + 4 * len(ends) + len(config)
        path = self.staging / mds_name(self.shard)
        path.unlink(missing_ok=True)
        file = AppendFile(path)
        file.write(np.array([len(ends) - 1], _U32).tobytes())
        file.write((ends + before).astype(_U32).tobytes(), config)
        file.copy(self._body.path, int(ends[-1]), None)
        file.close()
        placed = _moved(table, before)
        return [mds_name(self.shard), write_table(self.staging, self.shard, placed)]

    def abandon(self) -> None:
        """Leave the working file as it is."""
        self._body.abandon()


def _ends(reader: ByteReader, columns: int) -> Iterator[int]:
    """Where each sample of a working file ends."""
    position = 0
    while position < reader.size:
        sizes = np.frombuffer(reader.read(position, 4 * columns), _U32)
        position += 4 * columns + int(sizes.sum(dtype=np.int64))
        yield position


def _moved(table: pa.Table, by: int) -> pa.Table:
    """The table with every place so many bytes further on."""
    rows = rows_with_media(table)
    media = table.take(pa.array(rows, pa.int64())).column("media").to_pylist() if rows else []
    places: list[Any] = media
    offsets = {
        name: [place[name] and place[name]["offset"] + by for place in places]
        for name in media_column_names(table.schema)
    }
    return with_offsets(table, rows, offsets) if rows else table


class MosaicMLFormat(ShardFormat):
    """Files for ``streaming.StreamingDataset``, written and read without it."""

    name: ClassVar[str] = "mosaicml"
    index_files: ClassVar[tuple[str, ...]] = (INDEX,)
    same_members: ClassVar[bool] = True
    max_shard_bytes: ClassVar[int | None] = MAX_BYTES

    def writer(self, staging: Path, shard: str) -> MosaicMLWriter:
        """A writer of one file."""
        return MosaicMLWriter(staging, shard)

    def table_name(self, shard: str) -> str:
        """``<shard>.parquet``."""
        return table_name(shard)

    def read_samples(
        self, folder: Folder, shard: str
    ) -> Iterator[tuple[str, Mapping[str, MediaRef], Mapping[str, Any]]]:
        """Samples in file order; a shard of failures has no file."""
        if not folder.exists(mds_name(shard)) and folder.exists(table_name(shard)):
            return
        path = folder.url_of(mds_name(shard))
        with ByteReader(path) as reader:
            head = _Head(reader)
            for begin in head.begins[:-1]:
                values = head.values(int(begin))
                if _KEY not in values:
                    raise InputError(f"{path} has no column 'key', so its samples have no names.")
                key = reader.read(*values.pop(_KEY)).decode()
                refs = {name: MediaRef(path, name, *place) for name, place in values.items()}
                texts = {name: reader.read(*values[name]) for name in TEXTS & values.keys()}
                yield key, refs, read_sidecars(texts, f"{path}: {key}")

    def locate(
        self, folder: Folder, shard: str, key: str, row: int, extension: str, place: MemberPlace
    ) -> MediaRef:
        """A stretch of the file."""
        return MediaRef(folder.url_of(mds_name(shard)), extension, place.offset, place.size)

    def conclude(self, folder: Folder, shards: Sequence[str], about: Mapping[str, Any]) -> None:
        """Write the index of all files."""
        entries = []
        for name in map(mds_name, shards):
            if folder.exists(name):
                with ByteReader(folder.url_of(name)) as reader:
                    head = _Head(reader)
                    raw = {"basename": name, "bytes": reader.size, "hashes": {}}
                about_file = {"raw_data": raw, "samples": len(head.begins) - 1, "zip_data": None}
                entries.append({**head.config, **about_file})
        folder.write_json(INDEX, {"version": 2, "shards": entries})


class _Head:
    """What a file says of its samples.

    Args:
        reader: of the file.

    Raises:
        InputError: it is cut short, or no such file.
    """

    def __init__(self, reader: ByteReader) -> None:
        self._reader = reader
        try:
            count = int(np.frombuffer(reader.read(0, 4), _U32)[0])
            after = 4 + 4 * (count + 1)
            self.begins = np.frombuffer(reader.read(4, 4 * (count + 1)), _U32)
            self.config: dict[str, Any] = json.loads(
                reader.read(after, int(self.begins[0]) - after)
            )
            self._sizes = dict(
                zip(self.config["column_names"], self.config["column_sizes"], strict=True)
            )
        except (ValueError, KeyError, IndexError) as error:
            raise InputError(f"{reader.name} is no MDS file.") from error
        if self.begins[-1] > reader.size:
            raise InputError(
                f"{reader.name} is cut short: a sample would end at byte {self.begins[-1]}, but "
                f"the file has only {reader.size}."
            )

    def values(self, begin: int) -> dict[str, tuple[int, int]]:
        """Offset and size of each value of the sample at ``begin``."""
        variable = [name for name, size in self._sizes.items() if not size]
        told = np.frombuffer(self._reader.read(begin, 4 * len(variable)), _U32)
        sizes = {**self._sizes, **dict(zip(variable, map(int, told), strict=True))}
        position = begin + 4 * len(variable)
        found = {}
        for name, size in sizes.items():
            found[name] = (position, size)
            position += size
        return found
