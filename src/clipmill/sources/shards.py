"""The shard source: datasets that clipmill, video2dataset, img2dataset or WebDataset wrote."""

from __future__ import annotations

import logging
import os
import posixpath
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.io.layout import DATASET_FILE, STATS_SUFFIX, shard_order
from clipmill.sources.bare_tar import BareTar
from clipmill.sources.base import MEDIA_TYPE, MEMBERS_COLUMN, InputFile, Part, Source
from clipmill.sources.column_types import conform, unify
from clipmill.sources.columns import Columns
from clipmill.sources.folder_kind import list_folder
from clipmill.sources.paths import expand, is_folder
from clipmill.sources.row_media import RowMedia, media_column, row_urls
from clipmill.sources.row_shape import RowShape
from clipmill.sources.shard_media import TableMedia, holds_media
from clipmill.sources.streams import file_system, is_http, is_local
from clipmill.sources.table_format import extension_of
from clipmill.sources.tables import PLANNING_THREADS, Tables

_log = logging.getLogger(__name__)
_ARCHIVES = (".tar", ".tfrecord", ".mds")
_LANCE = "dataset.lance"


@dataclass(frozen=True, slots=True)
class _Shard:
    """Files of one shard: its table, if there is one, and where its media are."""

    table: str | None
    archive: str | None = None
    folder: str | None = None


class ShardSource(Source):
    """Samples of existing shards; their media are used where they lie.

    Rows come from the Parquet table of a shard; rows that failed then have no media and can be
    fetched by their URL. A tar without a table gives its JSON members' keys, ``cls`` and the key as
    columns and its ``txt`` as caption.

    Args:
        given: the dataset's folder, or tars or Parquet files by path, glob or braces.
        columns: which columns mean what; ``caption`` is the caption unless another is chosen.
        members: members to tell the places of beside media, by their whole extension, such as
            ``clip.npy``.

    Raises:
        InputError: there are no finished shards.
    """

    def __init__(
        self,
        given: str | Sequence[str],
        columns: Columns | None = None,
        members: Sequence[str] = (),
    ) -> None:
        self.columns = columns or Columns()
        self._members = members
        several = [given] if isinstance(given, str) else list(given)
        found = [path for one in several for path in expand(one)]
        self._where = several[0]
        self._shards = [shard for path in found for shard in _shards_at(path)]
        if not self._shards:
            raise InputError(f"There are no finished shards in {redact_url(self._where)}.")
        self._tables = Tables(
            [shard.table for shard in self._shards if shard.table], "parquet", holds_media
        )
        archives = [shard.archive or "" for shard in self._shards if not shard.table]
        self._bare = [BareTar(archive, members) for archive in archives]
        self._numbers = _numbers(self._shards)
        self._raw = pa.schema([])
        self._shape: RowShape | None = None
        self._last: tuple[int, list[RowMedia]] | None = None
        self._last_tar: BareTar | None = None

    def __getstate__(self) -> dict[str, Any]:
        self._plan()
        return {**self.__dict__, "_last": None, "_last_tar": None}

    def files(self) -> Sequence[InputFile]:
        """Tables, or tars without one, in the order of their names."""
        self._plan()
        tables = iter(self._tables.files() if self._tables.urls else [])
        bare = iter(self._bare)
        return [next(tables) if shard.table else next(bare).file for shard in self._shards]

    def schema(self) -> pa.Schema:
        """Names and types of the rows, settled over all shards."""
        schema = self._plan().schema
        return schema.append(pa.field(MEMBERS_COLUMN, MEDIA_TYPE)) if self._members else schema

    def read(self, part: Part) -> pa.Table:
        """Rows of one part of one shard.

        Raises:
            DamagedInput: media of one of them are lost.
        """
        shape = self._plan()
        shard, number = self._shards[part.file], self._numbers[part.file]
        if shard.table is None:
            tar = self._opened(self._bare[number])
            rows, media = tar.read(part.start, part.count, self._raw)
            texts = tar.texts(part.start, part.count)
            return self._shaped(shape, rows, texts, media, tar.file.url, part)
        rows = self._of_table(shard.table, Part(number, part.start, part.count), shape.needed)
        media = self._media(part.file, shard)[part.start : part.start + part.count]
        if damage := next((one.damage for one in media if one.damage), None):
            raise damage
        return self._shaped(shape, rows, [None] * part.count, media, shard.table, part)

    def _of_table(self, url: str, part: Part, names: Sequence[str]) -> pa.Table:
        """Columns of a table; those that only tars without one have are null there."""
        known = self._tables.schema.names
        rows = self._tables.read(part, [name for name in names if name in known])
        return conform(rows, pa.schema([self._raw.field(name) for name in names]), url)

    def _opened(self, tar: BareTar) -> BareTar:
        """The tar, after letting go of what is kept of the one before."""
        if self._last_tar is not None and self._last_tar is not tar:
            self._last_tar.forget()
        self._last_tar = tar
        return tar

    def _shaped(
        self,
        shape: RowShape,
        rows: pa.Table,
        texts: Sequence[str | None],
        media: list[RowMedia],
        place: str,
        part: Part,
    ) -> pa.Table:
        shaped = shape.apply(
            rows,
            url=row_urls(media, place, part.start),
            text=pa.array(texts, pa.string()),
            media=media_column(media),
        )
        if not self._members:
            return shaped
        members = pa.array([one.members for one in media], MEDIA_TYPE)
        return shaped.append_column(MEMBERS_COLUMN, members)

    def _media(self, file: int, shard: _Shard) -> list[RowMedia]:
        if self._last is None or self._last[0] != file:
            media = TableMedia(shard.table or "", shard.archive, shard.folder, self._members)
            self._last = (file, media.rows())
        return self._last[1]

    def _plan(self) -> RowShape:
        if self._shape is None:
            with ThreadPoolExecutor(PLANNING_THREADS) as threads:
                list(threads.map(BareTar.plan, self._bare))
            if not self._tables.urls and not any(tar.file.rows for tar in self._bare):
                raise InputError(f"There are no samples in {redact_url(self._where)}.")
            schemas = [(tar.file.url, tar.schema, True) for tar in self._bare]
            if self._tables.urls:
                schemas.append((self._tables.urls[0], self._tables.schema, False))
            self._raw = unify(schemas)
            columns = self.columns
            if columns.caption_col is None and "caption" in self._raw.names:
                columns = columns.model_copy(update={"caption_col": "caption"})
            has_text = any(tar.has_text for tar in self._bare)
            self._shape = RowShape(
                self._raw, columns, self._where, has_media=True, has_text=has_text
            )
        return self._shape


def _numbers(shards: Sequence[_Shard]) -> list[int]:
    """Each shard's number among those with a table, or among those without."""
    counts = {True: 0, False: 0}
    numbers = []
    for shard in shards:
        numbers.append(counts[shard.table is None])
        counts[shard.table is None] += 1
    return numbers


def _shards_at(path: str) -> Iterator[_Shard]:
    """Shards of a folder, or the one that a tar or table belongs to."""
    if not is_folder(path):
        yield _shard_of_file(path)
        return
    folder = path.rstrip("/")
    names = {entry.name: entry.is_folder for entry in list_folder(folder)}
    stems = {
        name.rpartition(".")[0]
        for name, is_a_folder in names.items()
        if not is_a_folder and name.endswith((".parquet", *_ARCHIVES))
    }
    finished = _finished(stems, names)
    if stems - finished:
        _log.warning(
            "%s: %d unfinished shards are left out (%s).",
            redact_url(folder),
            len(stems - finished),
            min(stems - finished),
        )
    for stem in sorted(finished, key=shard_order):
        archive = next((stem + suffix for suffix in _ARCHIVES if stem + suffix in names), None)
        if _LANCE in names:
            archive = _fragment(stem)
        table = f"{folder}/{stem}.parquet" if f"{stem}.parquet" in names else None
        if table or (archive and archive.endswith(".tar")):
            yield _Shard(
                table,
                f"{folder}/{archive}" if archive else None,
                f"{folder}/{stem}" if names.get(stem) else None,
            )


def _finished(stems: set[str], names: dict[str, bool]) -> set[str]:
    """Shards whose stats are there, or all when nobody wrote stats."""
    stats = {name.removesuffix(STATS_SUFFIX) for name in names if name.endswith(STATS_SUFFIX)}
    if not stats and DATASET_FILE not in names:
        return stems
    return {stem for stem in stems if stem in stats or stem.partition("-")[0] in stats}


def _shard_of_file(path: str) -> _Shard:
    stem = path.rpartition(".")[0]
    if extension_of(path) != "parquet":
        return _Shard(f"{stem}.parquet" if _is_there(f"{stem}.parquet") else None, path)
    folder, _, name = stem.rpartition("/")
    beside = [*(stem + suffix for suffix in _ARCHIVES), posixpath.join(folder, _fragment(name))]
    archive = next(filter(_is_there, beside), None)
    return _Shard(path, archive, stem if not is_http(path) and is_folder(stem) else None)


def _fragment(stem: str) -> str:
    """Where a shard's media lie in a dataset of the format lance."""
    return f"{_LANCE}/data/{stem}.lance"


def _is_there(path: str) -> bool:
    if is_local(path):
        return os.path.lexists(path)
    if is_http(path):
        return False
    fs, inner = file_system(path)
    return bool(fs.exists(inner))
