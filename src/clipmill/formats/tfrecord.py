"""``<shard>.tfrecord``, one ``tf.train.Example`` per sample, and ``<shard>.parquet`` beside it."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from clipmill.core.errors import InputError, ProcessError
from clipmill.core.extras import require
from clipmill.core.media_names import IMAGE_EXTENSIONS, MEDIA_EXTENSIONS
from clipmill.core.sample import MediaRef
from clipmill.formats.base import (
    Member,
    MemberPlace,
    ShardFormat,
    ShardWriter,
    StoredFile,
    member_name,
    member_size,
)
from clipmill.formats.sidecar import TEXTS, read_sidecars
from clipmill.formats.tables import check_column_names, table_name, write_table
from clipmill.formats.tf_example import (
    BytesValue,
    Stretch,
    bytes_feature_head,
    example_head,
    feature,
    metadata,
    read_features,
)
from clipmill.io.append import AppendFile
from clipmill.io.byte_reader import ByteReader
from clipmill.io.folder import Folder

MAX_EXAMPLE_BYTES = 2_000_000_000
"""Protobuf counts the bytes of a message with 31 bits."""

_CRC_MASK = 0xA282EAD8
_LENGTH_BYTES = 12
_MODULE, _EXTRA = "google_crc32c", "tfrecord"
# Extensions by which media are told from texts in video2dataset's records, which have no json.
_PEER_MEDIA = MEDIA_EXTENSIONS | IMAGE_EXTENSIONS | {"npy"}


def record_name(shard: str) -> str:
    """File name of a shard's records."""
    return f"{shard}.tfrecord"


class TFRecordWriter(ShardWriter):
    """Writes records; media stream through, so memory stays flat.

    Features are ``key``, one bytes value per member, and every key of the ``json`` member that
    is not null.
    """

    def __init__(self, staging: Path, shard: str) -> None:
        super().__init__(staging, shard)
        module = require(_MODULE, extra=_EXTRA, used_by="format 'tfrecord'")
        self._extend = module.extend
        self._file = AppendFile(staging / record_name(shard))

    def add(self, key: str, members: Mapping[str, Member]) -> dict[str, MemberPlace]:
        """Append one record."""
        for extension in members:
            member_name(key, extension)
        parts: list[tuple[str, bytes, Member]] = []
        size = 0
        for extension, member in members.items():
            head = bytes_feature_head(extension, member_size(member))
            parts.append((extension, head, member))
            size += len(head) + member_size(member)
        before = feature("key", key)
        after = _metadata_features(members)
        size += len(before) + len(after)
        if size > MAX_EXAMPLE_BYTES:
            raise ProcessError(
                f"A sample of {size} bytes does not fit into a TFRecord, which takes "
                f"{MAX_EXAMPLE_BYTES}. Use --format webdataset or files.",
                error_class="too_large_for_format",
            )
        with self._file.all_or_nothing():
            return self._write(example_head(size) + before, parts, after, size)

    def _write(
        self, before: bytes, parts: list[tuple[str, bytes, Member]], after: bytes, size: int
    ) -> dict[str, MemberPlace]:
        length = struct.pack("<Q", len(example_head(size)) + size)
        self._file.write(length, self._masked(self._extend(0, length)), before)
        crc = self._extend(0, before)
        places = {}
        for extension, head, member in parts:
            self._file.write(head)
            crc = self._extend(crc, head)
            offset = self._file.position
            crc, sha256 = self._member(member, crc)
            places[extension] = MemberPlace(offset, member_size(member), sha256)
        self._file.write(after, self._masked(self._extend(crc, after)))
        return places

    def _member(self, member: Member, crc: int) -> tuple[int, str]:
        """Write a member's bytes; the checksum so far, and their digest."""
        if isinstance(member, bytes):
            self._file.write(member)
            return self._extend(crc, member), hashlib.sha256(member).hexdigest()
        digest = None if member.sha256 else hashlib.sha256()

        def watch(chunk: memoryview) -> None:
            nonlocal crc
            crc = self._extend(crc, chunk.tobytes())
            if digest:
                digest.update(chunk)

        self._file.copy(member.path, member.size, watch)
        return crc, digest.hexdigest() if digest else member.sha256 or ""

    @staticmethod
    def _masked(crc: int) -> bytes:
        rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
        return struct.pack("<I", (rotated + _CRC_MASK) & 0xFFFFFFFF)

    def tell(self) -> int:
        """Bytes of the file so far."""
        return self._file.position

    def truncate(self, position: int) -> None:
        """Cut the file back to ``position``."""
        self._file.truncate(position)

    def finish(self, table: pa.Table) -> list[str]:
        """Close the file and write the table."""
        self._file.close()
        return [record_name(self.shard), write_table(self.staging, self.shard, table)]

    def abandon(self) -> None:
        """Leave the file as it is."""
        self._file.abandon()


def _metadata_features(members: Mapping[str, Member]) -> bytes:
    text = members.get("json")
    if text is None:
        return b""
    known = json.loads(text.path.read_bytes() if isinstance(text, StoredFile) else text)
    check_column_names(known, members.keys() - TEXTS, TFRecordFormat.name)
    taken = TEXTS | {"key"}
    return b"".join(feature(name, value) for name, value in known.items() if name not in taken)


class TFRecordFormat(ShardFormat):
    """Records for ``tf.data``, written and read without TensorFlow."""

    name: ClassVar[str] = "tfrecord"
    members_are_columns: ClassVar[bool] = True
    needs: ClassVar[tuple[tuple[str, str], ...]] = ((_MODULE, _EXTRA),)

    def writer(self, staging: Path, shard: str) -> TFRecordWriter:
        """A writer of one file of records."""
        return TFRecordWriter(staging, shard)

    def table_name(self, shard: str) -> str:
        """``<shard>.parquet``."""
        return table_name(shard)

    def read_samples(
        self, folder: Folder, shard: str
    ) -> Iterator[tuple[str, Mapping[str, MediaRef], Mapping[str, Any]]]:
        """Samples in file order."""
        path = folder.url_of(record_name(shard))
        with ByteReader(path) as reader:
            for example in _examples(reader):
                try:
                    features = read_features(reader, example)
                    key = metadata({"key": features.pop("key")}, reader)["key"]
                except (ValueError, KeyError) as error:
                    raise InputError(
                        f"{path}: the record at byte {example.start} cannot be read: {error}."
                    ) from error
                yield key, *_sample(path, key, features, reader)

    def locate(
        self, folder: Folder, shard: str, key: str, row: int, extension: str, place: MemberPlace
    ) -> MediaRef:
        """A stretch of the file."""
        return MediaRef(folder.url_of(record_name(shard)), extension, place.offset, place.size)


def _sample(
    path: str, key: str, features: Mapping[str, Any], reader: ByteReader
) -> tuple[Mapping[str, MediaRef], Mapping[str, Any]]:
    single = {name: value for name, value in features.items() if isinstance(value, BytesValue)}
    texts = {name: reader.read(*single[name]) for name in TEXTS & single.keys()}
    known = read_sidecars(texts, f"{path}: {key}")
    if "json" in texts:
        media = single.keys() - (known.keys() - TEXTS)
    else:
        media = single.keys() & (TEXTS | _PEER_MEDIA)
        rest = {name: value for name, value in features.items() if name not in media}
        known = {**metadata(rest, reader), **known}
    refs = {
        name: MediaRef(path, name, place.offset, place.size)
        for name, place in single.items()
        if name in media
    }
    return refs, {"key": key, **known}


def _examples(reader: ByteReader) -> Iterator[Stretch]:
    """Where the examples lie."""
    if reader.read(0, 2) == b"\x1f\x8b":
        raise InputError(
            f"{reader.name} is compressed with gzip, so its members cannot be read by offset. "
            "Decompress it first, for example with gunzip."
        )
    position = 0
    while position < reader.size:
        head = reader.read(position, _LENGTH_BYTES)
        size = int.from_bytes(head[:8], "little")
        start = position + _LENGTH_BYTES
        position = start + size + 4
        if position > reader.size:
            raise InputError(
                f"{reader.name} is cut short or no TFRecord file: a record would end at byte "
                f"{position}, but the file has only {reader.size}."
            )
        yield Stretch(start, start + size)
