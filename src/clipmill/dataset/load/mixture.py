"""Several loaders as one: batches of each in given proportions, in an order fixed beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from clipmill.core.errors import UserError
from clipmill.dataset.load.options import LoadOptions
from clipmill.dataset.load.order import Ids, chance
from clipmill.dataset.load.samples import Failure, Place, Samples

_MIXING = 2
"""What numbers by chance are for; see ``order.py``."""


class PartPlace(NamedTuple):
    """A sample of one of the parts."""

    part: int
    place: Place


class Mixture:
    """Batches of several datasets, each of one of them. Picklable.

    An epoch has as many batches of each part as its weight says. A part goes through all of its
    own before any comes a second time, over as many epochs as that takes.

    Args:
        parts: what is mixed.
        weights: how often batches of each come, relative to the others. Default: as they are many,
            so that each comes once per epoch.
        batches: of an epoch. Default: as many as all parts have together.
        seed: of the order of parts.

    Raises:
        UserError: there are no parts, or not a positive weight for each.
    """

    def __init__(
        self,
        parts: Sequence[Samples],
        weights: Sequence[float] | None = None,
        batches: int | None = None,
        seed: int = 0,
    ) -> None:
        self._held = np.array([part.batch_count for part in parts], np.int64)
        given = np.array(self._held if weights is None else weights, np.float64)
        if not len(parts) or len(given) != len(parts) or not (given > 0).all():
            raise UserError("A mixture needs loaders, and a weight greater than 0 for each.")
        if not self._held.all():
            raise UserError("A part of the mixture has no whole batch: give it drop_last=False.")
        self._parts = list(parts)
        self._seed = seed
        self.quotas = _shares(given, int(self._held.sum()) if batches is None else batches)
        self._order = lru_cache(maxsize=2)(self._permuted)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_order": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._order = lru_cache(maxsize=2)(self._permuted)

    @property
    def options(self) -> LoadOptions:
        """Settings that hold for whole batches: those of the first part."""
        return self._parts[0].options

    def describe(self) -> dict[str, Any]:
        """What decides which samples come when."""
        parts = [part.describe() for part in self._parts]
        return {"parts": parts, "quotas": self.quotas.tolist(), "seed": self._seed}

    @property
    def batch_count(self) -> int:
        """Batches of an epoch."""
        return int(self.quotas.sum())

    def batch(self, epoch: int, number: int) -> list[PartPlace]:
        """The samples of one batch, all of one part; see ``Order.batch``."""
        order, earlier = self._order(epoch)
        part = int(order[number])
        count = epoch * int(self.quotas[part]) + int(earlier[number])
        again, own = divmod(count, int(self._held[part]))
        return [PartPlace(part, place) for place in self._parts[part].batch(again, own)]

    def fetch(self, samples: Sequence[PartPlace]) -> None:
        """See ``Samples.fetch``."""
        for one in samples[:1]:  # all are of the same part
            self._parts[one.part].fetch([sample.place for sample in samples])

    def load(self, sample: PartPlace) -> dict[str, Any] | Failure:
        """See ``Samples.load``."""
        return self._parts[sample.part].load(sample.place)

    def _permuted(self, epoch: int) -> tuple[Ids, Ids]:
        """The part of every batch of an epoch, and how many of the same part come before it."""
        parts = np.repeat(np.arange(len(self._parts)), self.quotas)
        order = chance(self._seed, _MIXING, epoch).permutation(parts)
        earlier = np.empty_like(order)
        for part in range(len(self._parts)):
            where = order == part
            earlier[where] = np.arange(int(where.sum()))
        return order, earlier


def _shares(weights: Any, total: int) -> Ids:
    """Whole numbers in proportion to weights, that add up to a total; at least one each."""
    exact = weights / weights.sum() * total
    shares: Ids = np.maximum(np.floor(exact).astype(np.int64), 1)
    order = np.argsort(shares - exact, kind="stable")
    for place in range(max(0, total - int(shares.sum()))):
        shares[order[place % len(order)]] += 1
    return shares
