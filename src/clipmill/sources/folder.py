"""The folder source: media files, with what lies beside them as captions and columns."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from clipmill.core.errors import InputError
from clipmill.core.media_names import MEDIA_EXTENSIONS
from clipmill.core.redact import redact_url
from clipmill.sources.base import MEDIA_TYPE, InputFile, Part, Source, media_ref
from clipmill.sources.column_types import unify
from clipmill.sources.columns import Columns
from clipmill.sources.folder_kind import METADATA_NAMES, Entry, list_folder
from clipmill.sources.folder_metadata import FolderMetadata
from clipmill.sources.folder_subtitles import media_stem, read_subtitles
from clipmill.sources.paths import expand, is_folder
from clipmill.sources.row_shape import RowShape
from clipmill.sources.streams import is_local, open_stored, reading
from clipmill.sources.table_format import extension_of
from clipmill.sources.table_json import merge_types, plain_types, table_of_rows

_TYPED_ROWS = 1000


@dataclass(frozen=True, slots=True)
class _Listing:
    """The rows of one folder: media names (or named but missing ones) and their metadata rows.

    What may be ``readable`` is what lies in the folder, and what does not lie there: reading that
    says so. What is hidden or leads out of the folder is neither. ``subtitles`` are the names of
    subtitle files by the stem of their media.
    """

    names: list[str]
    metadata_rows: list[int | None]
    readable: frozenset[str]
    sidecars: frozenset[str]
    subtitles: Mapping[str, list[str]]
    size: int
    version: str


class FolderSource(Source):
    """Media files of a folder and its subfolders, one row each, folder by folder.

    A JSON file of the same stem gives columns, and so does a ``metadata.csv``, ``.jsonl`` or
    ``.parquet`` with the column ``file_name``. Their ``caption`` is the caption, else what a text
    file of the same stem holds; subtitle files of that stem, with a language after it or not, are
    its subtitles. Hidden files and links that leave the folder are skipped; a file
    that metadata name and that is not there is a row that fails.

    Args:
        given: a folder (path or fsspec URL), or media files by path, glob or braces.
        columns: which columns mean what; ``url`` is the file's path unless ``url_col`` is chosen,
            and ``caption`` is the caption unless another is chosen.

    Raises:
        InputError: there are no media files.
    """

    def __init__(self, given: str | Sequence[str], columns: Columns | None = None) -> None:
        self.columns = columns or Columns()
        several = [given] if isinstance(given, str) else list(given)
        found = [path for one in several for path in expand(one)]
        self._where = several[0]
        self._roots = [path.rstrip("/") for path in found if is_folder(path)]
        self._chosen: dict[str, set[str]] = {}
        for path in found:
            if path.rstrip("/") not in self._roots:
                folder, _, name = path.rpartition("/")
                self._chosen.setdefault(folder, set()).add(name)
        self._files: list[InputFile] = []
        self._metadata: dict[str, FolderMetadata] = {}
        self._raw = pa.schema([])
        self._shape: RowShape | None = None
        self._last: tuple[str, _Listing] | None = None

    def __getstate__(self) -> dict[str, Any]:
        self._plan()
        return {**self.__dict__, "_last": None}

    def files(self) -> Sequence[InputFile]:
        """The folders that have media, with the number of rows in each."""
        self._plan()
        return self._files

    def schema(self) -> pa.Schema:
        """Names and types of the rows, settled over all sidecars."""
        return self._plan().schema

    def read(self, part: Part) -> pa.Table:
        """Rows of one part of one folder."""
        shape = self._plan()
        file = self._files[part.file]
        listing = self._listing(file.url)
        if len(listing.names) != file.rows:
            raise InputError(
                f"{redact_url(file.url)} had {file.rows} media files when the run was planned, "
                f"and now has {len(listing.names)}. Use --extend or another output for new files."
            )
        rows = slice(part.start, part.start + part.count)
        names = listing.names[rows]
        raw = self._columns(file.url, listing, rows)
        paths = [f"{file.url}/{name}" for name in names]
        media = [
            [media_ref(path, extension_of(path))] if name in listing.readable else []
            for path, name in zip(paths, names, strict=True)
        ]
        return shape.apply(
            raw,
            url=pa.array(paths, pa.string()),
            text=pa.array([self._caption(file.url, name, listing) for name in names], pa.string()),
            subtitles=[self._subtitles(file.url, name, listing) for name in names],
            media=pa.array([refs or None for refs in media], MEDIA_TYPE),
        )

    def _plan(self) -> RowShape:
        if self._shape is None:
            types: dict[str, pa.DataType] = {}
            has_text = has_subtitles = False
            folders = list(self._folders())
            self._check_metadata(set(folders))
            for folder in folders:
                listing = self._listing(folder)
                if listing.names:
                    rows = len(listing.names)
                    self._files.append(InputFile(folder, rows, listing.size, listing.version))
                    has_text |= any(name.endswith(".txt") for name in listing.sidecars)
                    has_subtitles |= bool(listing.subtitles)
                    self._merge_sidecar_types(types, folder, listing)
            if not self._files:
                raise InputError(
                    f"There are no media files in {redact_url(self._where)}. "
                    f"Known are: {', '.join(sorted(MEDIA_EXTENSIONS))}."
                )
            self._raw = self._settle(types)
            self._shape = RowShape(
                self._raw,
                self._columns_meant(),
                self._where,
                has_media=True,
                has_text=has_text,
                has_subtitles=has_subtitles,
                default_url=None,
            )
        return self._shape

    def _columns_meant(self) -> Columns:
        """The user's choices, and ``caption`` where there is one and no other was chosen."""
        if self.columns.caption_col is not None or "caption" not in self._raw.names:
            return self.columns
        if pa.types.is_nested(self._raw.field("caption").type):
            return self.columns
        return self.columns.model_copy(update={"caption_col": "caption"})

    def _folders(self) -> Iterator[str]:
        """All folders, a folder before its subfolders, with metadata noted on the way."""
        yield from sorted(self._chosen)
        waiting = list(reversed(self._roots))
        while waiting:
            folder = waiting.pop()
            entries = list_folder(folder)
            tables = [entry.name for entry in entries if entry.name in METADATA_NAMES]
            if len(tables) > 1:
                raise InputError(f"{redact_url(folder)} has both {tables[0]} and {tables[1]}.")
            if tables:
                self._metadata[folder] = FolderMetadata(folder, tables[0])
            yield folder
            below = [entry.name for entry in entries if entry.is_folder]
            waiting += [
                f"{folder}/{name}"
                for name in reversed(below)
                if not (is_local(folder) and os.path.islink(f"{folder}/{name}"))
            ]

    def _check_metadata(self, folders: set[str]) -> None:
        for owner, metadata in self._metadata.items():
            for prefix in metadata.prefixes():
                if prefix and f"{owner}/{prefix}" not in folders:
                    raise InputError(
                        f"The metadata of {redact_url(owner)} describe files in {prefix!r}, but "
                        "there is no such folder in it."
                    )

    def _listing(self, folder: str) -> _Listing:
        if self._last is None or self._last[0] != folder:
            self._last = (folder, self._list(folder))
        return self._last[1]

    def _list(self, folder: str) -> _Listing:
        chosen = self._chosen.get(folder)
        everything = list_folder(folder)
        entries = [
            entry for entry in everything if not entry.is_folder and not self._leaves(folder, entry)
        ]
        media = [
            entry
            for entry in entries
            if extension_of(entry.name) in MEDIA_EXTENSIONS
            and (chosen is None or entry.name in chosen)
        ]
        stems = {entry.name.rpartition(".")[0] for entry in media}
        sidecars = {
            entry.name
            for entry in entries
            if entry.name.endswith((".txt", ".json")) and entry.name.rpartition(".")[0] in stems
        }
        subtitles: dict[str, list[str]] = {}
        for entry in entries:
            if stem := media_stem(entry.name, stems):
                subtitles.setdefault(stem, []).append(entry.name)
        present = [entry.name for entry in media]
        names, rows = self._with_metadata(folder, present)
        missing = set(names) - {entry.name for entry in everything}
        readable = {*present, *(name for name in missing if not name.startswith("."))}
        version = max((entry.version for entry in media), default="")
        size = sum(entry.size for entry in media)
        kept = frozenset(readable), frozenset(sidecars)
        return _Listing(names, rows, *kept, subtitles, size, version)

    def _leaves(self, folder: str, entry: Entry) -> bool:
        """Whether this is a link to outside the folder that the user named."""
        path = f"{folder}/{entry.name}"
        if not is_local(folder) or not os.path.islink(path):
            return False
        roots = [os.path.realpath(root) for root in [*self._roots, *self._chosen]]
        target = os.path.realpath(path)
        return not any(os.path.commonpath([root, target]) == root for root in roots)

    def _with_metadata(self, folder: str, names: list[str]) -> tuple[list[str], list[int | None]]:
        """Rows of a folder: a file that metadata name twice is two, a missing one is one too."""
        owner = self._owner(folder)
        if owner is None:
            return names, [None] * len(names)
        metadata, prefix = self._metadata[owner], folder[len(owner) + 1 :]
        described = metadata.rows_in(prefix)
        missing = sorted(described.keys() - set(names)) if folder not in self._chosen else []
        pairs = [(name, row) for name in [*names, *missing] for row in described.get(name, [None])]
        return [name for name, _ in pairs], [row for _, row in pairs]

    def _owner(self, folder: str) -> str | None:
        """The nearest folder from here up that has metadata."""
        while folder not in self._metadata:
            if folder in self._roots or "/" not in folder.rstrip("/"):
                return None
            folder = folder.rpartition("/")[0]
        return folder

    def _merge_sidecar_types(
        self, types: dict[str, pa.DataType], folder: str, listing: _Listing
    ) -> None:
        names = sorted(name for name in listing.sidecars if name.endswith(".json"))
        for start in range(0, len(names), _TYPED_ROWS):
            rows = [
                _read_members(f"{folder}/{name}") for name in names[start : start + _TYPED_ROWS]
            ]
            merge_types(types, table_of_rows(rows).schema)

    def _settle(self, types: Mapping[str, pa.DataType]) -> pa.Schema:
        tables = [(folder, table.schema, table.is_text) for folder, table in self._metadata.items()]
        return unify([*tables, ("the .json files", plain_types(types), True)])

    def _columns(self, folder: str, listing: _Listing, rows: slice) -> pa.Table:
        """Metadata and sidecar members of some rows, as columns."""
        names = listing.names[rows]
        owner = self._owner(folder)
        found: list[dict[str, Any]] = [{} for _ in names]
        members = [_sidecar(name, "json") for name in names]
        for row, member in zip(found, members, strict=True):
            if member in listing.sidecars:
                row.update(_read_members(f"{folder}/{member}"))
        if owner is not None:
            described = self._metadata[owner].read(listing.metadata_rows[rows])
            for row, more in zip(found, described, strict=True):
                row.update({name: value for name, value in more.items() if value is not None})
        return table_of_rows(found, self._raw)

    def _caption(self, folder: str, name: str, listing: _Listing) -> str | None:
        sidecar = _sidecar(name, "txt")
        if sidecar not in listing.sidecars:
            return None
        path = f"{folder}/{sidecar}"
        with reading(path), open_stored(path) as file:
            return file.read().decode("utf-8-sig", errors="replace").strip()

    @staticmethod
    def _subtitles(folder: str, name: str, listing: _Listing) -> list[dict[str, Any]]:
        stem = name.rpartition(".")[0]
        return read_subtitles(folder, stem, listing.subtitles.get(stem, ()))


def _sidecar(name: str, extension: str) -> str:
    return f"{name.rpartition('.')[0]}.{extension}"


def _read_members(path: str) -> dict[str, Any]:
    with reading(path), open_stored(path) as file:
        data = file.read()
    try:
        members = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{redact_url(path)} is not JSON: {error}") from error
    return members if isinstance(members, dict) else {"json": members}
