"""Media processes seen from a worker: one call, one job, whatever happens to the process."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from clipmill.core.errors import ProcessError
from clipmill.core.words import counted
from clipmill.media.started_process import MediaProcess, ProcessLostError

_FAREWELL_SECONDS = 5.0
_PULSES_PER_DEADLINE = 4


class MediaPool:
    """A few media processes, started when first needed, replaced when they die.

    Belongs to one asyncio loop. A job whose process dies or hangs is tried once more on a fresh
    process; if that ends the same way the sample has failed, and the pool goes on.

    Args:
        processes: how many jobs run at once.
        deadline_seconds: a job that does not get on for so long is ended.
        memory_limit_bytes: private memory of one process; None for no limit.
    """

    def __init__(
        self, processes: int, deadline_seconds: float, memory_limit_bytes: int | None = None
    ) -> None:
        self._slots = asyncio.Semaphore(processes)
        self._deadline_seconds = deadline_seconds
        self._memory_limit_bytes = memory_limit_bytes
        self._idle: list[MediaProcess] = []
        self._alive: set[MediaProcess] = set()

    async def call(self, function: str, *, attempts: int = 2, **arguments: Any) -> Any:
        """Run a function in a media process.

        Args:
            function: where it is, such as ``clipmill.media.prepare:prepare``. By name, since a
                worker itself need not load what only media processes use.
            attempts: processes in a row that may be lost over it. Default: 2.
            arguments: passed on; must be picklable.

        Raises:
            ProcessError: the job's own; or, when no process survived it, ``decoder_crashed`` or
                ``decoder_hung``; or ``step_crashed`` or ``step_hung`` where it was at something
                (see ``whereabouts``), with that as ``details["at"]``.
            RunError: no media process can be started at all.
        """
        async with self._slots:
            reason: ProcessLostError | None = None
            for _ in range(attempts):
                # After a loss nothing is taken for granted: the next process is a fresh one.
                process = self._idle.pop() if self._idle and not reason else self._start()
                try:
                    succeeded, result = await process.ask(
                        (function, arguments), self._deadline_seconds
                    )
                except ProcessLostError as lost:
                    self._end(process)
                    reason = lost
                    continue
                except BaseException:
                    # Cancelled: its answer would be taken for that of the next job.
                    self._end(process)
                    raise
                self._idle.append(process)
                if succeeded:
                    return result
                raise result
        assert reason is not None
        raise ProcessError(
            f"{reason} ({counted(attempts, 'time')} in a row)",
            error_class=reason.error_class,
            details={"at": reason.at},
        ) from reason

    async def finish(self, function: str) -> None:
        """Run a last function in every process that is at rest, then end them all.

        Args:
            function: where it is; what it raises, or that it takes too long, changes nothing.
        """
        last = [process.ask((function, {}), _FAREWELL_SECONDS) for process in self._idle]
        await asyncio.gather(*last, return_exceptions=True)
        self.close()

    def process_ids(self) -> list[int]:
        """The processes alive now, for those who watch memory."""
        return [process.pid for process in self._alive]

    def close(self) -> None:
        """End every process at once; calls under way are cancelled."""
        for process in list(self._alive):
            self._end(process)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self) -> MediaProcess:
        pulse_seconds = self._deadline_seconds / _PULSES_PER_DEADLINE
        process = MediaProcess(pulse_seconds, self._memory_limit_bytes)
        self._alive.add(process)
        return process

    def _end(self, process: MediaProcess) -> None:
        process.end()
        self._alive.discard(process)
        if process in self._idle:
            self._idle.remove(process)
