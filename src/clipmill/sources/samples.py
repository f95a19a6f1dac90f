"""The sample source: what is there of a dataset, to be split, rendered or looked at further."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clipmill.core.errors import InputError
from clipmill.io.folder import Folder
from clipmill.io.layout import DATASET_FILE, read_manifest
from clipmill.sources.base import (
    CUTS_COLUMN,
    KEY_COLUMN,
    MEDIA_COLUMN,
    MEDIA_TYPE,
    SPAN_COLUMN,
    SUBTITLES_COLUMN,
    UID_COLUMN,
    InputFile,
    Part,
)
from clipmill.sources.columns import Columns
from clipmill.sources.paths import is_folder
from clipmill.sources.present import Present, present_rows
from clipmill.sources.shards import ShardSource
from clipmill.sources.streams import is_local, reading
from clipmill.sources.table_columnar import open_parquet

_RENAMED = {
    "input_key": KEY_COLUMN,
    "input_span": SPAN_COLUMN,
    "input_subtitles": SUBTITLES_COLUMN,
    "input_cuts": CUTS_COLUMN,
    "input_source_key": "source_key",
    "input_clip_index": "clip_index",
}
_FIELDS = {
    "input_span": {"start_ticks", "end_ticks", "timescale"},
    "input_subtitles": {"language", "start_seconds", "end_seconds", "text"},
    "input_cuts": {"frame_rate", "number", "seconds"},
}
"""What structs in these columns have; other programs use the names for something else."""
FACTS = ("key", "span", "probe", "media")
_PLACES = "input_source_media"
_DROPPED = frozenset(
    {
        *("input_uid", "input_status", "input_retryable", "input_fetch", "input_probe"),
        *("input_error_step", "input_error_class", "input_error_message", "input_info"),
        *("input_media", "input_rendered", _PLACES),
    }
)
"""What was recorded of the row itself, and is recorded anew of what becomes of it."""


class SampleSource(ShardSource):
    """Samples of a dataset that succeeded, under their own keys.

    Virtual clips come with the media of their source, where that lies in the dataset's parent, and
    with their span of it. Columns that clipmill recorded of a row are left out; the rest is kept.

    Args:
        given: the dataset's folder, or tars or Parquet files by path, glob or braces.
        columns: which columns mean what.
        parent: where the parent of a dataset of virtual clips lies now. Default: where it lay.
        members: see ``ShardSource``.

    Raises:
        InputError: there are no finished shards.
    """

    def __init__(
        self,
        given: str | Sequence[str],
        columns: Columns | None = None,
        parent: str | None = None,
        members: Sequence[str] = (),
    ) -> None:
        super().__init__(given, columns, members)
        self.place = self._where if is_folder(self._where) else ""
        """The dataset's folder; empty for single shards."""
        manifest = _manifest(self._where)
        self.run = str(manifest.get("run", ""))
        """Identity of the run that made the dataset; empty where clipmill did not."""
        self._parent = (parent or parent_of(manifest.get("inputs", []))).rstrip("/")
        self._kept: dict[int, npt.NDArray[np.int64] | None] = {}
        self._left_out: dict[int, Counter[str]] = {}

    def media_folder(self) -> str | None:
        """The folder that the media of virtual clips lie in; None for samples of other kinds."""
        return self._parent if _PLACES in super().schema().names else None

    def files(self) -> Sequence[InputFile]:
        """Shards in the order of their names, with the number of samples that are there."""
        return [
            file if (kept := self.row_numbers(number)) is None else replace(file, rows=len(kept))
            for number, file in enumerate(super().files())
        ]

    def schema(self) -> pa.Schema:
        """Names and types of the rows, settled over all shards.

        Raises:
            InputError: the dataset or folder that virtual clips point into is gone.
        """
        found = super().schema()
        if _PLACES in found.names and is_local(self._parent) and not Folder(self._parent).exists():
            raise InputError(
                f"The sources of these clips should lie in {self._parent}, which is not there. Say "
                "with --parent where it is now."
            )
        return self._as_samples(found.empty_table()).schema

    def read(self, part: Part) -> pa.Table:
        """Samples of one part of one shard."""
        kept = self.row_numbers(part.file)
        if kept is None or not part.count:
            return self._as_samples(super().read(part))
        wanted = kept[part.start : part.start + part.count]
        first, last = int(wanted[0]), int(wanted[-1])
        rows = super().read(Part(part.file, first, last - first + 1))
        return self._as_samples(rows.take(wanted - first))

    def row_numbers(self, file: int) -> npt.NDArray[np.int64] | None:
        """Numbers of a shard's rows that are there; None when nothing tells of failures."""
        if file not in self._kept:
            table = self._shards[file].table
            present = present_rows(table) if table else self._there(file)
            self._kept[file], self._left_out[file] = present
        return self._kept[file]

    def left_out(self) -> Counter[str]:
        """How many rows of the dataset are no samples, by what they failed with."""
        for number in range(len(self._shards)):
            self.row_numbers(number)
        return sum(self._left_out.values(), Counter())

    def shard_name(self, file: int) -> str:
        """Name of a shard."""
        shard = self._shards[file]
        return posixpath.basename(shard.table or shard.archive or "").rpartition(".")[0]

    def facts(self, file: int, columns: Sequence[str] = FACTS) -> pa.Table:
        """What a shard's table says of its samples; rows are those of ``files``, in their order.

        Args:
            file: number of the shard.
            columns: columns or fields of structs, of which those are given that are there.
        """
        table, kept = self._shards[file].table, self.row_numbers(file)
        if table is None:
            return pa.table({})
        with reading(table), open_parquet(table) as opened:
            rows = opened.read(columns=list(columns), use_threads=False)
        return rows if kept is None else rows.take(pa.array(kept, pa.int64()))

    def _as_samples(self, rows: pa.Table) -> pa.Table:
        """Rows without what was recorded of them, but for what they keep."""
        shaped = _shaped(rows, self._parent)
        # Another program's uid may be anything.
        if self.run and "input_uid" in rows.column_names:
            return shaped.append_column(UID_COLUMN, rows.column("input_uid"))
        return shaped

    def _there(self, file: int) -> Present:
        tar = self._bare[self._numbers[file]]
        there = np.array(tar.with_media(), np.int64)
        if tar is not self._last_tar:
            tar.forget()
        missing = super().files()[file].rows - len(there)
        return Present(there, +Counter({"without media": missing}))


def _manifest(place: str) -> Mapping[str, Any]:
    """What is recorded of the dataset that shards lie in; empty for a peer's."""
    folder = Folder(place if not place.endswith((".tar", ".parquet")) else posixpath.dirname(place))
    if not folder.exists(DATASET_FILE):
        return {}
    return read_manifest(folder)


def parent_of(inputs: Sequence[Mapping[str, Any]]) -> str:
    """The folder that the media of virtual clips lie in, as the inputs of their dataset tell.

    It is what they were split from, or when that was virtual too, where its media lie; empty when
    it was no folder.
    """
    if inputs and inputs[0].get("media_folder"):
        return str(inputs[0]["media_folder"])
    location = inputs[0]["location"] if inputs else []
    return str(location[0]) if len(location) == 1 else ""


def _shaped(rows: pa.Table, parent: str) -> pa.Table:
    names = rows.column_names
    made: dict[str, Any] = {}
    for field in rows.schema:
        if field.name == "input_info" and "license" not in names and _says_license(field):
            made["license"] = pc.struct_field(rows.column(field.name), "license")
        if field.name not in _DROPPED:
            new = _RENAMED.get(field.name, field.name) if _is_ours(field) else field.name
            made[new] = rows.column(field.name)
    if "input_key" in names:
        made.setdefault("source_key", rows.column("input_key"))
    # What has media of its own is no stretch of anything else any more.
    if _PLACES not in names:
        made.pop(SPAN_COLUMN, None)
    elif MEDIA_COLUMN in names:
        own = rows.column(MEDIA_COLUMN).to_pylist()
        made[MEDIA_COLUMN] = _media(own, rows.column(_PLACES).to_pylist(), parent)
        if SPAN_COLUMN in made:
            made[SPAN_COLUMN] = _without(made[SPAN_COLUMN], [bool(mine) for mine in own])
    return pa.table(made)


def _says_license(field: pa.Field[Any]) -> bool:
    """Whether what a site said of a source tells its licence, which what is made of it keeps."""
    return pa.types.is_struct(field.type) and field.type.get_field_index("license") >= 0


def _is_ours(field: pa.Field[Any]) -> bool:
    """Whether a column with a name of clipmill's holds what clipmill writes there."""
    needed = _FIELDS.get(field.name)
    if needed is None:
        return True
    kind = field.type.value_type if pa.types.is_list(field.type) else field.type
    return pa.types.is_struct(kind) and needed <= {part.name for part in kind}


def _media(own: list[Any], places: list[Any], parent: str) -> pa.Array[Any]:
    found = [
        mine or [{**ref, "path": _resolved(ref["path"], parent)} for ref in theirs or ()]
        for mine, theirs in zip(own, places, strict=True)
    ]
    return pa.array(found, MEDIA_TYPE)


def _resolved(path: str, parent: str) -> str:
    """Where a source lies: below the parent, unless it never lay there."""
    if not parent or "://" in path or path.startswith("/"):
        return path
    return f"{parent}/{path}"


def relative_place(path: str, parent: str) -> str:
    """A path as it is kept in a table of virtual clips: from the parent, when it lies there."""
    place = posixpath.abspath(path) if is_local(path) else path
    return place.removeprefix(f"{parent.rstrip('/')}/") if parent else place


def _without(column: pa.ChunkedArray[Any], drop: Sequence[bool]) -> pa.Array[Any]:
    values = [None if out else value for value, out in zip(column.to_pylist(), drop, strict=True)]
    kept: pa.Array[Any] = pa.array(values, column.type)
    return kept
