"""Samples of a dataset as an export takes them: those of a selection, with columns of steps."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clipmill.core.config import fingerprint
from clipmill.core.errors import InputError
from clipmill.core.words import counted
from clipmill.dataset.columns import MARKED, ColumnGroup, row_marks
from clipmill.dataset.dataset import Dataset
from clipmill.dataset.selection import Selection
from clipmill.run.carried_columns import Leaf, carried_leaves
from clipmill.sources.base import MEDIA_TYPE, MEMBERS_COLUMN, InputFile, Part, media_ref
from clipmill.sources.columns import Columns
from clipmill.sources.samples import SampleSource

WEIGHT = "weight"
_ROW = "_row"
_log = logging.getLogger(__name__)


class ChosenRows(SampleSource):
    """Samples of a dataset that a selection names, under their own keys, in the dataset's order.

    Columns of steps come along under flat names, such as ``motion_mean``, in place of columns that
    are called so; so does the selection's ``weight``. Columns of bytes become members.

    Args:
        folder: the dataset's.
        columns: which columns mean what.
        parent: where the parent of a dataset of virtual clips lies now. Default: where it lay.
        selection: whose samples are taken. Default: all that are there.
        carried: steps, columns or fields to take along, such as ``motion`` or
            ``picture.luminance``; ``none`` for none. Default: every number, truth value and text
            that the newest group of each step has.
        groups: names of the column groups that were the newest when the rows were first taken.
            Default: those that are now.

    Raises:
        InputError: the selection is empty or of samples that are gone, or there is no such column.
    """

    def __init__(
        self,
        folder: str,
        columns: Columns | None = None,
        parent: str | None = None,
        *,
        selection: str | None = None,
        carried: Sequence[str] | None = None,
        groups: Collection[str] | None = None,
    ) -> None:
        super().__init__(folder, columns, parent)
        dataset = Dataset(folder)
        self._folder = dataset.folder
        self._shard_names = [self.shard_name(number) for number in range(len(self._shards))]
        self._states = {name: dataset.state(name) for name in self._shard_names}
        self._leaves = carried_leaves(dataset.folder, carried, groups)
        self._weights: dict[int, npt.NDArray[np.float64]] = {}
        self.provenance: dict[str, Any] = {"columns": sorted({leaf.group for leaf in self._leaves})}
        """What of the dataset was taken, for the description of what is made of it."""
        if selection is not None:
            self._choose(dataset.selection(selection))

    def files(self) -> Sequence[InputFile]:
        """Shards, whose versions also tell of the selection and of the carried columns."""
        told = fingerprint(self.provenance)
        groups = [ColumnGroup(self._folder, name) for name in self.provenance["columns"]]
        return [
            replace(file, version=f"{file.version} {told} {self._written(groups, number)}")
            for number, file in enumerate(super().files())
        ]

    def left_out(self) -> Counter[str]:
        """Rows that are no samples; what a selection does not name is not missed."""
        return Counter() if "selection" in self.provenance else super().left_out()

    def schema(self) -> pa.Schema:
        """Names and types of the rows."""
        return self._with_more(super().schema().empty_table(), 0, np.empty(0, np.int64)).schema

    def read(self, part: Part) -> pa.Table:
        """Chosen samples of one part of one shard."""
        kept = self.row_numbers(part.file)
        numbers = np.arange(part.start, part.start + part.count, dtype=np.int64)
        rows = numbers if kept is None else kept[numbers]
        return self._with_more(super().read(part), part.file, rows, places=numbers)

    def _choose(self, selection: Selection) -> None:
        """Keep the numbers of the selected rows of each shard, and their weights."""
        if not len(selection):
            raise InputError(
                f"The selection {selection.name!r} of {self._folder.url} is empty, so there is "
                "nothing to export."
            )
        if changed := selection.changed_shards():
            _log.warning(
                "%s of %s changed since the selection %r was made.",
                counted(len(changed), "shard"),
                self._folder.url,
                selection.name,
            )
        chosen = dict(selection.by_shard())
        gone = 0
        for number, shard in enumerate(self._shard_names):
            if (rows := chosen.get(shard)) is None:
                self._kept[number] = np.empty(0, np.int64)
                continue
            present = selection.dataset.shard_table(shard, ["key"])["key"]
            keys = rows.column("key").to_pylist()
            gone += self._keep(number, present, keys, _weights_of(rows))
        if gone:
            raise InputError(
                f"{counted(gone, 'sample')} of the selection {selection.name!r} cannot be "
                f"exported: failed, or gone from {self._folder.url} since. Make the selection "
                "again with --overwrite."
            )
        self.provenance["selection"] = {
            "name": selection.name,
            "query": selection.facts["query"],
            "options": selection.facts["options"],
            "rows": len(selection),
            "funnel": selection.funnel,
            "fingerprint": fingerprint([selection.facts, selection.rows.to_pydict()]),
        }

    def _keep(
        self,
        number: int,
        present: pa.ChunkedArray[Any],
        keys: Sequence[Any],
        weights: Sequence[float] | None,
    ) -> int:
        """Choose rows of a shard, which has these keys; how many of those wanted are not there."""
        there = super().row_numbers(number)
        present = present if there is None else present.take(pa.array(there, pa.int64()))
        wanted = dict.fromkeys(keys)
        mask = pc.is_in(present, pa.array(list(wanted), pa.string())).to_numpy(zero_copy_only=False)
        places = np.flatnonzero(mask)
        self._kept[number] = places if there is None else there[places]
        if weights is not None:
            of = dict(zip(keys, weights, strict=True))
            found = present.take(pa.array(places, pa.int64())).to_pylist()
            self._weights[number] = np.array([of[key] for key in found], np.float64)
        return len(wanted) - len(places)

    def _with_more(
        self,
        rows: pa.Table,
        file: int,
        numbers: npt.NDArray[np.int64],
        places: npt.NDArray[np.int64] | None = None,
    ) -> pa.Table:
        more: dict[str, Any] = {}
        members: list[list[dict[str, Any]]] = [[] for _ in numbers]
        for group in dict.fromkeys(leaf.group for leaf in self._leaves):
            leaves = [leaf for leaf in self._leaves if leaf.group == group]
            cells = self._cells(group, leaves, file)
            if cells is not None:
                cells = cells.take(pa.array(numbers, pa.int64()))
            for leaf in leaves:
                if leaf.is_member:
                    self._refer(members, leaf, file, cells)
                elif cells is None:
                    more[leaf.name] = pa.nulls(len(numbers), leaf.type)  # type: ignore[call-overload]
                else:
                    more[leaf.name] = leaf.of(cells)
        if any(leaf.is_member for leaf in self._leaves):
            more[MEMBERS_COLUMN] = pa.array(members, MEDIA_TYPE)
        if self._has_weights:
            weights = self._weights.get(file, np.empty(0))
            more[WEIGHT] = pa.array(weights[places] if places is not None else [], pa.float64())
        kept = rows.drop_columns([name for name in rows.column_names if name in more])
        fields = {leaf.name: leaf.field for leaf in self._leaves}
        for name, column in more.items():
            kept = kept.append_column(fields.get(name, name), column)
        return kept

    @property
    def _has_weights(self) -> bool:
        return bool(self._weights)

    def _refer(
        self, members: Sequence[list[dict[str, Any]]], leaf: Leaf, file: int, cells: pa.Table | None
    ) -> None:
        """Say of rows in which cell the member lies that a column becomes."""
        group = ColumnGroup(self._folder, leaf.group)
        path = self._folder.url_of(group.table_path(self._shard_names[file]))
        rows = [None] * len(members) if cells is None else cells.column(_ROW).to_pylist()
        for refs, row in zip(members, rows, strict=True):
            refs.append(media_ref(None if row is None else path, leaf.path[0], row=row))

    def _cells(self, group: str, leaves: Sequence[Leaf], file: int) -> pa.Table | None:
        """What a step says of the rows of a shard, in their order; nothing of rows that changed.

        A column ``_ROW`` says which row of the group's table each is; what becomes members is not
        read.
        """
        shard = self._shard_names[file]
        found = ColumnGroup(self._folder, group)
        names = list(dict.fromkeys(leaf.path[0] for leaf in leaves if not leaf.is_member))
        table = found.shard_table(shard, ["key", "mark", *names])
        held = found.cells(shard)
        if table is None:
            return None
        table = table.append_column(_ROW, pa.array(range(table.num_rows), pa.int64()))
        if held is None or held.state == self._states[shard]:
            return table
        data = Dataset(self._folder.url)
        marked = [name for name in data.schema(shard).names if name in MARKED]
        now = data.shard_table(shard, marked)
        known = zip(table["key"].to_pylist(), table["mark"].to_pylist(), strict=True)
        places = {pair: place for place, pair in enumerate(known)}
        rows = zip(now["key"].to_pylist(), row_marks(now), strict=True)
        return table.take(pa.array([places.get(pair) for pair in rows], pa.int64()))

    def _written(self, groups: Sequence[ColumnGroup], file: int) -> str:
        """Changes when what steps say of a shard does."""
        cells = {group.name: group.cells(self._shard_names[file]) for group in groups}
        return fingerprint({name: held and held.dump() for name, held in cells.items()})


def _weights_of(rows: pa.Table) -> list[float] | None:
    if WEIGHT not in rows.column_names:
        return None
    weights: list[float] = rows.column(WEIGHT).to_pylist()  # type: ignore[assignment]
    return weights
