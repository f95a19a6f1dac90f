"""What all sources of a worker share: network, media processes, slots, files and disk budget."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clipmill.fetch.router import Router
from clipmill.media.pool import MediaPool
from clipmill.run.budget import DiskBudget
from clipmill.run.recipe import Recipe
from clipmill.run.scratch import ScratchFiles

if TYPE_CHECKING:
    from clipmill.run.judging import Judge
    from clipmill.run.step_crew import StepCrew

UNPROBED_PER_SLOT = 2


@dataclass(slots=True)
class Stages:
    """How many sources are in which stage of a worker right now."""

    fetch: int = 0
    probe: int = 0
    write: int = 0


class Workbench:
    """What all sources of a worker share: network, media processes, slots, files and disk budget.

    Args:
        recipe: what to do.
        scratch: local folder for work in hand.
        parent: folder that the media of existing samples lie in; may be empty.
    """

    def __init__(self, recipe: Recipe, scratch: Path, parent: str = "") -> None:
        self.recipe = recipe
        self.parent = parent
        self.router = Router(recipe.download)
        self.judge: Judge | None = None
        """Steps and conditions of the recipe, if it has any."""
        self.crew: StepCrew | None = None
        """Steps that say something of samples that are there, where that is what is done."""
        self.pool = MediaPool(
            recipe.run.media_processes,
            deadline_seconds=recipe.run.sample_timeout_seconds,
            memory_limit_bytes=int(recipe.run.media_memory_bytes),
        )
        self.files = ScratchFiles(scratch)
        self.budget = DiskBudget(int(recipe.run.ahead_bytes))
        self.slots = asyncio.Semaphore(recipe.download.concurrency)
        self.unprobed = asyncio.Semaphore(UNPROBED_PER_SLOT * recipe.download.concurrency)
        """Sources begun and not yet probed. More of them would only wait on disk for a media
        process, in memory the processor has long forgotten."""
        self.reading = asyncio.Lock()
        """Held while rows are read: a source goes through its files with one cursor."""
        self.stages = Stages()

    async def close(self) -> None:
        """Release connections and processes."""
        if steps := self.judge or self.crew:
            await steps.close(self.pool)
        self.pool.close()
        await self.router.close()
        self.files.remove()
