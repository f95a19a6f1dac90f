"""Samples gathered into batches for a step that judges many at a time, as models do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from clipmill.core.errors import ProcessError
from clipmill.core.seen import Cell, Seen
from clipmill.media.pool import MediaPool
from clipmill.run.losses import CLOSE_STEPS, STRIKES, not_tried, refuse_unready
from clipmill.steps.judge import failed
from clipmill.steps.load import StepOrder

_JUDGE = "clipmill.steps.batch:judge_batch"

WAIT_SECONDS = 0.2
"""A batch that nothing was added to for so long is judged as it is."""
HELD_BYTES = 256_000_000
"""Frames and sound that wait for a step; nothing more is decoded for it meanwhile."""


class Batcher:
    """One step of a worker, and the samples that wait for it.

    The step is set up and runs in a process of its own, which may be lost at any moment: the
    samples of a batch that it does not survive are tried one by one. If each of them is survived,
    the batch was too large for memory or the time limit, and further ones are half as large.

    Args:
        order: the step.
        batch_size: samples it is given at once, at most.
        timeout_seconds: a batch that does not get on for so long is given up.
    """

    def __init__(self, order: StepOrder, batch_size: int, timeout_seconds: float) -> None:
        self._order = order
        self._batch_size = batch_size
        self._waiting: list[tuple[Seen, asyncio.Future[Cell]]] = []
        self._held = 0
        self._room = asyncio.Event()
        self._room.set()
        self._timer: asyncio.TimerHandle | None = None
        # no limit on memory: a model takes what it takes
        self._pool = MediaPool(1, timeout_seconds)
        self._tasks: set[asyncio.Task[None]] = set()

    async def room(self) -> None:
        """Wait until little enough waits for the step."""
        await self._room.wait()

    async def cell(self, seen: Seen) -> Cell:
        """What the step says of a sample, once its batch is full or nothing more comes.

        Raises:
            RunError: the step has a programming error.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Cell] = loop.create_future()
        self._waiting.append((seen, future))
        self._hold(_size(seen))
        if self._timer is not None:
            self._timer.cancel()
        if len(self._waiting) >= self._batch_size:
            self._begin()
        else:
            self._timer = loop.call_later(WAIT_SECONDS, self._begin)
        try:
            return await future
        finally:
            self._hold(-_size(seen))

    async def close(self) -> None:
        """Let the step go."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await self._pool.finish(CLOSE_STEPS)

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held < HELD_BYTES:
            self._room.set()
        else:
            self._room.clear()

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, []
        batch = [(seen, future) for seen, future in waiting if not future.done()]
        if batch:
            task = asyncio.create_task(self._judge(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _judge(self, batch: list[tuple[Seen, asyncio.Future[Cell]]]) -> None:
        try:
            cells = await self._cells([seen for seen, _ in batch])
        except Exception as error:  # noqa: BLE001  # told to those who wait for it
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), cell in zip(batch, cells, strict=True):
            if not future.done():
                future.set_result(cell)

    async def _cells(self, batch: Sequence[Seen]) -> list[Cell]:
        if len(batch) > 1:
            try:
                return await self._ask(batch, attempts=1)
            except ProcessError as error:
                refuse_unready(error)
        cells: list[Cell] = []
        lost: list[ProcessError] = []
        for seen in batch:
            if len(lost) == STRIKES:
                cells.append(not_tried(lost[-1]))
                continue
            try:
                cells += await self._ask([seen], attempts=2)
            except ProcessError as error:
                refuse_unready(error)
                lost.append(error)
                cells.append(failed(error.error_class, error.message))
        if len(batch) > 1 and not lost:
            self._batch_size = max(1, len(batch) // 2)
        return cells

    async def _ask(self, batch: Sequence[Seen], attempts: int) -> list[Cell]:
        cells: list[Cell] = await self._pool.call(
            _JUDGE, attempts=attempts, order=self._order, batch=batch
        )
        return cells


def _size(seen: Seen) -> int:
    return sum(part.nbytes for part in (seen.frames, seen.audio) if part is not None)
