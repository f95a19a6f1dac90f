"""What a retry in place leaves as it is, taken from the shard it lies in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.core.errors import InputError, ShardError, UserError
from clipmill.core.keys import clip_key
from clipmill.core.sample import MediaRef, Sample
from clipmill.dataset.dataset import Dataset
from clipmill.formats.base import MemberPlace, ShardFormat
from clipmill.formats.tables import table_name
from clipmill.io.layout import SOURCES_FOLDER
from clipmill.run.job import Job
from clipmill.run.recipe import Recipe
from clipmill.run.rows import LICENSE
from clipmill.sources.base import DAMAGE_COLUMN

_BEGINNING = (
    *("key", "uid", "url", "status", "error_step", "error_class", "error_message", "retryable"),
)
_OF_SAMPLES = ("fetch", "probe", "media", "subtitles", "info")
_OF_CLIPS = ("source_key", "clip_index", "span", "rendered", "source_media", "probe", "cuts")
"""Names in the order that rows are recorded in, which their JSON members show."""


@dataclass(frozen=True, slots=True)
class CarriedRow:
    """A finished row, and where its media lie."""

    row: dict[str, Any]
    media: tuple[MediaRef, ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """What is there already of an input row.

    Args:
        rows: its row, or those of its clips.
        source: its row in the table of sources, when it was split.
    """

    rows: list[CarriedRow]
    source: dict[str, Any] | None = None


def carried_rows(
    job: Job, layout: ShardFormat, shard: str, samples: Sequence[Sample], stay: Collection[int]
) -> dict[int, Carried]:
    """What is finished of a shard, by place in it.

    Args:
        job: the run.
        layout: the dataset's format.
        shard: shard name.
        samples: what its rows are of, in order.
        stay: places of the samples that are not tried again.

    Raises:
        ShardError: the shard is damaged.
    """
    try:
        return _carried(Dataset(job.output), job, layout, shard, samples, stay)
    except UserError as error:  # one damaged shard must not keep the others from their retry
        raise ShardError(f"{error} Run clipmill verify.") from error


def check_still_readable(inputs: pa.Table, carried: Mapping[int, Carried]) -> None:
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
    for place, one in carried.items():
        if damage[place] and any(row.row["error_class"] != "damaged_input" for row in one.rows):
            raise ShardError(f"Finished rows cannot be written anew: {damage[place]}")


def _carried(
    dataset: Dataset,
    job: Job,
    layout: ShardFormat,
    shard: str,
    samples: Sequence[Sample],
    stay: Collection[int],
) -> dict[int, Carried]:
    found: dict[int, Carried] = {}
    sources = _sources(dataset, shard)
    for place, volume, number, row in placed_rows(dataset, shard, samples, job.recipe):
        if place not in stay:
            continue
        media = tuple(
            layout.locate(job.output, volume, row["key"], number, extension, MemberPlace(**at))
            for extension, at in (row.get("media") or {}).items()
            if at is not None
        )
        source = sources[place] if sources else None
        one = found.setdefault(place, Carried([], source))
        one.rows.append(CarriedRow(_as_result(row, job.recipe), media))
    return found


def placed_rows(
    dataset: Dataset,
    shard: str,
    samples: Sequence[Sample],
    recipe: Recipe,
    columns: list[str] | None = None,
) -> Iterator[tuple[int, str, int, dict[str, Any]]]:
    """Rows of a shard in order: place of the sample each is of, volume, number in it, the row.

    Of a sample that was split, the table of sources tells how many rows it has: its key alone could
    be that of a clip of the sample before it.

    Args:
        dataset: the dataset.
        shard: shard name.
        samples: what the shard is of, in order; each has one row at the least.
        recipe: tells whether rows are clips.
        columns: columns to read, ``key`` among them. Default: all.

    Raises:
        InputError: a row is of none of the samples.
    """
    rows_each = _rows_each(dataset, shard, recipe) or [1] * len(samples)
    places = (place for place, rows in enumerate(rows_each) for _ in range(rows))
    for volume in (name for name in dataset.shards if name.partition("-")[0] == shard):
        for number, row in enumerate(dataset.shard_table(volume, columns).to_pylist()):
            place = next(places, len(samples))
            if place >= len(samples) or not _is_of(row["key"], samples[place].key, recipe):
                raise InputError(f"{volume}: its row {row['key']} is of no row of the input.")
            yield place, volume, number, row


def source_uids(dataset: Dataset, shard: str) -> list[str]:
    """The uid of each sample that a shard is of, in order."""
    if sources := _sources(dataset, shard):
        return [row["uid"] for row in sources]
    volumes = [name for name in dataset.shards if name.partition("-")[0] == shard]
    tables = [dataset.shard_table(volume, ["uid"]) for volume in volumes]
    return [row["uid"] for table in tables for row in table.to_pylist()]


def _rows_each(dataset: Dataset, shard: str, recipe: Recipe) -> list[int]:
    """How many rows each sample has, when that need not be one."""
    if not recipe.makes_parts:
        return []
    return [max(row["clip_count"], 1) for row in _sources(dataset, shard)]


def _is_of(key: str, sample_key: str, recipe: Recipe) -> bool:
    if key == sample_key or not recipe.makes_parts:
        return key == sample_key
    index = key.removeprefix(f"{sample_key}_")
    return index.isdecimal() and key == clip_key(sample_key, int(index))


def _sources(dataset: Dataset, shard: str) -> list[dict[str, Any]]:
    """Rows of a shard's table of sources, which are one for each sample, in order."""
    name = f"{SOURCES_FOLDER}/{table_name(shard)}"
    if not dataset.folder.exists(name):
        return []
    with dataset.folder.open(name) as file:
        return [_plain(row) for row in pq.read_table(file).to_pylist()]


def _as_result(row: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """The row as a pass would have recorded it: plain values that a journal can hold."""
    names = [*_BEGINNING, *(_OF_CLIPS if recipe.makes_clips else _OF_SAMPLES)]
    if recipe.makes_clips:
        names += ["media", "subtitles", LICENSE, *["caption"] * recipe.captions_from_subtitles]
    return {**_plain({name: row[name] for name in names if name in row}), "media": None}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Values that JSON can hold."""
    fetch = row.get("fetch")
    if fetch is None or fetch["fetched_at"] is None:
        return row
    return {**row, "fetch": {**fetch, "fetched_at": round(fetch["fetched_at"].timestamp() * 1000)}}
