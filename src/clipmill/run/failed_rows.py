"""Which rows of the input a retry takes up, as the tables of their dataset tell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import pyarrow as pa

from clipmill.core.errors import InputError, UserError
from clipmill.core.registry import nearest
from clipmill.core.sample import Sample
from clipmill.dataset.dataset import Dataset
from clipmill.fetch.failures import ERROR_CLASSES
from clipmill.run.carry import placed_rows, source_uids
from clipmill.run.input_rows import samples_of
from clipmill.run.job import Job
from clipmill.sources.folder import FolderSource
from clipmill.sources.shard_plan import read_shard

FailedRows = dict[int, frozenset[int]]
"""Row numbers by shard id."""

_COLUMNS = ["key", "status", "error_class", "retryable"]
_FAILED = ("failed_to_download", "failed_to_process")


def failed_rows(
    dataset: Dataset,
    shards: Mapping[int, str],
    job: Callable[[], Job],
    classes: Collection[str],
    *,
    every: bool,
) -> FailedRows:
    """Rows of one input that failed themselves, or of which a clip did.

    Args:
        dataset: what was made of them.
        shards: names of the input's shards by their ids.
        job: gives the run over them; asked for only when rows of its input must be read.
        classes: error classes or statuses that are meant. Default: whatever is marked retryable.
        every: all that failed are meant.
    """
    found: dict[int, set[int]] = {}
    for shard, name in shards.items():
        volumes = [volume for volume in dataset.shards if volume.partition("-")[0] == name]
        tables = [dataset.shard_table(volume, _COLUMNS) for volume in volumes]
        rows = [row for table in tables for row in table.to_pylist()]
        if not any(_is_meant(row, classes, every) for row in rows):
            continue
        numbers = _numbers(dataset, job(), shard)
        meant = (n for n, row in zip(numbers, rows, strict=True) if _is_meant(row, classes, every))
        found[shard] = set(meant)
    return {shard: frozenset(rows) for shard, rows in found.items()}


def check_classes(dataset: Dataset, classes: Collection[str]) -> None:
    """Refuse classes that are none, and all when no row failed with any of them.

    Raises:
        UserError: tells what was probably meant, or those that there are.
    """
    if not classes:
        return
    known: set[str] = set()
    for shard in dataset.shards:
        for row in dataset.shard_table(shard, _COLUMNS).to_pylist():
            if row["status"] in _FAILED:
                known |= {row["status"], row["error_class"]}
    refuse_unknown(classes, known, "row")
    if not known & set(classes):
        raise UserError(
            f"No row failed with {', '.join(sorted(classes))}. There are: "
            f"{', '.join(sorted(known)) or 'no failed rows'}."
        )


def refuse_unknown(asked: Collection[str], there: Collection[str], what: str) -> None:
    """Refuse classes that nothing failed with and no fetch can fail with: they are misspelt.

    Args:
        asked: classes to try again.
        there: those that something failed with.
        what: what fails: ``row`` or ``cell``.

    Raises:
        UserError: tells what was probably meant, or those that there are.
    """
    unknown = sorted({*asked} - {*there} - {*ERROR_CLASSES})
    if unknown and there:
        hint = nearest(unknown[0], sorted(there))
        raise UserError(f"No {what} failed with {', '.join(unknown)}. {hint}")


def check_still_same(dataset: Dataset, job: Job, shard: int) -> None:
    """Refuse a shard whose files have other names than then, so that rows are of other sources.

    Raises:
        InputError: one is gone, or new among them.
    """
    if not isinstance(job.source, FolderSource):
        return  # tables are the same as then, or refused as a whole
    known = source_uids(dataset, job.name(shard))
    for sample, uid in zip(_samples(job, shard), known, strict=True):
        if sample.uid != uid:
            raise InputError(
                f"The files that {dataset.folder.url} was made of are others by now: {sample.url} "
                "is new among them. Put the earlier ones back, or use --overwrite."
            )


def _is_meant(row: dict[str, Any], classes: Collection[str], every: bool) -> bool:
    if row["status"] not in _FAILED:
        return False
    if every or not classes:
        return every or bool(row["retryable"])
    return bool({row["status"], row["error_class"]} & set(classes))


def _numbers(dataset: Dataset, job: Job, shard: int) -> list[int]:
    """Of each row of a shard, the number in it of the input row it came of.

    Rows of clips keep the keys of a dataset they were made of, which tell no number.
    """
    numbers = job.rows_of(shard)
    rows = placed_rows(dataset, job.name(shard), _samples(job, shard), job.recipe, ["key"])
    return [numbers[place] for place, _, _, _ in rows]


def _samples(job: Job, shard: int) -> list[Sample]:
    numbers = job.rows_of(shard)
    inputs = read_shard(job.source, job.plan, shard - job.first_shard)
    mine = inputs.take(pa.array(numbers, pa.int64()))
    return list(samples_of(mine, numbers, shard, job.recipe.write))
