"""Which rows of an input make up which shard: fixed once, small, and read by row numbers."""

from __future__ import annotations

import logging
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipmill.core.config import fingerprint
from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.sources.base import Part, Source
from clipmill.sources.damage import read_around_damage
from clipmill.sources.grouping import group_rows

_log = logging.getLogger(__name__)
CONTENT_VERSION = "sha256:"
"""Prefix of versions that tell a file's content, so that its place does not matter."""
READ_ROWS = 1 << 16
_FAR_ROWS = 1_000_000
# What NumPy raises over an archive that is cut off, overwritten, empty, or not there.
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
_GAP_ROWS = 1024
"""Rows that are rather read and thrown away than skipped by another read."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """Consecutive stretches of the input's rows, or of an order of them.

    Args:
        file_rows: rows of every input file, in reading order.
        starts: where every shard starts, and the end of the last.
        order: row numbers in the order of the shards; None when that is the input's own.
    """

    file_rows: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    order: npt.NDArray[np.uint32] | npt.NDArray[np.uint64] | None = None

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self.starts) - 1

    @property
    def rows(self) -> int:
        """Number of rows in all shards."""
        return int(self.starts[-1])

    def rows_in(self, shard: int) -> int:
        """Number of rows in one shard."""
        return int(self.starts[shard + 1] - self.starts[shard])

    def row_indices(self, shard: int) -> npt.NDArray[np.int64]:
        """Row numbers of one shard in the whole input, in the order of the shard."""
        start, stop = int(self.starts[shard]), int(self.starts[shard + 1])
        if self.order is None:
            return np.arange(start, stop, dtype=np.int64)
        return self.order[start:stop].astype(np.int64)

    def _part(self, rows: npt.NDArray[np.int64]) -> Part:
        file_starts = self._file_starts()
        file = int(np.searchsorted(file_starts, rows[0], side="right")) - 1
        return Part(file, int(rows[0] - file_starts[file]), int(rows[-1] - rows[0]) + 1)

    def _stretches(self, rows: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
        """Ascending row numbers, cut between files, at gaps, and at a bounded length."""
        if not len(rows):
            return
        file_starts = self._file_starts()
        files = np.searchsorted(file_starts, rows, side="right")
        cuts = (np.diff(rows) > _GAP_ROWS) | (np.diff(files) != 0)
        for run in np.split(rows, np.flatnonzero(cuts) + 1):
            while len(run):
                size = int(np.searchsorted(run, run[0] + READ_ROWS))
                yield run[:size]
                run = run[size:]

    def _file_starts(self) -> npt.NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.file_rows[:-1])]).astype(np.int64)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan as one NumPy archive, under exactly this name."""
        arrays: dict[str, npt.NDArray[Any]] = {"file_rows": self.file_rows, "starts": self.starts}
        if self.order is not None:
            arrays["order"] = self.order
        with open(path, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy types the flag among them

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ShardPlan:
        """Read a plan that ``save`` wrote.

        Raises:
            InputError: it is gone or damaged.
        """
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as saved:
                order = saved["order"] if "order" in saved.files else None
                return cls(saved["file_rows"], saved["starts"], order)
        except _DAMAGE as error:
            state = "gone" if isinstance(error, FileNotFoundError) else "damaged"
            raise InputError(
                f"{os.path.basename(path)} is {state}. It says which rows make up which shard, so "
                "the run cannot go on without it. Bring the file back, or start over with "
                "--overwrite or in another folder."
            ) from error


def plan_shards(source: Source, samples_per_shard: int, group_by_url: bool = False) -> ShardPlan:
    """Divide an input into shards.

    Args:
        source: the input.
        samples_per_shard: rows in every shard but the last; when grouped, at most so many.
        group_by_url: bring rows with one URL into one shard, in the order in which URLs first
            appear. A URL with more rows than a shard gets shards of its own.
            Default: rows stay in the input's order.
    """
    file_rows = _file_rows(source)
    rows = int(file_rows.sum())
    if not group_by_url:
        return ShardPlan(file_rows, _slices(rows, samples_per_shard))
    grouped = group_rows(_url_batches(source), rows)
    plan = ShardPlan(file_rows, grouped.shard_starts(samples_per_shard), grouped.order)
    _warn_if_scattered(plan)
    return plan


def _warn_if_scattered(plan: ShardPlan) -> None:
    """Say so when every shard's rows lie all over the input, which makes reading them slow."""
    if plan.order is None or not plan.shards:
        return
    looked_at = [plan.row_indices(n) for n in np.linspace(0, plan.shards - 1, 20, dtype=np.int64)]
    reach = int(np.median([rows.max() - rows.min() + 1 for rows in looked_at]))
    if reach > _FAR_ROWS:
        _log.warning(
            "Rows with the same URL lie far apart: the rows of one shard reach over %d rows of the "
            "input, and all of these are gone over for every shard. Sort the input by URL to avoid "
            "that.",
            reach,
        )


def plan_rows(
    source: Source, rows: npt.NDArray[np.int64] | Sequence[int], samples_per_shard: int
) -> ShardPlan:
    """Plan shards of only some rows.

    Args:
        source: the input.
        rows: row numbers in the whole input, in the order wanted.
        samples_per_shard: rows in every shard but the last.
    """
    numbers = np.asarray(rows, dtype=np.int64)
    is_small = not len(numbers) or int(numbers.max()) < 1 << 32
    order: Any = numbers.astype(np.uint32 if is_small else np.uint64)
    return ShardPlan(_file_rows(source), _slices(len(numbers), samples_per_shard), order)


def read_shard(source: Source, plan: ShardPlan, shard: int) -> pa.Table:
    """The rows of one shard, in its order; every stretch of the input is read once.

    Rows that cannot be read are null; then a column ``_damage`` says why.
    """
    wanted = plan.row_indices(shard)
    ascending = np.argsort(wanted, kind="stable")
    tables = []
    for rows in plan._stretches(wanted[ascending]):
        table = read_around_damage(source, plan._part(rows))
        # Taking copies, so that a few rows do not hold on to the chunk they were read with.
        tables.append(table if plan.order is None else table.take(rows - rows[0]))
    if not tables:
        return source.schema().empty_table()
    found = pa.concat_tables(tables, promote_options="default")
    if plan.order is None:
        return found
    back = np.empty(len(wanted), dtype=np.int64)
    back[ascending] = np.arange(len(wanted))
    return found.take(back)


def source_fingerprint(source: Source) -> str:
    """Identity of an input: changes when its files, its columns or the column choices do."""
    files = [
        (
            "" if file.version.startswith(CONTENT_VERSION) else redact_url(file.url),
            file.size,
            file.version,
            file.rows,
        )
        for file in source.files()
    ]
    schema = [(field.name, str(field.type)) for field in source.schema()]
    columns = source.columns.model_dump(mode="json", exclude={"media_folder"})
    if folder := source.columns.media_folder:
        columns["media_folder"] = redact_url(folder)
    return fingerprint([files, schema, columns])


def _file_rows(source: Source) -> npt.NDArray[np.int64]:
    return np.array([file.rows for file in source.files()], dtype=np.int64)


def _slices(rows: int, size: int) -> npt.NDArray[np.int64]:
    return np.append(np.arange(0, rows, size, dtype=np.int64), rows)


def _url_batches(source: Source) -> Iterator[pa.ChunkedArray[Any]]:
    for number, file in enumerate(source.files()):
        for start in range(0, file.rows, READ_ROWS):
            yield source.read_urls(Part(number, start, min(READ_ROWS, file.rows - start)))
