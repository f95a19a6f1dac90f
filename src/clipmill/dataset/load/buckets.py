"""Batches of samples that are alike in shape: each sample in the bucket that fits it best."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipmill.core.errors import UserError
from clipmill.dataset.load.options import LoadOptions
from clipmill.dataset.load.order import Ids, Order

NO_BUCKET = -1
Floats = npt.NDArray[np.float64]
_SHAPE = re.compile(r"(\d+)x(\d+)(?:x(\d+))?")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A shape of samples.

    Args:
        width: of the picture, in pixels.
        height: likewise.
        frames: of the sample; None for as many as the loader gives otherwise.
        batch_size: samples of a batch.
    """

    width: int
    height: int
    frames: int | None
    batch_size: int


def read_buckets(options: LoadOptions) -> list[Bucket]:
    """The buckets that a loader is to fill.

    Raises:
        UserError: one is not ``WIDTHxHEIGHT`` or ``WIDTHxHEIGHTxFRAMES``.
    """
    found = []
    for text, batch_size in (options.buckets or {}).items():
        shape = _SHAPE.fullmatch(text)
        if shape is None or "0" in shape.groups():
            raise UserError(
                f"buckets: {text!r} is no shape: write WIDTHxHEIGHT or WIDTHxHEIGHTxFRAMES, such "
                "as '832x480x81'."
            )
        width, height, frames = shape.groups()
        found.append(Bucket(int(width), int(height), int(frames) if frames else None, batch_size))
    return found


def place_in_buckets(
    facts: pa.Table, buckets: Sequence[Bucket], options: LoadOptions
) -> npt.NDArray[np.int16]:
    """The bucket of every sample, by its number.

    It is the one that cuts off least of the picture; of those the one with the most frames, then
    the largest.

    Args:
        facts: columns ``probe`` and perhaps ``span``, as tables of datasets have them.
        buckets: to choose from.
        options: their rate tells how many frames a sample has.

    Returns:
        int16 (samples,); ``NO_BUCKET`` for what has no pictures, or too few frames for all.
    """
    width, height = (_floats(facts, "probe", "video", name) for name in ("width", "height"))
    frames = _frames(facts, options)
    score = np.full((len(frames), len(buckets)), np.inf)
    order = sorted(
        range(len(buckets)),
        key=lambda n: (-(buckets[n].frames or 0), -buckets[n].width * buckets[n].height),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        shape = np.where(width * height > 0, width / height, np.nan)
        for rank, number in enumerate(order):
            bucket = buckets[number]
            ratio = shape / (bucket.width / bucket.height)
            loss = np.round(1 - np.minimum(ratio, 1 / ratio), 3)
            fits = np.isfinite(loss) & (frames >= (bucket.frames or 1))
            score[fits, number] = loss[fits] + rank * 1e-6
    best: npt.NDArray[np.int16] = score.argmin(axis=1).astype(np.int16)
    best[~np.isfinite(score.min(axis=1))] = NO_BUCKET
    return best


def _frames(facts: pa.Table, options: LoadOptions) -> Floats:
    """How many frames each sample has at the rate of the loader; none where that is unknown."""
    span = _floats(facts, "span", "end_seconds") - _floats(facts, "span", "start_seconds")
    seconds = np.where(np.isnan(span), _floats(facts, "probe", "duration_seconds"), span)
    rates = options.fps if isinstance(options.fps, tuple) else (options.fps,)
    asked = options.fps_range[0] if options.fps_range else min(rate or 0 for rate in rates)
    own = _floats(facts, "probe", "video", "average_frame_rate") / (options.stride or 1)
    found: Floats = np.ceil(np.nan_to_num(seconds * (asked or own)) - 1e-6)
    return found


def _floats(facts: pa.Table, *path: str) -> Floats:
    """A field of a column as numbers; NaN where it is null or there is none."""
    if path[0] not in facts.column_names:
        return np.full(facts.num_rows, np.nan)
    column: Any = facts.column(path[0]).combine_chunks()
    for name in path[1:]:
        is_struct = pa.types.is_struct(column.type)
        place = column.type.get_field_index(name) if is_struct else -1
        if place < 0:
            return np.full(facts.num_rows, np.nan)
        column = column.flatten()[place]
    found: Floats = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return found


class BucketOrder(Order):
    """Batches of one bucket each; a batch comes when the last of its samples would.

    Args:
        counts: number of samples of each shard.
        places: the bucket of every sample; those without one are left out.
        buckets: what there is.
        mixed: how many samples are mixed at a time; 0 keeps them in order.
        seed: of the order.
        drop_last: leave out batches that are not full.
    """

    def __init__(
        self,
        counts: Sequence[int],
        places: npt.NDArray[np.int16],
        buckets: Sequence[Bucket],
        *,
        mixed: int = 0,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        super().__init__(counts, batch_size=1, mixed=mixed, seed=seed)
        self.places = places
        self._drops = drop_last
        self._sizes = np.array([bucket.batch_size for bucket in buckets], np.int64)
        held = np.bincount(places[places >= 0], minlength=len(buckets))
        self.batch_count = int(
            (held // self._sizes if drop_last else -(-held // self._sizes)).sum()
        )
        self._cut = lru_cache(maxsize=2)(self._cut_up)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._cut = lru_cache(maxsize=2)(self._cut_up)

    def batch(self, epoch: int, number: int) -> Ids:
        """See ``Order.batch``."""
        ids, starts, ends = self._cut(epoch)
        return ids[starts[number] : ends[number]]

    def _cut_up(self, epoch: int) -> tuple[Ids, Ids, Ids]:
        """Samples by bucket, in the epoch's order, and where each batch of them starts and ends."""
        stream = self.stream(epoch)
        stream = stream[self.places[stream] != NO_BUCKET]
        by_bucket = np.argsort(self.places[stream], kind="stable")
        held = np.bincount(self.places[stream], minlength=len(self._sizes))
        starts, ends = [], []
        first = 0
        for count, size in zip(held, self._sizes, strict=True):
            begin = np.arange(first, first + count, size)
            end = np.minimum(begin + size, first + count)
            full = end - begin == size if self._drops else np.ones(len(begin), bool)
            starts.append(begin[full])
            ends.append(end[full])
            first += int(count)
        begins, finishes = np.concatenate(starts), np.concatenate(ends)
        comes = np.argsort(by_bucket[finishes - 1])
        return stream[by_bucket], begins[comes], finishes[comes]
