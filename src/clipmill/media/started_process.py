"""One media process seen from the worker that started it."""

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
from typing import Any

from clipmill.core.errors import ClipmillError, RunError
from clipmill.core.libraries import ONE_THREAD
from clipmill.media import whereabouts

_STDERR_TAIL_BYTES = 2000
_DEATH_WAIT_SECONDS = 1.0
_START_SECONDS = 60.0
_AT_ONCE_BYTES = 64 * 1024
"""Of a job, which a socket takes without waiting."""
_CRASHED = ("decoder_crashed", "step_crashed")
_HUNG = ("decoder_hung", "step_hung")
# Frame buffers go back to the allocator, not to the system and from there again for every file:
# measured, a quarter of a probe's time. glibc reads these; others ignore them.
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "33554432"}


class ProcessLostError(Exception):
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


class MediaProcess:
    """A process that does one job at a time.

    Args:
        pulse_seconds: how often it tells that the job under way gets on.
        memory_limit_bytes: private memory it may take; None for no limit.
    """

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
        """Of the process, for those who watch memory."""
        return self._popen.pid

    async def ask(self, job: tuple[str, dict[str, Any]], deadline_seconds: float) -> Any:
        """Send a job and wait for its answer; the start of the process is not on its clock.

        Each sign that the job gets on sets the clock back.

        Raises:
            ProcessLostError: the process died, or did not answer in time.
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

    def _lost(self) -> ClipmillError | ProcessLostError:
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

    def _lost_error(self, how: str, classes: tuple[str, str]) -> ProcessLostError:
        return ProcessLostError(how, classes, whereabouts.read(self._whereabouts.fileno()))
