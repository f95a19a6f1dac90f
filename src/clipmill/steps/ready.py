"""Steps that are set up, in whichever process they run."""

from __future__ import annotations

from clipmill.core.errors import ClipmillError
from clipmill.core.libraries import keep_pandas_out
from clipmill.media import whereabouts
from clipmill.media.pulse import unhurried
from clipmill.steps.base import Annotate
from clipmill.steps.judge import unready_step
from clipmill.steps.load import StepOrder, make_step

_READY: dict[str, Annotate] = {}


def ready_step(order: StepOrder) -> Annotate:
    """A step that is set up, once per process.

    Raises:
        RunError: it could not be set up; its fields hold the traceback.
    """
    known = repr(order)
    if known not in _READY:
        with unhurried():
            step = make_step(order)
            keep_pandas_out()
            whereabouts.begin(step.name)
            try:
                step.setup()
            except ClipmillError:
                raise
            except Exception as error:
                raise unready_step(step, error) from error
        whereabouts.end()
        _READY[known] = step
    return _READY[known]


def close_steps() -> None:
    """Close the steps of this process, which has no more work."""
    while _READY:
        _, step = _READY.popitem()
        step.close()
