"""A VideoFolder's metadata table: columns of media files by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.core.registry import nearest
from clipmill.sources.base import Part
from clipmill.sources.row_shape import as_text
from clipmill.sources.tables import Tables

FILE_NAME = "file_name"


class FolderMetadata:
    """The metadata table of one folder, kept in memory while its folder is read.

    Args:
        folder: the folder that file names are relative to.
        name: the table's name, such as ``metadata.csv``.

    Raises:
        InputError: the table has no ``file_name``, or one that leaves the folder.
    """

    def __init__(self, folder: str, name: str) -> None:
        self._url = f"{folder}/{name}"
        self._tables = Tables([self._url])
        if FILE_NAME not in self._tables.schema.names:
            names = self._tables.schema.names
            raise InputError(
                f"{redact_url(self._url)} has no column {FILE_NAME!r}, which says what file a row "
                f"describes. {nearest(FILE_NAME, names)}"
            )
        self.is_text = not name.endswith(".parquet")
        self._table: pa.Table | None = None
        self._rows: dict[str, dict[str, list[int | None]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_table": None, "_rows": {}}

    @property
    def schema(self) -> pa.Schema:
        """The columns apart from the file name."""
        names = [name for name in self._tables.schema.names if name != FILE_NAME]
        return pa.schema([self._tables.schema.field(name) for name in names])

    def prefixes(self) -> list[str]:
        """Subfolders that are described; ``""`` is the folder itself."""
        return sorted(self._by_folder())

    def rows_in(self, prefix: str) -> Mapping[str, Sequence[int | None]]:
        """Row numbers by file name, for files in one subfolder."""
        return self._by_folder().get(prefix, {})

    def _by_folder(self) -> dict[str, dict[str, list[int | None]]]:
        if not self._rows:
            column = as_text(self._load().column(FILE_NAME), FILE_NAME)
            for row, name in enumerate(column.to_pylist()):
                folder, _, base = self._checked(name, row).rpartition("/")
                self._rows.setdefault(folder, {}).setdefault(base, []).append(row)
        return self._rows

    def read(self, rows: Sequence[int | None]) -> list[dict[str, Any]]:
        """What the table says in these rows; nothing for None."""
        table = self._load().select(self.schema.names)
        return (
            table.take(pa.array(rows, pa.int64())).to_pylist()
            if table.num_columns
            else [{} for _ in rows]
        )

    def _checked(self, name: str | None, row: int) -> str:
        plain = (name or "").removeprefix("./")
        if not plain or plain.startswith("/") or ".." in plain.split("/"):
            raise InputError(
                f"{redact_url(self._url)}: row {row + 1} has the file name {name!r}, which is not "
                "a name inside its folder."
            )
        return plain

    def _load(self) -> pa.Table:
        if self._table is None:
            rows = self._tables.files()[0].rows
            self._table = self._tables.read(Part(0, 0, rows), self._tables.schema.names)
        return self._table
