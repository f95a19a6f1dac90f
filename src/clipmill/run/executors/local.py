"""Worker processes on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait

from clipmill.core.errors import RunError
from clipmill.core.libraries import ONE_THREAD
from clipmill.run.events import Event, Fatal, Progress, ShardDone, ShardFailed
from clipmill.run.executors.base import Executor, WorkerJob

_MALLOC = {"MALLOC_ARENA_MAX": "2"}
"""Threads of a worker take turns; an arena for each would only keep memory from the others."""

SHARDS_IN_HAND = 2
"""A worker begins the next shard while the slowest sources of the last one are still coming."""
SILENCE_SECONDS = 60.0
"""A worker that tells nothing for so long hangs: it reports twice a second."""
STOP_SECONDS = 20.0
"""Time for workers to keep what is in hand once they are told to stop."""


@dataclass(slots=True)
class _WorkerProcess:
    process: subprocess.Popen[bytes]
    connection: Connection
    shards: set[int] = field(default_factory=set)
    heard: float = field(default_factory=time.monotonic)
    began: bool = False

    @classmethod
    def start(cls, job: WorkerJob) -> _WorkerProcess:
        ours, theirs = socket.socketpair()
        # Until it ignores them, a worker should not see interrupts: they are not for it.
        earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = subprocess.Popen(
                # -P: what lies in the user's working directory is not imported
                [sys.executable, "-P", "-m", "clipmill.run.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**ONE_THREAD, **os.environ, **_MALLOC},
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
            theirs.close()
        worker = cls(process, Connection(ours.detach()))
        worker.send(job)
        return worker

    def send(self, message: object) -> None:
        try:
            self.connection.send(message)
        except OSError:
            return  # it died; its closed end is noticed by whoever waits for it

    def end(self, timeout_seconds: float) -> None:
        try:
            self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.connection.close()


class LocalExecutor(Executor):
    """Keeps as many workers as the machine has room for, replacing those that die."""

    name = "local"

    def run(
        self,
        job: WorkerJob,
        shards: Sequence[int],
        tell: Callable[[Event], None],
        stop: threading.Event,
    ) -> None:
        """See ``Executor.run``."""
        crew = _Crew(job, shards, tell)
        try:
            while crew.busy and not stop.is_set():
                crew.assign()
                crew.listen(timeout_seconds=0.2)
        finally:
            crew.dismiss()


def worker_count(job: WorkerJob, shards: int) -> int:
    """Workers to start: as asked, else one for every two cores; never more than there are shards.

    A worker and its media processes share the work of a source about evenly.
    """
    asked = job.recipe.run.workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(shards, -(-(cores or 1) // 2) if asked == "auto" else asked))


class _Crew:
    def __init__(
        self, job: WorkerJob, shards: Sequence[int], tell: Callable[[Event], None]
    ) -> None:
        self._job = job
        self._tell = tell
        self._todo = deque(shards)
        self._tries: dict[int, int] = {}
        self._size = worker_count(job, len(shards))
        self._workers: list[_WorkerProcess] = []

    @property
    def busy(self) -> bool:
        return bool(self._todo) or any(worker.shards for worker in self._workers)

    def assign(self) -> None:
        """Hand shards to workers that have room, one round at a time so that all get some.

        A shard whose worker died is tried again alone: should it be what kills workers, it takes no
        other shard along.
        """
        while len(self._workers) < self._size and len(self._todo) > self._idle():
            self._workers.append(_WorkerProcess.start(self._job))
        for room in range(SHARDS_IN_HAND):
            for worker in self._workers:
                if not self._todo or len(worker.shards) > room:
                    continue
                suspect = self._todo[0] in self._tries or any(
                    shard in self._tries for shard in worker.shards
                )
                if not (suspect and worker.shards):
                    shard = self._todo.popleft()
                    worker.shards.add(shard)
                    worker.send(shard)

    def _idle(self) -> int:
        return sum(not worker.shards for worker in self._workers)

    def listen(self, timeout_seconds: float) -> None:
        ready = wait([worker.connection for worker in self._workers], timeout_seconds)
        for worker in list(self._workers):
            if worker.connection in ready:
                self._hear(worker)
            elif time.monotonic() - worker.heard > SILENCE_SECONDS:
                worker.process.kill()
                self._lost(worker, f"told nothing for {SILENCE_SECONDS:.0f} s and was killed")

    def _hear(self, worker: _WorkerProcess) -> None:
        try:
            event = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.wait()
            if not worker.began and worker.process.returncode > 0:
                raise RunError(
                    f"A worker cannot be started: it ended with status {worker.process.returncode} "
                    "before it began. What it said is above."
                ) from None
            self._lost(worker, _ending(worker.process.returncode))
            return
        worker.heard = time.monotonic()
        worker.began = True
        if isinstance(event, ShardDone):
            worker.shards.discard(event.shard)
        elif isinstance(event, ShardFailed):
            worker.shards.discard(event.shard)
            self._again(event.shard, event.reason)
            return
        elif isinstance(event, Fatal):
            self._tell(event)
            raise RunError(event.reason, traceback=event.traceback)
        self._tell(event)

    def _lost(self, worker: _WorkerProcess, reason: str) -> None:
        self._workers.remove(worker)
        worker.end(0)
        for shard in sorted(worker.shards, reverse=True):
            self._again(shard, f"worker {worker.process.pid} {reason}")

    def _again(self, shard: int, reason: str) -> None:
        self._tries[shard] = self._tries.get(shard, 0) + 1
        final = self._tries[shard] > self._job.recipe.run.max_shard_retries
        self._tell(ShardFailed(shard, reason, final))
        if not final:
            self._todo.appendleft(shard)

    def dismiss(self) -> None:
        """Stop every worker; they keep what is in hand."""
        for worker in self._workers:
            worker.send(None)
        deadline = time.monotonic() + STOP_SECONDS
        for worker in self._workers:
            self._hear_out(worker, deadline)
            worker.end(max(0.0, deadline - time.monotonic()))

    def _hear_out(self, worker: _WorkerProcess, deadline: float) -> None:
        """Take what a worker tells until it ends, so that all that is kept is counted."""
        try:
            while worker.connection.poll(max(0.0, deadline - time.monotonic())):
                event = worker.connection.recv()
                if isinstance(event, Progress | ShardDone):
                    self._tell(event)
        except (EOFError, OSError):
            return  # it has ended


def _ending(returncode: int) -> str:
    if returncode < 0:
        return f"was killed by {signal.Signals(-returncode).name}"
    return f"ended with status {returncode}"
