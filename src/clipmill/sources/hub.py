"""The hub source: a Hugging Face dataset, as a folder here or under its id on the hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from clipmill.core.errors import InputError
from clipmill.core.extras import require
from clipmill.core.media_names import MEDIA_EXTENSIONS
from clipmill.core.redact import redact_url
from clipmill.sources.arrow_cells import ArrowCellSource
from clipmill.sources.base import MEDIA_COLUMN, InputFile, Part, Source
from clipmill.sources.column_types import conform, unify
from clipmill.sources.columns import Columns
from clipmill.sources.folder import FolderSource
from clipmill.sources.hub_layout import find_splits
from clipmill.sources.shard_media import is_cell
from clipmill.sources.shards import ShardSource
from clipmill.sources.streams import is_local, look_at, open_stored, reading
from clipmill.sources.table import TableSource
from clipmill.sources.table_columnar import open_parquet
from clipmill.sources.table_format import extension_of

SPLIT = "split"
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+(@[\w./-]+)?$")
_SHAPED = ("url", "caption", "clips", MEDIA_COLUMN)


class HubSource(Source):
    """All splits of a Hugging Face dataset, each read by the source for its files.

    The column ``split`` says where a row comes from. A dataset with several configurations gives
    the one named ``default``, else the first.

    Args:
        given: folder of the dataset, a hub id such as ``org/name``, or ``hf://datasets/org/name``.
        columns: which columns mean what.

    Raises:
        InputError: no data files are found.
        MissingExtra: a hub id needs the extra ``hf``.
    """

    def __init__(self, given: str | Sequence[str], columns: Columns | None = None) -> None:
        self.columns = columns or Columns()
        if not isinstance(given, str):
            raise InputError("Give one Hugging Face dataset at a time.")
        self._where = given
        folder = hub_folder(given)
        splits = find_splits(folder)
        # The children read whole rows by content; formats and grouping are settled here.
        kept = self.columns.save_additional_columns
        kept = None if kept is None else tuple(name for name in kept if name != SPLIT)
        choices = self.columns.model_copy(
            update={"input_format": None, "save_additional_columns": kept}
        )
        self._children = [(split, _child(paths, choices)) for split, paths in splits.items()]
        self._schema: pa.Schema | None = None

    def __getstate__(self) -> dict[str, Any]:
        self.schema()
        return dict(self.__dict__)

    def files(self) -> Sequence[InputFile]:
        """Files of all splits, split by split."""
        return [file for _, child in self._children for file in child.files()]

    def schema(self) -> pa.Schema:
        """Names and types of the rows, settled over all splits."""
        if self._schema is None:
            merged = unify(
                (child.files()[0].url, child.schema(), False) for _, child in self._children
            )
            first = [name for name in _SHAPED if name in merged.names]
            rest = [name for name in merged.names if name not in _SHAPED]
            fields = [merged.field(name) for name in first + rest]
            if self._adds_split(merged):
                fields.append(pa.field(SPLIT, pa.string()))
            self._schema = pa.schema(fields)
        return self._schema

    def _adds_split(self, merged: pa.Schema) -> bool:
        kept = self.columns.save_additional_columns
        return SPLIT not in merged.names and (kept is None or SPLIT in kept)

    def read(self, part: Part) -> pa.Table:
        """Rows of one part of one split."""
        schema = self.schema()
        split, child, file = self._child_of(part.file)
        rows = child.read(Part(file, part.start, part.count))
        if SPLIT in schema.names and SPLIT not in rows.column_names:
            rows = rows.append_column(SPLIT, pa.array([split] * rows.num_rows, pa.string()))
        return conform(rows, schema, child.files()[file].url)

    def _child_of(self, file: int) -> tuple[str, Source, int]:
        for split, child in self._children:
            if file < len(child.files()):
                return split, child, file
            file -= len(child.files())
        raise IndexError(file)


def hub_folder(given: str) -> str:
    """The folder that a path, hub URL or hub id stands for.

    Raises:
        MissingExtra: it is on the hub, and the extra ``hf`` is not installed.
    """
    folder = given.rstrip("/")
    if given.startswith("hf://") or (is_local(given) and _is_hub_id(given)):
        require("huggingface_hub", extra="hf", used_by=f"The Hugging Face dataset {given}")
        return folder if given.startswith("hf://") else f"hf://datasets/{folder}"
    return folder


def _is_hub_id(given: str) -> bool:
    from pathlib import Path  # a name that exists here is a folder, whatever the hub has

    return bool(_HUB_ID.match(given)) and not Path(given).exists()


def _child(paths: list[str], columns: Columns) -> Source:
    """The source for the files of one split.

    Raises:
        InputError: files of several kinds.
    """
    extensions = {extension_of(path) for path in paths}
    if extensions <= {"tar"}:
        return ShardSource(paths, columns)
    if extensions & MEDIA_EXTENSIONS or extensions == {""}:
        return FolderSource(paths, columns)
    if extensions == {"parquet"}:
        # Cells are read in place, which a file compressed as a whole does not allow.
        in_place = look_at(paths[0]).compression is None and _has_parquet_cells(paths[0])
        return ShardSource(paths, columns) if in_place else TableSource(paths, columns)
    if extensions == {"arrow"} and _has_arrow_cells(paths[0]):
        return ArrowCellSource(paths, columns)
    if len(extensions) > 1:
        raise InputError(
            f"The dataset at {redact_url(paths[0])} mixes files of kinds {sorted(extensions)}. "
            "Give the ones you want by a pattern."
        )
    return TableSource(paths, columns)


def _has_parquet_cells(path: str) -> bool:
    with reading(path), open_parquet(path) as file:
        return any(is_cell(field) for field in file.schema_arrow)


def _has_arrow_cells(path: str) -> bool:
    with reading(path), open_stored(path) as file:
        if look_at(path).head.startswith(b"ARROW1"):
            file.read(8)
        return any(is_cell(field) for field in pa.ipc.open_stream(file).schema)
