"""video2dataset's loader as a dataset of PyTorch: batches in order, shared among workers."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from clipmill.compat.v2d_loader_arguments import LoaderArguments
from clipmill.compat.v2d_samples import Outcome, V2dSamples, Where
from clipmill.compat.v2d_tars import Tars
from clipmill.core.errors import UserError
from clipmill.dataset.load.loader import loaded_ahead
from clipmill.dataset.load.order import Order
from clipmill.dataset.load.ranks import rank_and_ranks

_log = logging.getLogger(__name__)


class VideoDataset(IterableDataset[Any]):
    """Batches under video2dataset's names, or single samples of bytes where nothing is decoded.

    Samples are divided among the processes that train together, as they are when this is made, and
    among the workers of a DataLoader. Their order follows from PyTorch's seed.

    Args:
        arguments: what is wanted.
    """

    def __init__(self, arguments: LoaderArguments) -> None:
        self._arguments = arguments
        tars = Tars(arguments.urls, *rank_and_ranks(), even=arguments.drop_last)
        self._samples = V2dSamples(tars, arguments)
        self._epoch = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """What this worker has to give of all epochs wanted."""
        size = self._arguments.batch_size
        # Closed by name: the collector may run in a thread of the pool, which cannot end itself.
        with closing(self._given()) as samples:
            if self._arguments.decoder_kwargs is None:
                yield from samples
                return
            while batch := list(itertools.islice(samples, size)):
                if len(batch) == size or not self._arguments.drop_last:
                    yield collate(batch)

    def _given(self) -> Generator[dict[str, Any], None, None]:
        """Samples that are neither left out nor failed."""
        for epoch in self._epochs():
            given, reasons = 0, Counter[str]()
            with closing(epoch) as outcomes:
                for outcome in outcomes:
                    if outcome.left_out:
                        reasons[outcome.left_out] += 1
                        continue
                    if outcome.error and not self._arguments.handler(outcome.error):
                        return
                    sample = self._marked(outcome)
                    if sample is None:
                        reasons["failed"] += 1
                        continue
                    given += 1
                    yield sample
            if reasons and not given:
                self._tell_none(reasons)

    def _marked(self, outcome: Outcome) -> dict[str, Any] | None:
        """A sample, with a mark whether it is corrupted where those are given too."""
        if not self._arguments.return_always:
            return outcome.sample
        named = {"__key__": outcome.key, "__url__": outcome.url}
        return {**(outcome.sample or named), "__corrupted__": outcome.sample is None}

    def _tell_none(self, reasons: Counter[str]) -> None:
        told = ", ".join(f"{name}: {count}" for name, count in reasons.most_common())
        what = f"Not one sample was kept ({told})."
        if self._arguments.repeat is None:  # it would go on for ever without a batch
            raise UserError(f"{what} Change the filters, or enforce_additional_keys.")
        _log.warning("%s", what)

    def _epochs(self) -> Iterator[Generator[Outcome, None, None]]:
        """One iterator of outcomes for each epoch; none where there is nothing for this worker."""
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        # All workers of a DataLoader must agree on the order; it gives them neighbouring seeds.
        seed = info.seed - info.id if info else int(torch.empty((), dtype=torch.int64).random_())
        arguments = self._arguments
        order = Order(
            self._samples.tars.counts,
            batch_size=arguments.batch_size,
            mixed=arguments.mixed,
            seed=seed,
        )
        numbers = range(order.batch_count)[worker::workers]
        if not numbers:
            return
        for _ in range(arguments.repeat) if arguments.repeat else itertools.count():
            epoch, self._epoch = self._epoch, self._epoch + 1
            groups = (_places(order, seed, epoch, number) for number in numbers)
            yield _outcomes(self._samples, groups, threads=1 if info else None)


def _places(order: Order, seed: int, epoch: int, number: int) -> list[Where]:
    ids = [int(one) for one in order.batch(epoch, number)]
    return [Where(seed, epoch, one, *order.shard_of(one)) for one in ids]


def _outcomes(
    samples: V2dSamples, groups: Iterator[list[Where]], threads: int | None
) -> Generator[Outcome, None, None]:
    with closing(loaded_ahead(samples, groups, threads)) as loaded:
        for futures in loaded:
            for future in futures:
                yield future.result()


def collate(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One batch: tensors stacked, numbers as an array, the rest as lists.

    Corrupted samples stand as copies of the batch's first healthy one; where there is none, the
    batch has nothing but their marks. Keys that not all samples have are left out.

    Args:
        samples: as dictionaries.

    Raises:
        UserError: tensors differ in shape.
    """
    healthy = next((one for one in samples if not one.get("__corrupted__")), None)
    if healthy is not None:
        stand_in = {name: value for name, value in healthy.items() if not name.startswith("__")}
        samples = [{**stand_in, **one} if one.get("__corrupted__") else one for one in samples]
    names = [name for name in samples[0] if all(name in one for one in samples)]
    return {name: _column(name, [one[name] for one in samples]) for name in names}


def _column(name: str, values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, int | float):
        return np.array(values)
    if not isinstance(first, torch.Tensor | np.ndarray):
        return values
    if len({tuple(one.shape) for one in values}) > 1:
        shapes = sorted({tuple(one.shape) for one in values})
        raise UserError(
            f"Samples of a batch differ in the shape of {name!r}: {shapes[0]} and {shapes[-1]}. "
            "Give n_frames, and resize_size with crop_size or as a pair (of sound: num_channels); "
            "or a batch_size of 1."
        )
    return torch.stack(values) if isinstance(first, torch.Tensor) else np.array(values)
