"""The steps of a worker at work: shown samples in media processes, batches gathered beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from clipmill.core.seen import Cell, Seen
from clipmill.io.stretch import Place
from clipmill.media.pool import MediaPool
from clipmill.run.batches import Batcher
from clipmill.run.losses import CLOSE_STEPS
from clipmill.run.showing import show
from clipmill.steps.base import Annotate, InBatches
from clipmill.steps.load import StepOrder
from clipmill.steps.look import Showing

SAMPLES_AT_ONCE = 256
"""Samples of one source that are shown together."""
SAMPLES_OF_BATCHES = 32
"""The same where frames come back from the media process."""


class StepCrew:
    """Shows samples to steps, whichever kind these are.

    Args:
        orders: the steps.
        steps: the same, made.
        timeout_seconds: a batch that does not get on for so long is given up.
    """

    def __init__(
        self, orders: Sequence[StepOrder], steps: Sequence[Annotate], timeout_seconds: float
    ) -> None:
        self._orders = list(orders)
        self._steps = steps
        self._batchers = {
            number: Batcher(order, step.batch_size, timeout_seconds)
            for number, (order, step) in enumerate(zip(orders, steps, strict=True))
            if isinstance(step, InBatches)
        }

    def in_parts(self, showings: Sequence[Showing]) -> list[range]:
        """The samples of one source in parts that are shown one after the other, by their places.

        Args:
            showings: in order of time.
        """
        batched = any(step in self._batchers for one in showings for step in one.steps)
        size = SAMPLES_OF_BATCHES if batched else SAMPLES_AT_ONCE
        count = len(showings)
        return [range(start, min(start + size, count)) for start in range(0, count, size)]

    async def look(
        self, pool: MediaPool, path: Place | None, showings: Sequence[Showing]
    ) -> tuple[list[list[Cell]], float]:
        """What steps say of some samples of one source, and the seconds of video decoded for it.

        Args:
            pool: media processes.
            path: the source; None where no step looks at it.
            showings: the samples.

        Raises:
            ProcessError: the source cannot be read.
            RunError: a step has a programming error, or cannot be set up.
        """
        for batcher in self._batchers.values():
            await batcher.room()
        observed = await show(pool, path, showings, self._orders)
        told = [
            self._told(step, said)
            for showing, cells in zip(showings, observed.cells, strict=True)
            for step, said in zip(showing.steps, cells, strict=True)
        ]
        made = iter(await asyncio.gather(*told))
        cells = [[next(made) for _ in showing.steps] for showing in showings]
        return cells, observed.decoded_seconds

    async def close(self, pool: MediaPool) -> None:
        """Let the steps go, and the processes they are in.

        Args:
            pool: media processes.
        """
        own = (batcher.close() for batcher in self._batchers.values())
        await asyncio.gather(pool.finish(CLOSE_STEPS), *own)

    async def _told(self, step: int, said: Cell | Seen) -> Cell:
        return said if isinstance(said, Cell) else await self._batchers[step].cell(said)
