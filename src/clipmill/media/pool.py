"""Media processes seen from a worker: one call, one job, whatever happens to the process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from types import TracebackType
from typing import Any, Self

from clipmill.core.errors import ClipmillError, ProcessError, RunError
from clipmill.core.libraries import ONE_THREAD
from clipmill.core.words import counted
from clipmill.media import whereabouts

_STDERR_TAIL_BYTES = 2000
_DEATH_WAIT_SECONDS = 1.0
_START_SECONDS = 60.0
_FAREWELL_SECONDS = 5.0
_AT_ONCE_BYTES = 64 * 1024
"""Of a job, which a socket takes without waiting."""
_PULSES_PER_DEADLINE = 4
_CRASHED = ("decoder_crashed", "step_crashed")
_HUNG = ("decoder_hung", "step_hung")
# Frame buffers go back to the allocator, not to the system and from there again for every file:
# measured, a quarter of a probe's time. glibc reads these; others ignore them.
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "33554432"}


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
        self._idle: list[_MediaProcess] = []
        self._alive: set[_MediaProcess] = set()

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
            reason: _ProcessLostError | None = None
            for _ in range(attempts):
                # After a loss nothing is taken for granted: the next process is a fresh one.
                process = self._idle.pop() if self._idle and not reason else self._start()
                try:
                    succeeded, result = await process.ask(
                        (function, arguments), self._deadline_seconds
                    )
                except _ProcessLostError as lost:
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

    def _start(self) -> _MediaProcess:
        pulse_seconds = self._deadline_seconds / _PULSES_PER_DEADLINE
        process = _MediaProcess(pulse_seconds, self._memory_limit_bytes)
        self._alive.add(process)
        return process

    def _end(self, process: _MediaProcess) -> None:
        process.end()
        self._alive.discard(process)
        if process in self._idle:
            self._idle.remove(process)


class _ProcessLostError(Exception):
    """A media process died or had to be given up.

    Args:
        how: it ended, such as ``died of SIGSEGV``.
        classes: the error class when it was at nothing, and when it was at something.
        at: what it said it was at.
    """

    def __init__(self, how: str, classes: tuple[str, str], at: list[str]) -> None:
        super().__init__(f"the {'step' if at else 'decoder'} {how}")
        self.error_class = classes[bool(at)]
        self.at = at


class _MediaProcess:
    def __init__(self, pulse_seconds: float, memory_limit_bytes: int | None) -> None:
        ours, theirs = socket.socketpair()
        self._whereabouts = tempfile.TemporaryFile()  # noqa: SIM115  closed in end()
        # -P: what lies in the user's working directory is not imported.
        command = [sys.executable, "-P", "-m", "clipmill.media.process", str(theirs.fileno())]
        command += ["--pulse-seconds", str(pulse_seconds)]
        command += ["--whereabouts", str(self._whereabouts.fileno())]
        if memory_limit_bytes:
            command += ["--memory-limit-bytes", str(memory_limit_bytes)]
        with theirs:
            self._popen = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno(), self._whereabouts.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**ONE_THREAD, **_ALLOCATOR, **os.environ},
            )
        self._connection = Connection(ours.detach())
        self._stderr_tail = b""
        self._ready = False
        self._pending: asyncio.Future[Any] | None = None
        self._loop = asyncio.get_running_loop()
        assert self._popen.stderr is not None
        self._stderr = self._popen.stderr
        os.set_blocking(self._stderr.fileno(), False)
        self._loop.add_reader(self._stderr.fileno(), self._drain_stderr)

    @property
    def pid(self) -> int:
        return self._popen.pid

    async def ask(self, job: tuple[str, dict[str, Any]], deadline_seconds: float) -> Any:
        """Send a job and wait for its answer; the start of the process is not on its clock.

        Each sign that the job gets on sets the clock back.

        Raises:
            _ProcessLostError: the process died, or did not answer in time.
            RunError: the process gave up while starting.
        """
        if not self._ready:
            await self._answer(None, _START_SECONDS)
            self._ready = True
        return await self._answer(job, deadline_seconds)

    async def _answer(self, job: tuple[str, dict[str, Any]] | None, seconds: float) -> Any:
        answer = self._pending = self._loop.create_future()
        try:
            async with asyncio.timeout(seconds) as clock:

                def restart() -> None:
                    clock.reschedule(self._loop.time() + seconds)

                self._loop.add_reader(self._connection.fileno(), self._receive, answer, restart)
                if job:
                    await self._send(job)
                return await answer
        except TimeoutError:
            raise self._lost_error(f"did not get on for {seconds:g} s", _HUNG) from None
        except (EOFError, ConnectionError):
            raise self._lost() from None
        finally:
            self._pending = None
            if not self._connection.closed:
                self._loop.remove_reader(self._connection.fileno())

    async def _send(self, job: tuple[str, dict[str, Any]]) -> None:
        """Send a job; a large one beside the loop, which would wait while the process reads it."""
        data = ForkingPickler.dumps(job)
        if len(data) <= _AT_ONCE_BYTES:
            self._connection.send_bytes(data)
        else:
            await asyncio.to_thread(self._connection.send_bytes, data)

    def end(self) -> None:
        """Kill the process and release what it held; whoever waits for an answer is cancelled."""
        if self._stderr.closed:
            return
        self._popen.kill()
        self._popen.wait()
        self._loop.remove_reader(self._stderr.fileno())
        self._loop.remove_reader(self._connection.fileno())
        self._stderr.close()
        self._whereabouts.close()
        self._connection.close()
        if self._pending:
            self._pending.cancel()

    def _receive(self, answer: asyncio.Future[Any], restart: Callable[[], None]) -> None:
        if answer.done():
            self._loop.remove_reader(self._connection.fileno())
            return
        try:
            # Messages are written in one piece, so this does not wait long for the rest of one.
            message = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            self._loop.remove_reader(self._connection.fileno())
            answer.set_exception(error)
            return
        if message is None:
            restart()
            return
        self._loop.remove_reader(self._connection.fileno())
        answer.set_result(message)

    def _drain_stderr(self) -> None:
        with contextlib.suppress(BlockingIOError):
            new = os.read(self._stderr.fileno(), 65536)
            self._stderr_tail = (self._stderr_tail + new)[-_STDERR_TAIL_BYTES:]
            if not new:
                self._loop.remove_reader(self._stderr.fileno())

    def _lost(self) -> ClipmillError | _ProcessLostError:
        """What to raise when the process hung up."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(_DEATH_WAIT_SECONDS)
        self._drain_stderr()
        code = self._popen.returncode
        lines = self._stderr_tail.decode(errors="replace").strip().splitlines()
        words = f", saying: {lines[-1]}" if lines else ""
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return self._lost_error(f"died of {name}{words}", _CRASHED)
        if not self._ready:
            return RunError(f"no media process can be started: it ended with status {code}{words}")
        return self._lost_error(f"ended with status {code}{words}", _CRASHED)

    def _lost_error(self, how: str, classes: tuple[str, str]) -> _ProcessLostError:
        return _ProcessLostError(how, classes, whereabouts.read(self._whereabouts.fileno()))
