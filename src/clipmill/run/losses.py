"""What is made of a step that ended its process, or did not get on: which cells fail of it."""

from __future__ import annotations

from clipmill.core.errors import ProcessError, RunError
from clipmill.core.seen import Cell
from clipmill.steps.judge import failed

CLOSE_STEPS = "clipmill.steps.ready:close_steps"
STRIKES = 3
"""Samples of one source or batch over which a step may be lost; of the others, none is tried then,
for each costs a new process, and the time limit where the step hangs."""


def refuse_unready(error: ProcessError) -> None:
    """Stop the run where a step was lost as it was set up, whatever the samples.

    Args:
        error: of a process; what it was at is the step's name alone then.

    Raises:
        RunError: it was so.
    """
    if len(at := error.details.get("at", ())) == 1:
        raise RunError(
            f"Step {at[0]!r} could not be set up: {error.message}. What is done is kept; mend this "
            "and run the same again."
        ) from error


def not_tried(error: ProcessError) -> Cell:
    """The cell of a sample that a step is not shown any more.

    Args:
        error: how it was lost last.
    """
    words = f"not tried, since over {STRIKES} samples beside it {error.message}"
    return failed("step_not_tried", words)
