"""Arrow files that hold media in their cells: a cell's bytes lie in the file and are used there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.sources.base import InputFile, Part, Source, media_ref
from clipmill.sources.columns import Columns
from clipmill.sources.row_media import OwnFolder, RowMedia, media_column, row_urls, with_file
from clipmill.sources.row_shape import RowShape
from clipmill.sources.shard_media import holds_media, is_cell
from clipmill.sources.streams import is_local, reading
from clipmill.sources.table_format import extension_of
from clipmill.sources.tables import Tables

_MAGIC = b"ARROW1\x00\x00"


class ArrowCellSource(Source):
    """Rows of local Arrow files, such as ``save_to_disk`` writes, with media in struct columns.

    Args:
        given: the files.
        columns: which columns mean what.

    Raises:
        InputError: the files are not on this machine.
    """

    def __init__(self, given: Sequence[str], columns: Columns | None = None) -> None:
        self.columns = columns or Columns()
        for path in given:
            if not is_local(path):
                raise InputError(
                    f"{redact_url(path)} holds media in an Arrow file, which can only be read on "
                    "this machine. Download the folder, or save the dataset as Parquet."
                )
        self._tables = Tables(given, "arrow", holds_media)
        self._shape: RowShape | None = None
        self._last: tuple[int, list[RowMedia]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        self._plan()
        return {**self.__dict__, "_last": None}

    def _plan(self) -> RowShape:
        if self._shape is None:
            where = self._tables.urls[0]
            self._shape = RowShape(self._tables.schema, self.columns, where, has_media=True)
        return self._shape

    def files(self) -> Sequence[InputFile]:
        """The files with their row counts."""
        return self._tables.files()

    def schema(self) -> pa.Schema:
        """Names and types of the rows, settled over all files."""
        return self._plan().schema

    def read(self, part: Part) -> pa.Table:
        """Rows of one part."""
        shape = self._plan()
        url = self._tables.urls[part.file]
        if self._last is None or self._last[0] != part.file:
            self._last = (part.file, _cells(url))
        media = self._last[1][part.start : part.start + part.count]
        return shape.apply(
            self._tables.read(part, shape.needed),
            url=row_urls(media, url, part.start),
            media=media_column(media),
        )


def _cells(path: str) -> list[RowMedia]:
    """Where the bytes of every row's cells lie in the file; only offsets are touched.

    Raises:
        InputError: the file's buffers are compressed.
    """
    found: list[RowMedia] = []
    own = OwnFolder(path.rpartition("/")[0])
    with reading(path), pa.memory_map(path) as file:
        size = file.size()
        start = file.read_buffer(1).address
        file.seek(0)
        if file.read(len(_MAGIC)) != _MAGIC:
            file.seek(0)
        for batch in pa.ipc.open_stream(file):
            rows = [RowMedia([]) for _ in range(batch.num_rows)]
            for field in batch.schema:
                if is_cell(field):
                    column = batch.column(field.name)
                    cells = _places(path, field.name, column, start, size)
                    for row, cell in enumerate(cells):
                        if isinstance(cell, str):
                            rows[row] = with_file(rows[row], cell, own)
                        elif cell:
                            rows[row].refs.append(cell)
            found += rows
    return found


def _places(
    path: str, name: str, column: Any, start: int, size: int
) -> list[dict[str, Any] | str | None]:
    """A reference to every cell's bytes, the name of the file where it has none, or nothing."""
    values = column.field("bytes") if pa.types.is_struct(column.type) else column
    paths: Any = (
        column.field("path").to_pylist()
        if pa.types.is_struct(column.type)
        else [None] * len(column)
    )
    wide = pa.types.is_large_binary(values.type)
    _, offsets, data = values.buffers()
    ends = memoryview(offsets).cast("q" if wide else "i") if len(values) else memoryview(b"")
    first = (data.address if data else start) - start
    refs: list[dict[str, Any] | str | None] = []
    for row, is_there in enumerate(values.is_valid().to_pylist()):
        place = row + values.offset
        if is_there:
            if not 0 <= first < size:
                raise InputError(
                    f"{redact_url(path)} is compressed, so media cannot be read from it in place. "
                    "Save the dataset as Parquet."
                )
            where = {"offset": first + ends[place], "size": ends[place + 1] - ends[place]}
            refs.append(media_ref(path, extension_of(paths[row] or "") or name, **where))
        else:
            refs.append(paths[row])
    return refs
