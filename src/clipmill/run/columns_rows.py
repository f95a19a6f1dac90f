"""The rows of a shard that steps are to say something of, and what there is of them already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from clipmill.core.sample import Sample
from clipmill.dataset.columns import MARKED, ColumnGroup, row_marks
from clipmill.dataset.dataset import Dataset
from clipmill.run.columns_job import ColumnsJob
from clipmill.run.input_rows import samples_of
from clipmill.run.shard_columns import ShardColumns
from clipmill.sources.base import Part
from clipmill.steps.load import make_step


@dataclass(frozen=True, slots=True)
class RowToSee:
    """A row of a shard that steps are to say something of.

    Args:
        number: its place in the shard.
        key: the sample's.
        sample: its media and span.
        values: the columns that steps read.
        steps: which steps are to see it, by their numbers.
    """

    number: int
    key: str
    sample: Sample
    values: dict[str, Any]
    steps: tuple[int, ...]


def samples_of_shard(dataset: Dataset, shard: str) -> int:
    """How many rows of a shard steps may say something of."""
    return int(dataset.stats.get(shard, {}).get("successes", 0))


def rows_to_see(
    job: ColumnsJob, shard: int, dataset: Dataset
) -> tuple[list[ShardColumns], list[RowToSee]]:
    """The column groups of a shard as far as they are filled, and the rows that are left.

    Args:
        job: the run.
        shard: number of the shard.
        dataset: that is annotated.

    Raises:
        InputError: a table is missing or damaged.
    """
    name = job.name(shard)
    names = dataset.schema(name).names
    table = dataset.shard_table(name, [one for one in MARKED if one in names])
    marks = pa.table({"key": table.column("key"), "mark": row_marks(table)})
    kept = job.source.row_numbers(shard)
    there = list(range(table.num_rows)) if kept is None else kept.tolist()
    groups = [
        ShardColumns(
            ColumnGroup(dataset.folder, task.group),
            make_step(task.order),
            marks,
            shard=name,
            there=there,
            redo=job.redo,
        )
        for task in job.steps
    ]
    steps = {
        row: tuple(number for number, one in enumerate(groups) if row in one.todo) for row in there
    }
    wanted = [row for row in there if steps[row]]
    if not wanted:
        return groups, []
    inputs = job.source.read(Part(shard, 0, len(there)))
    inputs = inputs.take(pa.array(np.searchsorted(there, wanted), pa.int64()))
    reads = sorted({one for group in groups for one in group.step.reads} & {*names})
    values: list[dict[str, Any]] = [{} for _ in wanted]
    if reads:
        read = dataset.shard_table(name, reads)
        values = read.take(pa.array(wanted, pa.int64())).to_pylist()
    keys = table.column("key").to_pylist()
    samples = samples_of(inputs, wanted, shard, job.recipe.write)
    return groups, [
        RowToSee(number, str(keys[number]), sample, row, steps[number])
        for number, sample, row in zip(wanted, samples, values, strict=True)
    ]
