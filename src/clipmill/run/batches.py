"""Samples gathered into batches for a step that judges many at a time, as models do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from clipmill.core.errors import ProcessError, RunError
from clipmill.core.seen import Cell, Seen
from clipmill.steps.base import Annotate
from clipmill.steps.judge import PROGRAMMING_ERRORS, checked, judged, wrong_step
from clipmill.steps.load import StepOrder
from clipmill.steps.observe import ready_step

WAIT_SECONDS = 0.2
"""A batch that nothing was added to for so long is judged as it is."""
HELD_BYTES = 256_000_000
"""Frames and sound that wait for a step; nothing more is decoded for it meanwhile."""


class Batcher:
    """One step of a worker, and the samples that wait for it.

    The step is set up and runs in a thread of its own.

    Args:
        order: the step.
        batch_size: samples it is given at once, at most.
    """

    def __init__(self, order: StepOrder, batch_size: int) -> None:
        self._order = order
        self._batch_size = batch_size
        self._waiting: list[tuple[Seen, asyncio.Future[Cell]]] = []
        self._held = 0
        self._room = asyncio.Event()
        self._room.set()
        self._timer: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"step-{order.name}")
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

    def close(self) -> None:
        """Let the step go."""
        if self._timer is not None:
            self._timer.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held < HELD_BYTES:
            self._room.set()
        else:
            self._room.clear()

    def _begin(self) -> None:
        batch, self._waiting = self._waiting, []
        if batch:
            task = asyncio.create_task(self._judge(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _judge(self, batch: list[tuple[Seen, asyncio.Future[Cell]]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            cells = await loop.run_in_executor(
                self._thread, judge_batch, self._order, [seen for seen, _ in batch]
            )
        except Exception as error:  # noqa: BLE001  # told to those who wait for it
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), cell in zip(batch, cells, strict=True):
            if not future.done():
                future.set_result(cell)


def judge_batch(order: StepOrder, batch: Sequence[Seen]) -> list[Cell]:
    """What a step says of a batch; when it fails over one sample, all are judged one by one.

    Raises:
        RunError: the step has a programming error.
    """
    step = ready_step(order)
    if len(batch) == 1:
        return [_alone(step, batch[0])]
    keys = [seen.key for seen in batch]
    try:
        return checked(step, step.annotate(batch), keys)
    except PROGRAMMING_ERRORS as error:
        raise wrong_step(step, keys[0], error) from error
    except RunError:
        raise
    except (ProcessError, Exception):  # noqa: BLE001  # of one of them: see which
        return [_alone(step, seen) for seen in batch]


def _alone(step: Annotate, seen: Seen) -> Cell:
    cell, _ = judged(step, seen.key, lambda: step.annotate([seen]))
    return cell


def _size(seen: Seen) -> int:
    return sum(part.nbytes for part in (seen.frames, seen.audio) if part is not None)
