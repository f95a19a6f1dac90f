"""The state of a run as its events tell it; progress lines, W&B and reports all read this."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from clipmill.core.outcome import Counts
from clipmill.run.events import Event, Progress, ShardDone, ShardFailed

RATE_WINDOW_SECONDS = 20.0


@dataclass(slots=True)
class Tally:
    """Running totals.

    Args:
        rows: samples this run is to do; ``rows_done`` of them are done.
        shards: shards this run is to do.
    """

    rows: int
    shards: int
    rows_done: int = 0
    counts: Counts = field(default_factory=Counts)
    shards_done: int = 0
    shards_failed: dict[int, str] = field(default_factory=dict)
    newest_stats: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    _known_done: Counter[int] = field(default_factory=Counter)
    _stages: dict[int, dict[str, int]] = field(default_factory=dict)
    _recent: deque[tuple[float, int, int]] = field(default_factory=deque)

    def take(self, event: Event) -> None:
        """Account for one event."""
        if isinstance(event, Progress):
            self.counts.merge(event.counts)
            for shard, rows in event.found_done.items():
                # What a worker that died had told of is known; the last of it was perhaps not told.
                self.rows -= rows - self._known_done[shard]
                self._known_done[shard] = rows
            self._known_done.update(event.inputs)
            rows = sum(event.inputs.values())
            self.rows_done += rows
            self._stages[event.worker] = event.stages
            self._recent.append((time.monotonic(), rows, event.counts.bytes_downloaded))
        elif isinstance(event, ShardDone):
            self.shards_done += 1
            self.newest_stats = event.stats
            self.shards_failed.pop(event.shard, None)
        elif isinstance(event, ShardFailed) and event.final:
            self.shards_failed[event.shard] = event.reason

    @property
    def seconds(self) -> float:
        """Time since the run began."""
        return time.monotonic() - self.started

    def rates(self) -> tuple[float, float]:
        """Rows and bytes per second over the last twenty seconds."""
        now = time.monotonic()
        while self._recent and now - self._recent[0][0] > RATE_WINDOW_SECONDS:
            self._recent.popleft()
        window = max(min(self.seconds, RATE_WINDOW_SECONDS), 1e-3)
        rows = sum(rows for _, rows, _ in self._recent)
        size = sum(size for _, _, size in self._recent)
        return rows / window, size / window

    def seconds_left(self) -> float | None:
        """Estimate from the recent rate; None while there is none."""
        rate = self.rates()[0]
        return (self.rows - self.rows_done) / rate if rate > 0 else None

    @property
    def success_share(self) -> float:
        """Successes among the finished rows; 1 before the first."""
        return self.counts.successes / self.counts.count if self.counts.count else 1.0

    @property
    def failed(self) -> int:
        """Rows that failed."""
        return self.counts.failed

    def top_errors(self, number: int = 3) -> list[tuple[str, int]]:
        """The most frequent error classes."""
        ordered = sorted(self.counts.error_classes.items(), key=lambda pair: (-pair[1], pair[0]))
        return ordered[:number]

    def bottleneck(self) -> str:
        """What most sources wait for, in words."""
        stages: Counter[str] = Counter()
        for one in self._stages.values():
            stages.update(one)
        stages["fetch"] -= stages["disk"]  # who waits for the disk is in the middle of a fetch
        words = {"fetch": "network", "probe": "media processes", "write": "writing", "disk": "disk"}
        busiest, number = max(stages.items(), key=lambda pair: pair[1], default=("", 0))
        return words[busiest] if number > 0 else "-"
