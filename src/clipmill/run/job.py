"""All that a worker needs to work on the shards of a run; picklable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clipmill.core.keys import shard_name
from clipmill.io.folder import Folder
from clipmill.run.recipe import Recipe
from clipmill.sources.base import Source
from clipmill.sources.shard_plan import ShardPlan


@dataclass(frozen=True, slots=True)
class Job:
    """One run over one input.

    Args:
        recipe: what to do.
        fingerprint: the recipe's, stored in every shard's stats.
        run: id of the dataset's making; work in hand of another run is never taken up.
        output: where shards are committed.
        scratch: local folder for work in hand.
        source: the input's rows.
        plan: which rows make up which shard.
        parent: folder that the media of existing samples lie in, absolute; may be empty.
        first_shard: id of the plan's first shard in the dataset.
        retry: per shard id, row numbers to try again; every other row is carried over.
        moved: per shard id, row numbers that have moved to another shard.
        keeps: the run that keeps the sources meanwhile, over the same rows; None when none does.
    """

    recipe: Recipe
    fingerprint: str
    run: str
    output: Folder
    scratch: Path
    source: Source
    plan: ShardPlan
    parent: str = ""
    first_shard: int = 0
    retry: Mapping[int, frozenset[int]] = field(default_factory=dict)
    moved: Mapping[int, frozenset[int]] = field(default_factory=dict)
    keeps: Job | None = None

    def name(self, shard: int) -> str:
        """Name of a shard of this dataset."""
        return shard_name(shard, self.recipe.write.shard_digits)

    def rows_to_do(self, shard: int) -> int:
        """Number of rows of a shard that are not just carried over."""
        if shard in self.retry:
            return len(self.retry[shard])
        return len(self.rows_of(shard))

    def rows_of(self, shard: int) -> list[int]:
        """Numbers of the rows that belong to a shard."""
        moved = self.moved.get(shard, frozenset())
        return [
            row for row in range(self.plan.rows_in(shard - self.first_shard)) if row not in moved
        ]
