"""Rows that a retry in place leaves as they are, taken from the shard they lie in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa

from clipmill.core.errors import ShardError, UserError
from clipmill.core.keys import row_of_key
from clipmill.dataset.dataset import Dataset
from clipmill.formats.base import MemberPlace, ShardFormat
from clipmill.run.job import Job
from clipmill.run.source_work import CarriedRow
from clipmill.sources.base import DAMAGE_COLUMN


def carried_rows(
    job: Job, layout: ShardFormat, shard: str, retried: Collection[int]
) -> dict[int, CarriedRow]:
    """Finished rows of a shard by row number, those that are tried again left out.

    Args:
        job: the run.
        layout: the dataset's format.
        shard: shard name.
        retried: row numbers that are tried again.

    Raises:
        ShardError: the shard is damaged.
    """
    try:
        return _carried(Dataset(job.output), job, layout, shard, retried)
    except UserError as error:  # one damaged shard must not keep the others from their retry
        raise ShardError(f"{error} Run clipmill verify.") from error


def check_still_readable(inputs: pa.Table, carried: Mapping[int, CarriedRow]) -> None:
    """Refuse to write rows anew whose input columns could be read then and cannot be now.

    Args:
        inputs: the shard's rows, as its source gives them now.
        carried: rows that stay as they are, by their place among them.

    Raises:
        ShardError: which rows these are.
    """
    if DAMAGE_COLUMN not in inputs.column_names:
        return
    damage = inputs.column(DAMAGE_COLUMN).to_pylist()
    for place, row in carried.items():
        if damage[place] and row.row["error_class"] != "damaged_input":
            raise ShardError(f"Finished rows cannot be written anew: {damage[place]}")


def _carried(
    dataset: Dataset, job: Job, layout: ShardFormat, shard: str, retried: Collection[int]
) -> dict[int, CarriedRow]:
    found: dict[int, CarriedRow] = {}
    for volume in (name for name in dataset.shards if name.partition("-")[0] == shard):
        for number, row in enumerate(dataset.shard_table(volume).to_pylist()):
            position = row_of_key(row["key"], job.recipe.write.shard_digits)
            if position in retried:
                continue
            media = tuple(
                layout.locate(
                    job.output, volume, row["key"], number, extension, MemberPlace(**place)
                )
                for extension, place in (row.get("media") or {}).items()
                if place is not None
            )
            found[position] = CarriedRow(_as_result(row), media)
    return found


def _as_result(row: dict[str, Any]) -> dict[str, Any]:
    """The row as a pass would have recorded it: plain values that a journal can hold."""
    fetch = row["fetch"]
    if fetch is not None and fetch["fetched_at"] is not None:
        fetch = {**fetch, "fetched_at": round(fetch["fetched_at"].timestamp() * 1000)}
    names = [
        "key",
        "uid",
        "status",
        "error_step",
        "error_class",
        "error_message",
        "retryable",
        "url",
        "probe",
        "subtitles",
        "info",
    ]
    return {**{name: row[name] for name in names}, "fetch": fetch, "media": None}
