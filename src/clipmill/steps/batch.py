"""Batches of samples judged by a step that takes many at a time; runs in the step's process."""

from __future__ import annotations

from collections.abc import Sequence

from clipmill.core.errors import ProcessError, RunError
from clipmill.core.seen import Cell, Seen
from clipmill.media import whereabouts
from clipmill.steps.base import Annotate
from clipmill.steps.judge import PROGRAMMING_ERRORS, checked, judged, wrong_step
from clipmill.steps.load import StepOrder
from clipmill.steps.ready import ready_step


def judge_batch(order: StepOrder, batch: Sequence[Seen]) -> list[Cell]:
    """What a step says of a batch; when it fails over one sample, all are judged one by one.

    Args:
        order: the step.
        batch: the samples.

    Raises:
        RunError: the step has a programming error, or could not be set up.
    """
    step = ready_step(order)
    if len(batch) == 1:
        return [_alone(step, batch[0])]
    keys = [seen.key for seen in batch]
    whereabouts.begin(step.name, *keys)
    try:
        return checked(step, step.annotate(batch), keys)
    except PROGRAMMING_ERRORS as error:
        raise wrong_step(step, keys[0], error) from error
    except RunError:
        raise
    except (ProcessError, Exception):  # noqa: BLE001  # of one of them: see which
        return [_alone(step, seen) for seen in batch]


def _alone(step: Annotate, seen: Seen) -> Cell:
    cell, _ = judged(step, seen.key, lambda: step.annotate([seen]))
    return cell
