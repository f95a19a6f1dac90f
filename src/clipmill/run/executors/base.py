"""The contract of an executor: run every shard it is given, tell what happens."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

from clipmill.run.columns_job import ColumnsJob
from clipmill.run.events import Event
from clipmill.run.job import Job

WorkerJob = Job | ColumnsJob
"""What workers do: make shards, or columns beside them."""


class Executor(ABC):
    """Runs ``clipmill.run.worker`` somewhere. It knows shards by number only, never a step."""

    name: ClassVar[str]

    @abstractmethod
    def run(
        self,
        job: WorkerJob,
        shards: Sequence[int],
        tell: Callable[[Event], None],
        stop: threading.Event,
    ) -> None:
        """Work on every shard, trying again those whose worker died.

        Args:
            job: what to do.
            shards: ids of the shards to do, in order.
            tell: receives every event; called from one thread.
            stop: once set, workers finish or keep what is in hand and this returns.

        Raises:
            RunError: a worker reported that the run cannot go on.
        """
