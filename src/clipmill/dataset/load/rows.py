"""The samples that are loaded, by number: where their media lie, and what is known of them."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipmill.core.config import fingerprint
from clipmill.core.errors import InputError, ProcessError, StorageError, UserError
from clipmill.core.media_names import AUDIO_EXTENSIONS, IMAGE_EXTENSIONS
from clipmill.core.sample import MediaRef
from clipmill.core.time import Span
from clipmill.dataset.dataset import Dataset
from clipmill.dataset.joined import named
from clipmill.dataset.load.step_columns import StepColumns, column_at
from clipmill.dataset.selection import Selection
from clipmill.sources.base import (
    HIDDEN,
    KEY_COLUMN,
    MEDIA_COLUMN,
    MEMBERS_COLUMN,
    SPAN_COLUMN,
    Part,
)
from clipmill.sources.columns import Columns
from clipmill.sources.open import open_source
from clipmill.sources.samples import SampleSource

_FACTS = ("key", "span", "probe.video", "probe.duration_seconds")
_LISTS = (pa.ListType, pa.LargeListType, pa.FixedSizeListType)
_KEPT_BYTES = 64 << 20
"""Tables of shards in memory; a window of the order touches a few dozen."""


@dataclass(frozen=True, slots=True)
class Row:
    """One sample to load.

    Args:
        key: the sample's.
        video: where its pictures lie; None when it has none.
        audio: where its sound lies: a file of its own, or that of the pictures.
        span: the stretch of them that it is; None for all.
        arrays: where its arrays lie, by extension, of those asked for and there.
        values: its caption, if the dataset has captions, and the further columns asked for;
            vectors as arrays.
    """

    key: str
    video: MediaRef | None
    audio: MediaRef | None
    span: Span | None
    arrays: dict[str, MediaRef] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


class Rows:
    """All samples of a dataset that are there, or those of a selection.

    Picklable; tables are read when they are needed, and the last few kept.

    Args:
        given: folder, tars or Parquet tables, as ``clipmill split`` takes them.
        columns: further columns to give, of the dataset or of steps.
        selection: which samples. Default: all that succeeded.
        parent: where the sources of virtual clips lie now. Default: where they lay.
        arrays: members that are arrays, by extension.

    Attributes:
        counts: number of samples of each shard.
        weights: how often each is to be drawn relative to others; None where all are alike.
        fingerprint: tells these samples from others, wherever they lie.
        is_far: whether their media lie on a storage.

    Raises:
        UserError: there are no samples, a column does not exist, a selected shard has gone, or
            weights are none.
    """

    def __init__(
        self,
        given: str | Sequence[str],
        columns: Sequence[str] = (),
        selection: Selection | None = None,
        parent: str | None = None,
        arrays: Sequence[str] = (),
    ) -> None:
        source = open_source(given, Columns(), as_samples=True, parent=parent, members=arrays)
        if not isinstance(source, SampleSource):
            raise InputError(
                f"{given} holds no samples that could be loaded: give the folder of a dataset, or "
                "tars. `clipmill download` makes a dataset of a table or a folder of media."
            )
        self._source = source
        media = source.media_folder() or source.files()[0].url
        self.is_far = "://" in media
        names = source.schema().names
        self._own = [name for name in ("caption", *columns) if name.split(".")[0] in names]
        others = [name for name in columns if name not in self._own]
        self._steps = (
            StepColumns(Dataset(source.place), others) if others and source.place else None
        )
        if others and not source.place:
            shown = ", ".join(name for name in names if name not in HIDDEN)
            raise UserError(f"There is no column {others[0]!r}. Columns: {shown}.")
        self._chosen: list[pa.Array[Any]] | None = None
        self.weights: npt.NDArray[np.float64] | None = None
        if selection is not None:
            self._chosen, self.weights = _chosen(source, selection)
        self.counts: list[int] = (
            [file.rows for file in source.files()]
            if self._chosen is None
            else [len(keys) for keys in self._chosen]
        )
        if not sum(self.counts):
            what = f"The selection {selection.name!r}" if selection is not None else str(given)
            named = f" with arrays {', '.join(arrays)} or media" if arrays else ""
            raise UserError(f"{what} has no samples to load{named}.")
        self.fingerprint = _fingerprint(source, self._chosen, self.weights)
        self._kept: OrderedDict[int, pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def row(self, shard: int, place: int) -> Row:
        """One sample.

        Args:
            shard: number of its shard.
            place: its place among the shard's samples that are loaded.

        Raises:
            ProcessError: the shard cannot be read any more, or has lost a sample
                (``shard_unreadable``).
        """
        try:
            with self._lock:
                table = self._table(shard)
        except (InputError, StorageError, OSError) as error:
            raise ProcessError(
                f"shard {self._source.shard_name(shard)} cannot be read: {error}",
                error_class="shard_unreadable",
            ) from error
        values = {name: _value(table.column(name)[place]) for name in table.column_names}
        refs = [MediaRef(**ref) for ref in values.pop(MEDIA_COLUMN) or ()]
        members = [MediaRef(**ref) for ref in values.pop(MEMBERS_COLUMN, None) or ()]
        sounds = [ref for ref in refs if ref.extension in AUDIO_EXTENSIONS]
        others = AUDIO_EXTENSIONS | IMAGE_EXTENSIONS
        pictures = [ref for ref in refs if ref.extension not in others]
        video = pictures[0] if pictures else None
        span = values.pop(SPAN_COLUMN, None)
        return Row(
            key=values.pop(KEY_COLUMN),
            video=video,
            audio=sounds[0] if sounds else video,
            span=Span.from_row(span) if span else None,
            arrays={ref.extension: ref for ref in members},
            values=values,
        )

    def facts(self) -> Iterator[pa.Table]:
        """``probe`` and ``span`` of all samples that are loaded, in their order, by shards.

        Raises:
            UserError: the dataset has no such column.
        """
        for shard, count in enumerate(self.counts):
            if not count:
                continue
            table = self._source.facts(shard, _FACTS)
            if "probe" not in table.column_names:
                raise UserError(
                    "What size its samples are is not told by this dataset: it has no column "
                    "'probe', as those have that clipmill makes. Give size instead of buckets."
                )
            if self._chosen is not None:
                table = table.take(_places(table.column("key"), self._chosen[shard]))
            yield table

    def _table(self, shard: int) -> pa.Table:
        """What is needed of the samples of one shard."""
        if shard in self._kept:
            self._kept.move_to_end(shard)
            return self._kept[shard]
        table = self._kept[shard] = self._read(shard)
        while len(self._kept) > 1 and sum(one.nbytes for one in self._kept.values()) > _KEPT_BYTES:
            self._kept.popitem(last=False)
        return table

    def _read(self, shard: int) -> pa.Table:
        whole = self._source.files()[shard].rows
        rows = self._source.read(Part(shard, 0, whole))
        made = {KEY_COLUMN: _keys(rows), MEDIA_COLUMN: rows.column(MEDIA_COLUMN)}
        for name in (SPAN_COLUMN, MEMBERS_COLUMN):
            if name in rows.column_names:
                made[name] = rows.column(name)
        for name in self._own:
            made[name] = column_at(rows, named(name, rows.schema))
        if self._steps is not None:
            there = self._source.row_numbers(shard)
            made |= self._steps.of(self._source.shard_name(shard), there)
        table = pa.table(made)
        if self._chosen is None:
            return table
        try:
            return table.take(_places(table.column(KEY_COLUMN), self._chosen[shard]))
        except KeyError as gone:
            raise InputError(
                f"Sample {gone.args[0]} of the selection is not in shard "
                f"{self._source.shard_name(shard)} any more. Make the selection again with "
                "--overwrite."
            ) from None


def _value(cell: Any) -> Any:
    """A cell as a value of Python, or a vector as an array."""
    kind = cell.type
    is_vector = isinstance(kind, _LISTS) and pa.types.is_floating(kind.value_type)
    if is_vector and cell.is_valid:
        return cell.values.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return cell.as_py()


def _places(keys: Any, wanted: Any) -> pa.Array[Any]:
    """Where some keys are among others; ``KeyError`` for one that is not."""
    places = {key: place for place, key in enumerate(keys.to_pylist())}
    return pa.array([places[key] for key in wanted.to_pylist()], pa.int64())


def _chosen(
    source: SampleSource, selection: Selection
) -> tuple[list[pa.Array[Any]], npt.NDArray[np.float64] | None]:
    """Keys of the selected samples of each shard, in its order, and weights of all of them."""
    rows_of = dict(selection.by_shard())
    found = {shard: rows.column("key").combine_chunks() for shard, rows in rows_of.items()}
    none = pa.array([], pa.string())
    names = [source.shard_name(number) for number in range(len(source.files()))]
    if gone := found.keys() - set(names):
        raise InputError(
            f"Shard {min(gone)}, which the selection names, has no samples any more. Make the "
            "selection again with --overwrite."
        )
    keys = [found.get(name, none) for name in names]
    if selection.weights() is None:
        return keys, None
    columns = [rows_of[name].column("weight").to_numpy() for name in names if name in rows_of]
    weights = np.concatenate([*columns, []]).astype(np.float64)
    wrong = ~np.isfinite(weights) | (weights < 0)
    if wrong.any() or (len(weights) and not weights.any()):
        raise UserError(
            f"Weights of the selection {selection.name!r} are to be numbers of 0 or more, and one "
            f"greater than 0: {int(wrong.sum())} of {len(weights)} are none."
        )
    return keys, weights


def _fingerprint(
    source: SampleSource,
    chosen: Sequence[pa.Array[Any]] | None,
    weights: npt.NDArray[np.float64] | None,
) -> str:
    """Of the dataset's run, its shards and what is chosen of them; not of where they lie."""
    shards = [
        [source.shard_name(number), file.rows, file.size]
        for number, file in enumerate(source.files())
    ]
    digest = hashlib.sha256(b"" if weights is None else weights.tobytes())
    for keys in chosen or ():
        digest.update("\n".join([*map(str, keys.to_pylist()), ""]).encode())
    return fingerprint([source.run, shards, digest.hexdigest()])


def _keys(rows: pa.Table) -> Any:
    if KEY_COLUMN in rows.column_names:
        return rows.column(KEY_COLUMN)
    return pa.array(np.arange(rows.num_rows).astype(str))
