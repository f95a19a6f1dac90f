"""Column groups: what a step said of a dataset's samples, kept beside its shards.

::

    columns/
      motion-3f9c21/        name of the step and fingerprint of its settings and code
        step.json           the step in words: settings, version, columns, and how new it is
        shards.json         of each shard, which state of it the group describes, and counts
        00000.parquet       a row for every row of the shard, in the same order
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.core.errors import InputError
from clipmill.core.seen import Cell
from clipmill.formats.tables import table_name
from clipmill.io.folder import Folder

COLUMNS_FOLDER = "columns"
STEP_FILE = "step.json"
SHARDS_FILE = "shards.json"
_METADATA = b"clipmill"
_GROUP = re.compile(r"([a-z][a-z0-9_]*)-([0-9a-f]{6})")
BEFORE: list[tuple[str, pa.DataType]] = [("key", pa.string()), ("mark", pa.int64())]
AFTER: list[tuple[str, pa.DataType]] = [
    ("status", pa.string()),
    ("error_class", pa.string()),
    ("error_message", pa.string()),
    ("seconds", pa.float64()),
]
MARKED = ("key", "uid", "status", "media", "source_media", "span")
"""Columns of a shard that tell whether a row still is what a step has seen."""


@dataclass(frozen=True, slots=True)
class ShardCells:
    """What a group holds of one shard.

    Args:
        state: of the shard when the cells were written; another one now means that rows changed.
        rows: of the shard.
        success: cells with values.
        absent: cells of samples that have nothing of what the step looks at.
        failed: cells of samples that it failed on, by error class.
    """

    state: str
    rows: int
    success: int
    absent: int
    failed: Mapping[str, int]

    def dump(self) -> dict[str, Any]:
        """As JSON-like values."""
        names = ("state", "rows", "success", "absent", "failed")
        return {name: getattr(self, name) for name in names}


class ColumnGroup:
    """The columns that one step, with one choice of settings, made of a dataset.

    Args:
        folder: the dataset's.
        name: of the group's folder, such as ``motion-3f9c21``.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self.folder = folder
        self.name = name
        self.step, _, self.fingerprint = name.rpartition("-")
        self.lasting_name = f"{self.step}_{self.fingerprint}"
        """What it is called whether or not it is the step's newest: a word, as SQL has them."""

    @cached_property
    def info(self) -> dict[str, Any]:
        """Content of ``step.json``.

        Raises:
            InputError: it is missing or damaged.
        """
        place = self.path(STEP_FILE)
        try:
            info = self.folder.read_json(place)
        except (ValueError, FileNotFoundError) as error:
            raise InputError(
                f"{self.folder.url_of(place)} cannot be read: {error}. Annotate with the same step "
                "and settings again, or remove the folder."
            ) from error
        return dict(info)

    @cached_property
    def index(self) -> dict[str, ShardCells]:
        """What the group holds of each shard, as the last run wrote it down; may lack some."""
        try:
            found = self.folder.read_json(self.path(SHARDS_FILE))
        except (ValueError, FileNotFoundError):
            return {}
        return {shard: ShardCells(**cells) for shard, cells in found.items()}

    def path(self, name: str) -> str:
        """A file of the group, seen from the dataset's folder."""
        return f"{COLUMNS_FOLDER}/{self.name}/{name}"

    def table_path(self, shard: str) -> str:
        """The table of one shard, seen from the dataset's folder."""
        return self.path(table_name(shard))

    def cells(self, shard: str) -> ShardCells | None:
        """What the group holds of a shard; None when it holds nothing."""
        if shard in self.index:
            return self.index[shard]
        try:
            with self.folder.open(self.table_path(shard)) as file:
                metadata = pq.read_schema(file).metadata or {}
        except FileNotFoundError:
            return None
        return ShardCells(**json.loads(metadata[_METADATA])) if _METADATA in metadata else None

    def shard_table(self, shard: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """The group's rows of a shard, in the order of the shard's; None when there are none.

        Args:
            shard: its name.
            columns: names of columns to read. Default: all.

        Raises:
            InputError: the table is damaged.
        """
        try:
            with self.folder.open(self.table_path(shard)) as file:
                # Threads of a reader that are still there when Python ends abort it.
                return pq.ParquetFile(file).read(
                    columns=None if columns is None else list(columns), use_threads=False
                )
        except FileNotFoundError:
            return None
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{self.folder.url_of(self.table_path(shard))} cannot be read: {error}. Remove it "
                "and annotate again."
            ) from error


def column_groups(folder: Folder) -> list[ColumnGroup]:
    """The column groups of a dataset, the newest last; those that never came to be are none."""
    names = Folder(folder.url_of(COLUMNS_FOLDER)).list() if folder.exists(COLUMNS_FOLDER) else []
    groups = [ColumnGroup(folder, name) for name in names if _GROUP.fullmatch(name)]
    found = [group for group in groups if folder.exists(group.path(STEP_FILE))]
    return sorted(found, key=lambda group: (group.info["number"], group.name))


def newest_groups(folder: Folder) -> dict[str, ColumnGroup]:
    """Of each step the group that answers to its name, by that name."""
    return {group.step: group for group in column_groups(folder)}


def group_schema(columns: pa.Schema, cells: ShardCells | None = None) -> pa.Schema:
    """Schema of a group's table.

    Args:
        columns: the step's own.
        cells: told in the file's metadata.
    """
    fields = [pa.field(*pair) for pair in BEFORE]
    fields += [pa.field(one.name, one.type) for one in columns]
    fields += [pa.field(*pair) for pair in AFTER]
    metadata: dict[bytes | str, bytes | str] | None = None
    if cells:
        metadata = {_METADATA: json.dumps(cells.dump()).encode()}
    return pa.schema(fields, metadata=metadata)


def row_marks(rows: pa.Table) -> list[int]:
    """A number for each row that changes when the sample becomes another one.

    Args:
        rows: of a shard, with those columns of ``MARKED`` that it has.
    """
    return [
        int.from_bytes(
            _digest(json.dumps(_lasting(row), sort_keys=True, default=str)), "big", signed=True
        )
        for row in rows.to_pylist()
    ]


def _lasting(row: dict[str, Any]) -> dict[str, Any]:
    """A row without the places of its members, which change when its shard is written anew."""
    members = {
        extension: {**place, "offset": None}
        for extension, place in (row.get("media") or {}).items()
        if place is not None
    }
    return {**row, "media": members}


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def cell_table(columns: pa.Schema, cells: Sequence[Cell]) -> pa.Table:
    """Cells as rows of a group's table, without what says which sample each is of.

    Args:
        columns: the step's own.
        cells: what it says, checked.
    """
    made = [pa.array([cell.values.get(one.name) for cell in cells], one.type) for one in columns]
    for name, kind in AFTER:
        made.append(pa.array([getattr(cell, name) for cell in cells], kind))
    fields = [*((one.name, one.type) for one in columns), *AFTER]
    return pa.Table.from_arrays(made, schema=pa.schema(fields))
