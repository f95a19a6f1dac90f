"""What workers tell while they work; plain data that crosses process boundaries."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from clipmill.core.outcome import Counts


@dataclass(frozen=True, slots=True)
class Progress:
    """What one worker did since it last told.

    Args:
        counts: how rows ended since; of a sample that was split, those of its clips.
        stages: samples in each stage right now: ``fetch``, ``probe``, ``write``, ``disk`` (held
            back because too many bytes wait on disk).
        inputs: samples finished since, whatever number of rows they gave, by shard.
        found_done: samples found finished in shards taken up since.
        worker: process id.
    """

    counts: Counts
    stages: dict[str, int] = field(default_factory=dict)
    inputs: dict[int, int] = field(default_factory=dict)
    found_done: dict[int, int] = field(default_factory=dict)
    worker: int = field(default_factory=os.getpid)


@dataclass(frozen=True, slots=True)
class ShardDone:
    """One shard was committed.

    Args:
        shard: its id.
        stats: content of its stats file.
    """

    shard: int
    stats: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ShardFailed:
    """One shard could not be finished this time.

    Args:
        shard: its id.
        reason: what happened.
        final: whether it was the last try.
    """

    shard: int
    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Fatal:
    """The run cannot go on.

    Args:
        reason: what happened and what to try.
        traceback: where, when it is a programming error.
    """

    reason: str
    traceback: str = ""


Event = Progress | ShardDone | ShardFailed | Fatal
