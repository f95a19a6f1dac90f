"""The table source: CSV, TSV, JSON, JSON lines, text, Parquet and Arrow files of rows."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.sources.base import InputFile, Part, Source
from clipmill.sources.columns import Columns
from clipmill.sources.paths import expand, full_url, is_folder
from clipmill.sources.row_shape import RowShape
from clipmill.sources.streams import file_system, reading
from clipmill.sources.table_format import TABLE_EXTENSIONS, extension_of, format_named
from clipmill.sources.tables import Tables


class TableSource(Source):
    """Rows of table files; several files are one table, typed together.

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
        self._digest = digest
        self._shape: RowShape | None = None
        self._urls_only: TableSource | None = None

    def __getstate__(self) -> dict[str, object]:
        self._settled()
        return {**self.__dict__, "_urls_only": None}

    def _settled(self) -> RowShape:
        if self._shape is None:
            self._shape = RowShape(self._tables.schema, self.columns, self._where)
        return self._shape

    def files(self) -> Sequence[InputFile]:
        """The table files, in the order of their names."""
        files = self._tables.files()
        if self._digest is None:
            return files
        return [InputFile(file.url, file.rows, file.size, self._digest) for file in files]

    def schema(self) -> pa.Schema:
        """Names and types of the rows, settled over all files."""
        return self._settled().schema

    def read(self, part: Part) -> pa.Table:
        """Rows of one part; reading parts in ascending order visits each file once."""
        shape = self._settled()
        return shape.apply(self._tables.read(part, shape.needed))

    def read_urls(self, part: Part) -> pa.ChunkedArray[Any]:
        """The ``url`` column of one part, without reading any other."""
        if self._urls_only is None:
            self._urls_only = copy.copy(self)
            only = Columns(url_col=self._settled().url, save_additional_columns=())
            self._urls_only._shape = RowShape(self._tables.schema, only, self._where)
        return Source.read_urls(self._urls_only, part)


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
