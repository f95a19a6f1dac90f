"""The beginning of column groups: their folder, and their step in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clipmill.core.request import DecoderName
from clipmill.dataset.columns import STEP_FILE, ColumnGroup, column_groups
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
