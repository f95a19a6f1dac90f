"""A worker process: works on shards it is handed, tells what it does, stops when told.

Started as ``python -m clipmill.run.worker FD``, so that it works from notebooks and scripts without
a main guard; FD is one end of a socket pair. It ends by itself when the other end is closed.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import traceback
from collections import Counter
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from clipmill.core.errors import RunError, ShardError, UserError
from clipmill.core.libraries import hide_library_warnings, keep_pandas_out
from clipmill.core.outcome import Counts
from clipmill.run.columns_job import ColumnsJob
from clipmill.run.events import Event, Fatal, Progress, ShardDone, ShardFailed
from clipmill.run.job import Job
from clipmill.run.output import WorkersPresent
from clipmill.run.room import is_no_room, no_room
from clipmill.run.shard_pass import ShardPass
from clipmill.run.workbench import Workbench

REPORT_SECONDS = 0.5


class Worker:
    """Runs the shards it is sent side by side; earlier ones go first for every means.

    Args:
        connection: to whoever hands out shards. It sends shard ids, or
            None to stop; events are sent back.
        job: the run.
    """

    def __init__(self, connection: Connection, job: Job | ColumnsJob) -> None:
        self._connection = connection
        self._job = job
        self._counts = Counts()
        self._inputs: Counter[int] = Counter()
        self._found_done: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = 0
        self._stop = asyncio.Event()

    async def serve(self) -> None:
        """Work until told to stop; what is in hand then stays journalled."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        loop.add_reader(self._connection.fileno(), self._receive)
        try:
            self._bench = Workbench(self._job.recipe, self._job.scratch, self._job.parent)
        except OSError as error:
            if not is_no_room(error):
                raise
            self._send(Fatal(str(no_room(error, self._job.scratch))))
            return
        if isinstance(self._job, Job) and self._job.recipe.judges:
            from clipmill.run.judging import Judge, judged_schema  # steps load much

            schema = judged_schema(self._job.source.schema(), self._job.recipe)
            self._bench.judge = Judge(self._job.recipe, schema)
        if isinstance(self._job, ColumnsJob):
            from clipmill.run.columns_pass import crew_of

            self._bench.crew = crew_of(self._job)
        ticker = asyncio.create_task(self._tick())
        try:
            await self._stop.wait()
        finally:
            loop.remove_reader(self._connection.fileno())
            for task in (ticker, *self._tasks):
                task.cancel()
            await asyncio.gather(ticker, *self._tasks, return_exceptions=True)
            self._report()
            await self._bench.close()

    def _receive(self) -> None:
        try:
            shard = self._connection.recv()
        except (EOFError, OSError):
            shard = None  # whoever hands out shards is gone
        if shard is None:
            self._stop.set()
            return
        task = asyncio.create_task(self._shard(shard))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shard(self, shard: int) -> None:
        self._turn += 1
        try:
            stats = await self._pass(shard)
        except (ShardError, OSError) as error:
            if isinstance(error, OSError) and is_no_room(error):
                self._send(Fatal(str(no_room(error, self._job.scratch))))
            else:
                self._send(ShardFailed(shard, f"{type(error).__name__}: {error}"))
        except (RunError, UserError) as error:
            self._send(Fatal(str(error), error.fields.get("traceback", "")))
        except Exception as error:  # noqa: BLE001  a bug: it must stop the run, with its traceback
            self._send(Fatal(f"{type(error).__name__}: {error}", traceback.format_exc()))
        else:
            self._report()
            self._send(ShardDone(shard, stats))

    async def _pass(self, shard: int) -> dict[str, Any]:
        """Do the shard, in the way of its job."""
        how: dict[str, Any] = {
            "turn": self._turn,
            "report": partial(self._count, shard),
            "found_done": partial(self._found_done.__setitem__, shard),
        }
        if isinstance(self._job, Job):
            return await ShardPass(self._job, self._bench, shard, **how).run()
        from clipmill.run.columns_pass import ColumnsPass  # steps load much that others do not need

        return await ColumnsPass(self._job, self._bench, shard, **how).run()

    def _count(self, shard: int, counts: Counts) -> None:
        self._inputs[shard] += 1
        self._counts.merge(counts)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            self._report()

    def _report(self) -> None:
        counts, stages = self._counts, self._bench.stages
        inputs, found_done = dict(self._inputs), dict(self._found_done)
        self._counts = Counts()
        self._inputs.clear()
        self._found_done.clear()
        self._send(
            Progress(
                counts,
                {
                    "fetch": stages.fetch,
                    "probe": stages.probe,
                    "write": stages.write,
                    "disk": self._bench.budget.waiting,
                },
                inputs,
                found_done,
            )
        )

    def _send(self, event: Event) -> None:
        try:
            self._connection.send(event)
        except OSError:
            self._stop.set()  # nobody listens any more


def main() -> None:
    """Entry point of the process."""
    hide_library_warnings()
    keep_pandas_out()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the group; the parent decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    connection = Connection(int(sys.argv[1]))
    job: Job | ColumnsJob = connection.recv()
    runs = filter(None, (job, job.keeps)) if isinstance(job, Job) else (job,)
    present = [WorkersPresent(one.scratch) for one in runs]  # noqa: F841  until this process ends
    gc.freeze()  # what was imported stays; looking through it again and again costs time
    asyncio.run(_serve(connection, job))


async def _serve(connection: Connection, job: Job | ColumnsJob) -> None:
    await Worker(connection, job).serve()


if __name__ == "__main__":
    main()
