"""The steps of a worker at work: shown samples in media processes, batches gathered beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from clipmill.core.errors import ProcessError
from clipmill.core.seen import Cell, Seen
from clipmill.io.stretch import Place
from clipmill.media.pool import MediaPool
from clipmill.run.batches import Batcher
from clipmill.steps.base import Annotate, InBatches
from clipmill.steps.judge import failed
from clipmill.steps.load import StepOrder
from clipmill.steps.look import Showing
from clipmill.steps.observe import Observed

SAMPLES_AT_ONCE = 256
"""Samples of one source that are shown together."""
SAMPLES_OF_BATCHES = 32
"""The same where frames come back from the media process."""
_OBSERVE = "clipmill.steps.observe:observe"
_ENDED = ("decoder_crashed", "out_of_memory")
"""How a media process ends soon, be it by the file or by one of the steps; a hang takes long."""


class StepCrew:
    """Shows samples to steps, whichever kind these are.

    Args:
        orders: the steps.
        steps: the same, made.
    """

    def __init__(self, orders: Sequence[StepOrder], steps: Sequence[Annotate]) -> None:
        self._orders = list(orders)
        self._steps = steps
        self._batchers = {
            number: Batcher(order, step.batch_size)
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
            RunError: a step has a programming error.
        """
        for batcher in self._batchers.values():
            await batcher.room()
        observed = await self._observed(pool, path, showings)
        told = [
            self._told(step, said)
            for showing, cells in zip(showings, observed.cells, strict=True)
            for step, said in zip(showing.steps, cells, strict=True)
        ]
        made = iter(await asyncio.gather(*told))
        cells = [[next(made) for _ in showing.steps] for showing in showings]
        return cells, observed.decoded_seconds

    async def _observed(
        self, pool: MediaPool, path: Place | None, showings: Sequence[Showing]
    ) -> Observed:
        """What comes of showing the samples; should that end the process, of each step alone."""
        call = {"path": path, "orders": self._orders}
        try:
            whole: Observed = await pool.call(_OBSERVE, showings=showings, **call)
            return whole
        except ProcessError as error:
            steps = sorted({step for showing in showings for step in showing.steps})
            if error.error_class not in _ENDED or len(steps) < 2:
                raise
        cells: list[dict[int, Cell | Seen]] = [{} for _ in showings]
        decoded = 0.0
        for step in steps:
            those = [n for n, showing in enumerate(showings) if step in showing.steps]
            alone = [replace(showings[n], steps=(step,)) for n in those]
            try:
                seen: Observed = await pool.call(_OBSERVE, showings=alone, **call)
            except ProcessError as error:
                seen = Observed([[failed(error.error_class, error.message)] for _ in those])
            decoded += seen.decoded_seconds
            for n, (cell,) in zip(those, seen.cells, strict=True):
                cells[n][step] = cell
        told = zip(showings, cells, strict=True)
        return Observed([[said[step] for step in one.steps] for one, said in told], decoded)

    def close(self) -> None:
        """Let the steps go."""
        for batcher in self._batchers.values():
            batcher.close()

    async def _told(self, step: int, said: Cell | Seen) -> Cell:
        return said if isinstance(said, Cell) else await self._batchers[step].cell(said)
