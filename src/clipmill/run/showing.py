"""Samples shown to steps in a media process, which a step or the decoder may end or stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from clipmill.core.errors import ProcessError
from clipmill.core.seen import Cell, Seen
from clipmill.io.stretch import Place
from clipmill.media.pool import MediaPool
from clipmill.run.losses import STRIKES, not_tried, refuse_unready
from clipmill.steps.judge import failed
from clipmill.steps.load import StepOrder
from clipmill.steps.look import Showing
from clipmill.steps.observe import Observed

_OBSERVE = "clipmill.steps.observe:observe"
_ENDED = ("decoder_crashed", "out_of_memory")
"""How a media process ends soon, be it by the file or by one of the steps; a hang takes long."""


async def show(
    pool: MediaPool,
    path: Place | None,
    showings: Sequence[Showing],
    orders: Sequence[StepOrder],
) -> Observed:
    """What comes of showing samples of one source; what the process is lost over is left out.

    The cell that a step was at when the process was lost fails, and all others are tried again.

    Args:
        pool: media processes.
        path: the source; None where no step looks at it.
        showings: the samples.
        orders: the steps.

    Raises:
        ProcessError: the source cannot be read.
        RunError: a step has a programming error, or cannot be set up.
    """
    cells: dict[tuple[int, int], Cell | Seen] = {}
    strikes: Counter[int] = Counter()
    decoded = 0.0
    while left := _left(showings, cells):
        try:
            seen = await _shown(pool, path, left, orders)
        except ProcessError as error:
            refuse_unready(error)
            hit = _hit(error, left, orders)
            if not hit:
                raise
            strikes.update(step for _, step in hit)
            cells |= dict.fromkeys(hit, failed(error.error_class, error.message))
            given_up = [step for _, step in hit if strikes[step] >= STRIKES]
            for n, one in left.items():
                for step in given_up:
                    if step in one.steps:
                        cells.setdefault((n, step), not_tried(error))
            continue
        decoded += seen.decoded_seconds
        for (n, one), said in zip(left.items(), seen.cells, strict=True):
            cells |= {(n, step): cell for step, cell in zip(one.steps, said, strict=True)}
    return Observed(
        [[cells[n, step] for step in one.steps] for n, one in enumerate(showings)], decoded
    )


async def _shown(
    pool: MediaPool, path: Place | None, left: Mapping[int, Showing], orders: Sequence[StepOrder]
) -> Observed:
    """What comes of showing the samples; should that end the process, of each step alone."""
    showings = list(left.values())
    try:
        whole: Observed = await pool.call(_OBSERVE, path=path, showings=showings, orders=orders)
        return whole
    except ProcessError as error:
        steps = sorted({step for one in showings for step in one.steps})
        if error.details.get("at") or error.error_class not in _ENDED or len(steps) < 2:
            raise
    cells: list[dict[int, Cell | Seen]] = [{} for _ in showings]
    decoded = 0.0
    for step in steps:
        those = [n for n, one in enumerate(showings) if step in one.steps]
        alone = [replace(showings[n], steps=(step,)) for n in those]
        try:
            seen = await show(pool, path, alone, orders)
        except ProcessError as error:
            seen = Observed([[failed(error.error_class, error.message)] for _ in those])
        decoded += seen.decoded_seconds
        for n, (cell,) in zip(those, seen.cells, strict=True):
            cells[n][step] = cell
    told = zip(showings, cells, strict=True)
    return Observed([[said[step] for step in one.steps] for one, said in told], decoded)


def _left(
    showings: Sequence[Showing], cells: Mapping[tuple[int, int], Cell | Seen]
) -> dict[int, Showing]:
    """Showings with the steps that have said nothing of them yet, by their places."""
    left = {}
    for n, one in enumerate(showings):
        if steps := tuple(step for step in one.steps if (n, step) not in cells):
            left[n] = replace(one, steps=steps)
    return left


def _hit(
    error: ProcessError, left: Mapping[int, Showing], orders: Sequence[StepOrder]
) -> list[tuple[int, int]]:
    """The sample and the step that a process was lost over, by their numbers."""
    return [
        (n, step)
        for n, one in left.items()
        for step in one.steps
        if [orders[step].name, one.key] == error.details.get("at")
    ]
