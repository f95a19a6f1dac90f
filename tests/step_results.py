"""What steps say of made media, for tests with planted truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clipmill.core.seen import Cell
from clipmill.core.time import Span
from clipmill.steps.load import StepOrder
from clipmill.steps.look import Showing
from clipmill.steps.observe import observe


def cell_of(
    path: Path | None,
    step: str,
    *,
    span: Span | None = None,
    row: Mapping[str, Any] | None = None,
    module: Path | None = None,
    **settings: Any,
) -> Cell:
    """The cell that a step, registered or of a module, gives a file, decoded as in a run."""
    showing = Showing("0", span, row or {}, (0,))
    order = StepOrder(step, settings, module and str(module))
    cell = observe(path, [showing], [order]).cells[0][0]
    assert isinstance(cell, Cell)
    return cell


def said_of(path: Path | None, step: str, **how: Any) -> Mapping[str, Any]:
    """The values that a step gives a file."""
    cell = cell_of(path, step, **how)
    assert cell.status == "success", cell
    return cell.values


def repeated(picture: Any, count: int) -> Iterator[Any]:
    """The same picture, again and again."""
    return (picture for _ in range(count))
