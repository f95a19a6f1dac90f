"""The beginning of column groups: their folder, and their step in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc

from clipmill.core.request import DecoderName
from clipmill.dataset.columns import STEP_FILE, ColumnGroup, column_groups
from clipmill.dataset.dataset import Dataset
from clipmill.io.folder import Folder
from clipmill.steps.base import Annotate
from clipmill.steps.load import described, group_name, sees_by


def begin_groups(
    folder: Folder, steps: Sequence[Annotate], decoder: DecoderName
) -> list[ColumnGroup]:
    """The groups that steps fill; each becomes the one that answers to its step's name.

    Args:
        folder: the dataset's.
        steps: with their settings.
        decoder: of the pictures that they see.
    """
    known = column_groups(folder)
    newest = {group.step: group.name for group in known}
    number = max((group.info["number"] for group in known), default=0)
    made = []
    for step in steps:
        group = ColumnGroup(folder, group_name(step, decoder))
        if newest.get(step.name) != group.name:
            number += 1
            folder.write_json(group.path(STEP_FILE), _in_words(step, number, decoder))
        made.append(group)
    return made


def _in_words(step: Annotate, number: int, decoder: DecoderName) -> dict[str, Any]:
    return {
        "step": step.name,
        "number": number,
        "version": step.version,
        "settings": step.model_dump(mode="json"),
        "decoder": sees_by(step, decoder),
        "wants": None if step.wants is None else repr(step.wants),
        "columns": described(step),
    }


def totals(dataset: Dataset, group: ColumnGroup) -> dict[str, Any]:
    """How many cells of a group ended in which way, in the whole dataset.

    Args:
        dataset: that is annotated.
        group: as its tables are now.
    """
    fresh = ColumnGroup(dataset.folder, group.name)
    held = {shard: cells for shard in dataset.shards if (cells := fresh.cells(shard))}
    classes: Counter[str] = Counter()
    first: dict[str, str] = {}
    for shard, cells in held.items():
        classes.update(cells.failed)
        first = dict.fromkeys(cells.failed, shard) | first
    return {
        "success": sum(cells.success for cells in held.values()),
        "absent": sum(cells.absent for cells in held.values()),
        "failed": classes.total(),
        "error_classes": dict(classes),
        "examples": {
            name: one for name, shard in first.items() if (one := _example(fresh, shard, name))
        },
    }


def _example(group: ColumnGroup, shard: str, error_class: str) -> dict[str, str] | None:
    """Key and message of the first cell of a shard that failed in this way."""
    table = group.shard_table(shard, ["key", "error_class", "error_message"])
    place = -1 if table is None else pc.index(table["error_class"], error_class).as_py()
    if table is None or place < 0:
        return None
    key, _, message = (column[place].as_py() for column in table.columns)
    return {"key": key, "message": message}
