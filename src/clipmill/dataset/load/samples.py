"""Samples by number, decoded: the one place where what fails of a sample is told from bugs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import numpy as np

from clipmill.core.errors import ProcessError, SampleError, StorageError, UserError
from clipmill.dataset.load.arrays import Kind, kind_of, read_array
from clipmill.dataset.load.buckets import NO_BUCKET, BucketOrder, place_in_buckets, read_buckets
from clipmill.dataset.load.media_files import MediaFiles
from clipmill.dataset.load.options import LoadOptions
from clipmill.dataset.load.order import Order, choices
from clipmill.dataset.load.rows import Row, Rows
from clipmill.dataset.load.view import view

Failure = tuple[str, str, str]
"""Key of a sample that could not be given, the class of the error, and its message."""
_LOOKED_AT = 100
"""Samples, at the most, that are tried to learn what arrays there are."""


class Place(NamedTuple):
    """One draw of one epoch, by its number in the order's counting."""

    epoch: int
    number: int


class Samples:
    """Gives samples as arrays. Picklable.

    Args:
        rows: where they lie.
        options: what is wanted of them.
    """

    def __init__(self, rows: Rows, options: LoadOptions) -> None:
        self.rows = rows
        self.options = options
        self.order = _order(rows, options)
        self._looks = {NO_BUCKET: options}
        for number, bucket in enumerate(read_buckets(options)):
            look = {
                "size": (bucket.width, bucket.height),
                "frames": bucket.frames or options.frames,
            }
            self._looks[number] = options.model_copy(update=look)
        self._files = MediaFiles(options.cache_bytes, options.decoder)
        self._kinds = {name: self._kind(name) for name in options.arrays}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._files = MediaFiles(self.options.cache_bytes, self.options.decoder)

    def describe(self) -> dict[str, Any]:
        """What decides which samples come when."""
        data = {"samples": self.order.samples, "data": self.rows.fingerprint}
        return {**data, **self.options.dump()}

    @property
    def batch_count(self) -> int:
        """Batches of an epoch."""
        return self.order.batch_count

    def batch(self, epoch: int, number: int) -> list[Place]:
        """The samples of one batch; see ``Order.batch``."""
        return [Place(epoch, int(one)) for one in self.order.batch(epoch, number)]

    def fetch(self, samples: Sequence[Place]) -> None:
        """Fetch what samples have on far storage, as far as some of it lies together.

        Args:
            samples: of one batch.
        """
        if not self.rows.is_far:
            return
        with suppress(SampleError, StorageError):  # told when the sample itself is loaded
            rows = [self._row(sample) for sample in samples]
            videos = [row.video for row in rows if row.video and self.options.video]
            audios = [row.audio for row in rows if row.audio and self.options.audio]
            arrays = [ref for row in rows for ref in row.arrays.values()]
            self._files.fetch([*videos, *audios, *arrays])

    def load(self, sample: Place) -> dict[str, Any] | Failure:
        """One sample as arrays, or why there is none.

        Args:
            sample: which one.

        Raises:
            SampleError: it cannot be read, and is not to be skipped; names it.
        """
        key = f"number {sample.number}"  # until its shard was read
        try:
            row = self._row(sample)
            key = row.key
            return self._viewed(row, sample)
        except (SampleError, StorageError) as error:
            error_class = getattr(error, "error_class", "storage")
            if self.options.on_error == "raise":
                raise ProcessError(
                    f"Sample {key}: {error.message}. To leave such samples out, give "
                    "on_error='skip'.",
                    error_class=error_class,
                ) from error
            return key, error_class, error.message

    def _row(self, sample: Place) -> Row:
        shard, place = self.order.shard_of(self.order.drawn(*sample))
        return self.rows.row(shard, place // self.options.clips_per_sample)

    def _viewed(self, row: Row, sample: Place) -> dict[str, Any]:
        bucket = NO_BUCKET
        if isinstance(self.order, BucketOrder):
            bucket = int(self.order.places[sample.number])
        options = self._looks[bucket]
        if options.video and row.video is None:
            raise ProcessError(
                "it has no video, and images give no frames: to load the rest, give video=False",
                error_class="no_video_stream",
            )
        known = {"key": row.key, **row.values, **self._arrays(row)}
        if not (options.video or options.audio):
            return known
        with ExitStack() as stack:
            seen = row.video if options.video else None
            heard = row.audio if options.audio else None
            video = audio = None
            if seen:
                video = stack.enter_context(self._files.open(seen, hears=heard == seen))
            if heard:
                alone = self._files.open(heard, hears=True)
                audio = video if heard == seen else stack.enter_context(alone)
            chance = choices(options.seed, sample.epoch, sample.number)
            return known | view(video, audio, row.span, options, chance)

    def _arrays(self, row: Row) -> dict[str, Any]:
        """Its members that are arrays, all of the kind that their like in other samples are."""
        found = {name: self._array(row, name) for name in self.options.arrays}
        for name, array in found.items():
            if (kind := kind_of(array)) != self._kinds[name]:
                raise ProcessError(
                    f"its member {name!r} is {kind}, and those before are {self._kinds[name]}",
                    error_class="other_array",
                )
        return found

    def _array(self, row: Row, name: str) -> np.ndarray[Any, Any]:
        if name not in row.arrays:
            raise ProcessError(f"it has no member {name!r}", error_class="member_missing")
        return read_array(name, self._files.read(row.arrays[name]))

    def _kind(self, name: str) -> Kind:
        """What arrays of a name are: that of the first sample which has one."""
        error: SampleError | StorageError | None = None
        for number in range(min(self.order.samples, _LOOKED_AT)):
            try:
                return kind_of(self._array(self._row(Place(0, number)), name))
            except (SampleError, StorageError) as failed:
                error = failed
        raise UserError(
            f"None of the first samples has an array {name!r}; of the last, {error}. Members are "
            "named by all that follows the first dot of their names, such as npy or clip.npy."
        )


def _order(rows: Rows, options: LoadOptions) -> Order:
    times = options.clips_per_sample
    counts = [count * times for count in rows.counts]
    how: Any = {"mixed": options.mixed, "seed": options.seed, "drop_last": options.drop_last}
    buckets = read_buckets(options)
    if not buckets:
        weights = None if rows.weights is None else np.repeat(rows.weights, times)
        return Order(counts, batch_size=options.batch_size, weights=weights, **how)
    if rows.weights is not None:
        raise UserError(
            "Buckets and the weights of a selection do not go together: give size in place of "
            "buckets, or select without a weight."
        )
    places = np.concatenate([place_in_buckets(one, buckets, options) for one in rows.facts()])
    if not (places != NO_BUCKET).any():
        raise UserError(
            f"No sample fits any of the buckets {', '.join(options.buckets or ())}: all have too "
            "few frames for them at this rate, or no pictures."
        )
    return BucketOrder(counts, np.repeat(places, times), buckets, **how)
