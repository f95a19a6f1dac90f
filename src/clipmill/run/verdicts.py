"""Conditions of a recipe told of samples: those that one does not hold for are dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from clipmill.core.libraries import keep_pandas_out
from clipmill.core.outcome import Outcome
from clipmill.dataset.evaluate import Evaluator
from clipmill.dataset.expression import Expression
from clipmill.run.clips import Judged


@dataclass(frozen=True, slots=True)
class Tier:
    """Steps that see a source together, and the conditions that can be told then.

    Args:
        steps: by their numbers.
        conditions: parts of what the recipe says.
    """

    steps: tuple[int, ...]
    conditions: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Tells conditions of samples; picklable.

    Args:
        names: of all steps, by their numbers.
        schema: columns of the rows, and a struct for what each step says.
    """

    names: tuple[str, ...]
    schema: pa.Schema

    def drop(
        self, samples: Sequence[Judged], conditions: Sequence[Expression], scratch: Path
    ) -> None:
        """Drop the samples that a condition does not hold for, or cannot be told for.

        Args:
            samples: what becomes of each is written into it.
            conditions: told in this order; the first that is against a sample is its reason.
            scratch: folder for work in hand.

        Raises:
            UserError: a value cannot be worked out.
        """
        if not samples or not conditions:
            return
        evaluator = _evaluator(scratch)
        table = pa.Table.from_pylist(list(map(self._row, samples)), schema=self.schema)
        for condition in conditions:
            told = evaluator.evaluate(condition, table)
            for sample, holds in zip(samples, told, strict=True):
                if not holds and sample.outcome.status == "success":
                    sample.outcome = self._reason(sample, condition, known=holds is not None)

    def _row(self, sample: Judged) -> dict[str, Any]:
        row: dict[str, Any] = {name: sample.row.get(name) for name in self.schema.names}
        for number, cell in sample.cells.items():
            row[self.names[number]] = {**cell.values, "status": cell.status}
        return row

    def _reason(self, sample: Judged, condition: Expression, *, known: bool) -> Outcome:
        if known:
            return Outcome("dropped", "where", "where", f"not so: {condition.text}")
        why = [
            f"{name}: {cell.error_message}"
            for number, name in enumerate(self.names)
            if (cell := sample.cells.get(number)) is not None and cell.status == "failed"
            if any(path[0] == name for path in condition.columns)
        ]
        words = "; ".join([f"cannot be told: {condition.text}", *why])
        return Outcome("dropped", "where", "unknown", words)


@lru_cache(1)
def _evaluator(scratch: Path) -> Evaluator:
    """The one of this process, made when a condition is first told."""
    keep_pandas_out()
    return Evaluator(scratch)
