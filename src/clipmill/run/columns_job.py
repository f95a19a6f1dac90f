"""All that a worker needs to annotate the shards of a dataset; picklable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clipmill.io.folder import Folder
    from clipmill.run.recipe import Recipe
    from clipmill.sources.samples import SampleSource
    from clipmill.steps.load import StepOrder


@dataclass(frozen=True, slots=True)
class StepTask:
    """A step, and the column group that it fills."""

    order: StepOrder
    group: str


@dataclass(frozen=True, slots=True)
class Redo:
    """Which cells that are there already are made again.

    Args:
        every: all of them.
        classes: those that failed with one of these classes; ``failed`` means all that failed.
    """

    every: bool = False
    classes: frozenset[str] = frozenset()

    def wants(self, error_class: str | None) -> bool:
        """Whether a cell that failed with this class is made again."""
        return self.every or bool({"failed", error_class} & self.classes)


@dataclass(frozen=True, slots=True)
class ColumnsJob:
    """Steps to be run over the samples of a dataset.

    Args:
        recipe: how the work is done, and where the parent of virtual clips lies.
        run: id of the dataset's making.
        output: the dataset.
        scratch: local folder for work in hand.
        source: the dataset's samples.
        shards: names of its shards.
        steps: what to run.
        redo: which cells to make again.
        parent: folder that the media of its samples lie in; may be empty.
    """

    recipe: Recipe
    run: str
    output: Folder
    scratch: Path
    source: SampleSource
    shards: tuple[str, ...]
    steps: tuple[StepTask, ...]
    redo: Redo
    parent: str = ""

    def name(self, shard: int) -> str:
        """Name of a shard of the dataset."""
        return self.shards[shard]
