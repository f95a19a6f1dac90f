"""Which samples make up which batch of an epoch: a function of the seed, and of nothing else.

Samples lie in shards. Blocks of neighbours are put in another order, then the samples of some
blocks at a time are mixed, so that a batch needs few tables at once. Any batch can be worked out
without those before it, which is how a loader is resumed, and how ranks and workers share an epoch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK_SAMPLES = 256
Ids = npt.NDArray[np.int64]
_ORDER, _CHOICES = 0, 1
"""What numbers drawn by chance are for: streams of the same seed that have nothing in common."""
_DRAWS = 3  # 2 is of mixtures
_WHOLE = 1 << 30
"""One draw, in the fixed-point numbers that shares of draws are added up in."""


class Order:
    """The batches of every epoch.

    Args:
        counts: number of samples of each shard.
        batch_size: samples of a batch.
        mixed: how many samples are mixed at a time, about; 0 keeps them in order.
        seed: of the order.
        drop_last: leave out the batch that is not full.
        weights: of each sample, 0 or more. An epoch still has as many draws as there are samples;
            of these each gets its share of all weights, rounded up or down by chance.

    Attributes:
        samples: number of samples, which is that of draws too.
        batch_count: batches of an epoch.
    """

    def __init__(
        self,
        counts: Sequence[int],
        *,
        batch_size: int,
        mixed: int = 0,
        seed: int = 0,
        drop_last: bool = False,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self.starts: Ids = np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64))])
        self.samples = int(self.starts[-1])
        self._batch_size = batch_size
        self._seed = seed
        self.batch_count = self.samples // batch_size
        if not drop_last:
            self.batch_count = -(-self.samples // batch_size)
        self._weights = weights
        self._window = mixed
        self._blocks = _blocks(self.starts) if mixed else np.empty((0, 2), np.int64)
        self._epoch = lru_cache(maxsize=2)(self._permuted)
        self._mixed = lru_cache(maxsize=4)(self._mix)
        self._draws = lru_cache(maxsize=2)(self._drawn)

    def __getstate__(self) -> dict[str, Any]:
        return {name: part for name, part in self.__dict__.items() if not callable(part)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._epoch = lru_cache(maxsize=2)(self._permuted)
        self._mixed = lru_cache(maxsize=4)(self._mix)
        self._draws = lru_cache(maxsize=2)(self._drawn)

    def batch(self, epoch: int, number: int) -> Ids:
        """Numbers of the draws in one batch; without weights, they are those of the samples.

        Args:
            epoch: 0 for the first.
            number: of the batch, counted over all ranks.
        """
        first = number * self._batch_size
        last = min(first + self._batch_size, self.samples)
        if not self._window:
            return np.arange(first, last)
        _, _, ends = self._epoch(epoch)
        windows = range(
            int(np.searchsorted(ends, first, side="right")),
            int(np.searchsorted(ends, last, side="left")) + 1,
        )
        parts = []
        for window in windows:
            begin = int(ends[window - 1]) if window else 0
            mixed = self._mixed(epoch, window)
            parts.append(mixed[max(first - begin, 0) : last - begin])
        return np.concatenate(parts)

    def stream(self, epoch: int) -> Ids:
        """All samples in the order of an epoch."""
        if not self._window:
            return np.arange(self.samples)
        windows = range(len(self._epoch(epoch)[1]))
        return np.concatenate([self._mix(epoch, window) for window in windows])

    def drawn(self, epoch: int, number: int) -> int:
        """The sample that a draw is of."""
        return number if self._weights is None else int(self._draws(epoch)[number])

    def shard_of(self, sample: int) -> tuple[int, int]:
        """The shard that a sample lies in, and its place among those of the shard."""
        shard = int(np.searchsorted(self.starts, sample, side="right")) - 1
        return shard, int(sample - self.starts[shard])

    def _drawn(self, epoch: int) -> Ids:
        """The sample of each draw of an epoch, in the order of samples.

        Systematic sampling: shares are laid end to end, in an order by chance, and a grid with a
        distance of one draw, begun by chance, counts those points that fall on each.
        """
        assert self._weights is not None
        random = chance(self._seed, _DRAWS, epoch)
        mixed = random.permutation(np.flatnonzero(self._weights))
        shares = self._weights[mixed] / self._weights.sum() * self.samples
        ends = np.cumsum(np.rint(shares * _WHOLE).astype(np.int64)) + random.integers(_WHOLE)
        points = np.minimum(ends // _WHOLE, self.samples)
        points[-1] = self.samples  # whatever rounding made of it
        times = np.zeros(self.samples, np.int64)
        times[mixed] = np.diff(points, prepend=0)
        return np.repeat(np.arange(self.samples), times)

    def _permuted(self, epoch: int) -> tuple[Ids, Ids, Ids]:
        """Blocks in the order of an epoch; the first block of each window, and where windows end.

        A window has at least as many samples as are to be mixed, but for the last one.
        """
        blocks = self._blocks[chance(self._seed, _ORDER, epoch).permutation(len(self._blocks))]
        ends = np.cumsum(blocks[:, 1] - blocks[:, 0])
        window = np.concatenate([[0], ends[:-1]]) // self._window
        firsts = np.flatnonzero(np.diff(window, prepend=-1))
        return blocks, firsts, np.append(ends[firsts[1:] - 1], ends[-1])

    def _mix(self, epoch: int, window: int) -> Ids:
        """The samples of one window, mixed."""
        blocks, firsts, _ = self._epoch(epoch)
        held = blocks[firsts[window] : (*firsts, len(blocks))[window + 1]]
        ids = np.concatenate([np.arange(first, last) for first, last in held])
        mixed: Ids = chance(self._seed, _ORDER, epoch, window + 1).permutation(ids)
        return mixed


def choices(seed: int, epoch: int, sample: int) -> np.random.Generator:
    """Numbers by chance for what is chosen of one sample, whoever loads it."""
    return chance(seed, _CHOICES, epoch, sample)


def chance(*words: int) -> np.random.Generator:
    """Numbers by chance that depend on these words alone."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def _blocks(starts: Ids) -> Ids:
    """First and last (exclusive) sample of every block; none reaches over two shards."""
    found = []
    for first, last in itertools.pairwise(starts):
        edges = np.append(np.arange(first, last, BLOCK_SAMPLES), last)
        found.append(np.stack([edges[:-1], edges[1:]], axis=1))
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)
