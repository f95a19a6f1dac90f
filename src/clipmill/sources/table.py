"""The table source: CSV, TSV, JSON, JSON lines, text, Parquet and Arrow files of rows."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.sources.base import MEDIA_COLUMN, MEDIA_TYPE, InputFile, Part, Source
from clipmill.sources.columns import Columns
from clipmill.sources.paths import expand, full_url, is_folder
from clipmill.sources.row_media import OwnFolder, named_files
from clipmill.sources.row_shape import RowShape
from clipmill.sources.streams import file_system, is_http, reading
from clipmill.sources.table_format import TABLE_EXTENSIONS, extension_of, format_named
from clipmill.sources.tables import Tables

_NAMES = ("file_name", "file")
"""Columns that name the files of a folder."""
_MEDIA = pa.field(MEDIA_COLUMN, MEDIA_TYPE)


class TableSource(Source):
    """Rows of table files; several files are one table, typed together.

    With a ``media_folder``, rows name files of it.

    Args:
        given: a path, glob, folder, brace expression or fsspec URL, or several.
        columns: which columns mean what. Default: see ``Columns``.
        digest: identity of the content, for rows that were given in memory. Default: none.

    Raises:
        InputError: nothing is there, or it is no table.
    """

    def __init__(
        self,
        given: str | Sequence[str],
        columns: Columns | None = None,
        *,
        digest: str | None = None,
    ) -> None:
        self.columns = columns or Columns()
        named = self.columns.input_format
        table_format = format_named(named) if named not in (None, "table") else None
        several = [given] if isinstance(given, str) else list(given)
        found = [path for one in several for path in expand(one)]
        urls = [file for path in found for file in table_files(path, table_format)]
        self._tables = Tables(urls, table_format)
        self._where = several[0]
        self._folder = _folder_named(self.columns.media_folder)
        self._digest = digest
        self._shape: RowShape | None = None
        self._urls_only: TableSource | None = None

    def __getstate__(self) -> dict[str, object]:
        self._settled()
        return {**self.__dict__, "_urls_only": None}

    def _settled(self) -> RowShape:
        if self._shape is None:
            names = self._tables.schema.names
            default = next((name for name in _NAMES if self._folder and name in names), "url")
            self._shape = RowShape(
                self._tables.schema, self.columns, self._where, default_url=default
            )
        return self._shape

    def media_folder(self) -> str | None:
        """The folder that the table's paths are seen from, where that was said."""
        return self._folder

    def files(self) -> Sequence[InputFile]:
        """The table files, in the order of their names."""
        files = self._tables.files()
        if self._digest is None:
            return files
        return [InputFile(file.url, file.rows, file.size, self._digest) for file in files]

    def schema(self) -> pa.Schema:
        """Names and types of the rows, settled over all files."""
        schema = self._settled().schema
        return schema if self._folder is None else schema.append(_MEDIA)

    def read(self, part: Part) -> pa.Table:
        """Rows of one part; reading parts in ascending order visits each file once."""
        shape = self._settled()
        rows = shape.apply(self._tables.read(part, shape.needed))
        if self._folder is None:
            return rows
        urls, media = named_files(rows.column("url"), OwnFolder(self._folder))
        return rows.set_column(0, "url", urls).append_column(_MEDIA, media)

    def read_urls(self, part: Part) -> pa.ChunkedArray[Any]:
        """The ``url`` column of one part, without reading any other."""
        if self._urls_only is None:
            self._urls_only = copy.copy(self)
            only = Columns(url_col=self._settled().url, save_additional_columns=())
            self._urls_only._shape = RowShape(self._tables.schema, only, self._where)
        return Source.read_urls(self._urls_only, part)


def _folder_named(given: str | None) -> str | None:
    """The folder that paths are seen from.

    Raises:
        InputError: there is none of that name.
    """
    if given is None or is_http(given):
        return given and given.rstrip("/")
    if not is_folder(given):
        raise InputError(f"media_folder: {redact_url(given)} is no folder that is there.")
    return given.rstrip("/")


def table_files(path: str, table_format: str | None = None) -> list[str]:
    """The path itself, or the table files in it and its subfolders when it is a folder.

    Args:
        path: what ``expand`` found.
        table_format: every visible file of the folder has this format. Default: files are taken
            by their extensions.

    Raises:
        InputError: there are none.
    """
    if not is_folder(path):
        return [path]
    fs, root = file_system(path)
    with reading(path):
        names = sorted(fs.find(root))
    prefix = root.rstrip("/") + "/"
    found = [
        full_url(path, fs, name)
        for name in names
        if not _is_hidden(name.removeprefix(prefix))
        and (table_format or extension_of(name) in TABLE_EXTENSIONS)
    ]
    if not found:
        shown = ", ".join(name.removeprefix(prefix) for name in names[:5])
        raise InputError(
            f"The folder {redact_url(path)} has no table files "
            f"({', '.join(sorted(TABLE_EXTENSIONS))}). "
            + (f"It has: {shown}." if shown else "It is empty.")
        )
    return found


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))
