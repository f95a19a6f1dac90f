"""Where the media of existing shards lie: members of tars, files, cells of Parquet tables."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.core.errors import DamagedInput
from clipmill.core.media_names import (
    AUDIO_EXTENSIONS,
    IMAGE_EXTENSIONS,
    MEDIA_EXTENSIONS,
    VIDEO_EXTENSIONS,
)
from clipmill.io.tar import TarMember, TarReader
from clipmill.io.tar_samples import split_name, whole_samples
from clipmill.sources.base import media_ref
from clipmill.sources.folder_kind import list_folder
from clipmill.sources.row_media import OwnFolder, Refs, RowMedia, with_file
from clipmill.sources.streams import reading
from clipmill.sources.table_columnar import open_parquet

_KNOWN_EXTENSIONS = MEDIA_EXTENSIONS | IMAGE_EXTENSIONS
_CELL_FEATURES = ("Video", "Audio")


def in_order(refs: Refs) -> Refs:
    """Video first, then sound, then pictures."""

    def rank(ref: Mapping[str, Any]) -> int:
        return (
            0
            if ref["extension"] in VIDEO_EXTENSIONS
            else 1
            if ref["extension"] in AUDIO_EXTENSIONS
            else 2
        )

    return sorted(refs, key=rank)


def tar_media(
    path: str, members: Mapping[str, TarMember], wanted: Collection[str] = ()
) -> RowMedia:
    """References to those members of a sample that are media, and to others that are wanted."""
    refs = {
        name: media_ref(path, name, offset=member.offset, size=member.size)
        for name, member in members.items()
    }
    media = [
        {**ref, "extension": extension}
        for name, ref in refs.items()
        if (extension := name.rpartition(".")[2]) in _KNOWN_EXTENSIONS
    ]
    return RowMedia(in_order(media), members=[refs[name] for name in wanted if name in refs])


def holds_media(field: pa.Field[Any]) -> bool:
    """Whether a table column holds media or tells where they lie, so that it is no input column."""
    return is_places(field) or is_cell(field)


def is_places(field: pa.Field[Any]) -> bool:
    """Whether this is the ``media`` column of a shard table."""
    kind = field.type
    return (
        field.name == "media"
        and pa.types.is_struct(kind)
        and all(
            pa.types.is_struct(place.type) and place.type.get_field_index("size") >= 0
            for place in kind
        )
    )


def is_cell(field: pa.Field[Any]) -> bool:
    """Whether a column holds media bytes: binary named by extension, or Hugging Face's struct."""
    kind = field.type
    if pa.types.is_struct(kind):
        return {child.name for child in kind} == {"bytes", "path"}
    is_binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return is_binary and field.name in _KNOWN_EXTENSIONS


class TableMedia:
    """Where the media of one shard table's rows lie.

    Args:
        table: the table's path or URL.
        archive: file of the same shard that holds its media, such as a tar, if there is one.
        folder: folder of the same shard, if there is one.
        members: other members that are wanted, by their whole extension.
    """

    def __init__(
        self,
        table: str,
        archive: str | None,
        folder: str | None,
        members: Collection[str] = (),
    ) -> None:
        self._table = table
        self._members = members
        self._archive = archive
        self._folder = folder
        self._own = OwnFolder(table.rpartition("/")[0])

    def rows(self) -> list[RowMedia]:
        """What is known row by row; nothing of rows that failed."""
        with reading(self._table), open_parquet(self._table) as file:
            schema = file.schema_arrow
            wanted = [name for name in ("key", "status") if name in schema.names]
            places = [field.name for field in schema if is_places(field)]
            facts = file.read(columns=[*wanted, *places], use_threads=False)
            rows = facts.to_pylist() if facts.num_columns else [{}] * file.metadata.num_rows
            cells = [field for field in schema if is_cell(field) and _is_medium(field, schema)]
            if places:
                found = [self._placed(row, index) for index, row in enumerate(rows)]
            elif cells:
                found = _cell_media(self._table, file, cells, self._own)
            else:
                by_key, damage = self._by_key()
                lost = RowMedia([], damage=damage)
                keys = [str(row.get("key")) for row in rows]
                found = [by_key.get(key, lost) for key in keys]
        return [
            media if row.get("status") in (None, "success") else RowMedia([])
            for row, media in zip(rows, found, strict=True)
        ]

    def _placed(self, row: Mapping[str, Any], index: int) -> RowMedia:
        refs = []
        for extension, place in (row["media"] or {}).items():
            if place is None or place["size"] is None:
                continue
            if self._archive and place.get("offset") is not None:
                where = {"offset": place["offset"], "size": place["size"]}
                refs.append(media_ref(self._archive, extension, **where))
            elif self._folder:
                path = self._own_file(f"{row['key']}.{extension}")
                refs += [media_ref(path, extension)] if path else []
            elif self._archive is None:
                refs.append(media_ref(self._table, extension, row=index))
        return self._parted(refs)

    def _parted(self, refs: Refs) -> RowMedia:
        """Media, and those other members that are wanted."""
        return RowMedia(
            in_order([ref for ref in refs if ref["extension"] in _KNOWN_EXTENSIONS]),
            members=[ref for ref in refs if ref["extension"] in self._members],
        )

    def _own_file(self, name: str) -> str | None:
        """A file of the shard's folder; keys and links come with the dataset and may lead away."""
        return self._own.file(f"{(self._folder or '').rpartition('/')[2]}/{name}")

    def _by_key(self) -> tuple[dict[str, RowMedia], DamagedInput | None]:
        """What is known by key, where the table does not tell: one walk over headers or names.

        Also what is wrong with the tar, if anything.
        """
        if self._archive and self._archive.endswith(".tar"):
            with reading(self._archive), TarReader(self._archive) as tar:
                samples = list(whole_samples(tar))
            found = {
                one[0].rpartition("/")[2]: tar_media(self._archive, one[1], self._members)
                for one in samples
                if not isinstance(one, DamagedInput)
            }
            return found, next((one for one in samples if isinstance(one, DamagedInput)), None)
        by_key: dict[str, Refs] = {}
        for entry in list_folder(self._folder) if self._folder else []:
            name = split_name(entry.name)
            if name and name[1] in {*_KNOWN_EXTENSIONS, *self._members}:
                path = self._own_file(entry.name)
                by_key.setdefault(name[0], []).extend([media_ref(path, name[1])] if path else [])
        return {key: self._parted(refs) for key, refs in by_key.items()}, None


def _is_medium(field: pa.Field[Any], schema: pa.Schema) -> bool:
    """Whether Hugging Face's description of a column, when there is one, calls it a medium."""
    described = (schema.metadata or {}).get(b"huggingface")
    features = json.loads(described).get("info", {}).get("features", {}) if described else {}
    kind = features.get(field.name, {}).get("_type")
    return kind is None or kind in _CELL_FEATURES


def _cell_media(
    table: str, file: pq.ParquetFile, cells: list[pa.Field[Any]], own: OwnFolder
) -> list[RowMedia]:
    """What cells tell; only names and null counts are read, never the bytes."""
    found: list[RowMedia] = []
    for group in range(file.metadata.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        first = len(found)
        found += [RowMedia([]) for _ in range(count)]
        for field in cells:
            has_bytes = _has_bytes(file, group, field)
            paths = _paths(file, group, field, count)
            for row in range(count):
                if has_bytes[row]:
                    found[first + row].refs.append(media_ref(table, field.name, row=first + row))
                elif named := paths[row]:
                    found[first + row] = with_file(found[first + row], named, own)
    return found


def _has_bytes(file: pq.ParquetFile, group: int, field: pa.Field[Any]) -> list[bool]:
    leaf = f"{field.name}.bytes" if pa.types.is_struct(field.type) else field.name
    metadata = file.metadata.row_group(group)
    nulls = _null_count(metadata, leaf)
    if nulls in (0, metadata.num_rows):
        return [nulls == 0] * metadata.num_rows
    found: list[bool] = []
    for batch in file.iter_batches(16, row_groups=[group], columns=[leaf], use_threads=False):
        column: Any = batch.column(0)
        values = column.field("bytes") if pa.types.is_struct(column.type) else column
        found += values.is_valid().to_pylist()
    return found


def _null_count(metadata: pq.RowGroupMetaData, leaf: str) -> int | None:
    for index in range(metadata.num_columns):
        chunk = metadata.column(index)
        if chunk.path_in_schema == leaf and chunk.statistics is not None:
            statistics: Any = chunk.statistics  # the stubs misspell has_null_count
            return statistics.null_count if statistics.has_null_count else None
    return None


def _paths(file: pq.ParquetFile, group: int, field: pa.Field[Any], count: int) -> list[str | None]:
    if not pa.types.is_struct(field.type):
        return [None] * count
    column = file.read_row_group(group, columns=[f"{field.name}.path"]).column(0)
    return [cell and cell["path"] for cell in column.to_pylist()]
