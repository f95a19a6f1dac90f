"""What each condition of a selection removes, alone and in turn; what is unknown counts apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pyarrow as pa

from clipmill.dataset.engine import quoted
from clipmill.dataset.expression import Expression

CAUSES = ("failed", "missing", "absent", "null")
"""Why a condition is unknown: a step failed on the sample, or has not seen it (yet); the sample has
nothing of what the step looks at; or the value is null or no number."""
_MS_PER_HOUR = 3_600_000
_STATES = 2 + len(CAUSES)
"""True, false, and unknown for each cause."""
_MOST_PARTS = 24
"""So many conditions' states fit into a number of 64 bits."""


@dataclass(slots=True)
class Amount:
    """Rows, and how long they are together.

    Args:
        rows: number of rows.
        ms: their length; rows of unknown length add nothing.
    """

    rows: int = 0
    ms: int = 0

    def add(self, rows: int, ms: int | None) -> None:
        """Count more of them."""
        self.rows += rows
        self.ms += ms or 0

    def dump(self) -> dict[str, Any]:
        """As JSON-like values, with hours."""
        return {"rows": self.rows, "hours": round(self.ms / _MS_PER_HOUR, 6)}


@dataclass(slots=True)
class Stage:
    """One condition or option, and what it removed.

    Args:
        condition: in words.
        alone: what it would remove of all successful rows by itself, unknown ones included.
        in_turn: what it removed of that which those before it left.
        unknown: those of ``alone`` of which it is not known; ``causes`` says how many for what.
        left: what is left after it.
    """

    condition: str
    alone: Amount = field(default_factory=Amount)
    in_turn: Amount = field(default_factory=Amount)
    unknown: Amount = field(default_factory=Amount)
    causes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CAUSES, 0))
    left: Amount = field(default_factory=Amount)

    def dump(self) -> dict[str, Any]:
        """As JSON-like values."""
        return {
            "condition": self.condition,
            "alone": self.alone.dump(),
            "in_turn": self.in_turn.dump(),
            "unknown": self.unknown.dump() | self.causes,
            "left": self.left.dump(),
        }


class Funnel:
    """Adds up what conditions remove, chunk by chunk.

    Args:
        parts: the conditions.
        groups: names of structs that are column groups: their ``status`` tells causes.
    """

    def __init__(self, parts: Sequence[Expression], groups: Sequence[str]) -> None:
        self.parts = parts = _at_most(parts)
        self.all = Amount()
        self.stages = [Stage("status = 'success'"), *(Stage(part.text) for part in parts)]
        self._groups = [
            [name for name in groups if name in {path[0] for path in part.columns}]
            for part in parts
        ]

    @property
    def columns(self) -> list[tuple[str, ...]]:
        """Columns it needs besides those of the conditions."""
        return [(name, "status") for name in dict.fromkeys(chain(*self._groups))]

    @property
    def left(self) -> Amount:
        """What is left in the end."""
        return self.stages[-1].left

    def truths(self) -> list[str]:
        """What each condition says of a row, as columns of SQL."""
        return [
            f"CAST({part.sql} AS BOOLEAN) AS c{number}" for number, part in enumerate(self.parts)
        ] + [f"{quoted(name)}.status AS {quoted(f'of {name}')}" for name, _ in self.columns]

    def code(self) -> str:
        """One number, as SQL over ``truths``, for all that is to be known of a row: 0 if it passes.

        Its digits to the base ``_STATES`` tell each condition's state; it is -1 if ``ok`` is false.
        """
        digits = ["0"]
        for number, groups in enumerate(self._groups):
            cases = [f"WHEN c{number} THEN 0", f"WHEN NOT c{number} THEN 1"]
            for state, test in ((2, "= 'failed'"), (3, "IS NULL"), (4, "= 'absent'")):
                if groups:
                    any_of = " OR ".join(f"{quoted(f'of {name}')} {test}" for name in groups)
                    cases.append(f"WHEN {any_of} THEN {state}")
            weight = _STATES**number
            digits.append(f"{weight}::BIGINT * CASE {' '.join(cases)} ELSE 5 END")
        return f"CASE WHEN ok THEN {' + '.join(digits)} ELSE -1 END"

    def add(self, code: int, rows: int, ms: int | None) -> None:
        """Count rows of one code.

        Args:
            code: see ``code``.
            rows: how many.
            ms: how long they are together.
        """
        self.all.add(rows, ms)
        first, *stages = self.stages
        if code < 0:
            first.alone.add(rows, ms)
            first.in_turn.add(rows, ms)
            return
        first.left.add(rows, ms)
        passes = True
        for stage in stages:
            code, state = divmod(code, _STATES)
            if state:
                stage.alone.add(rows, ms)
            if state and passes:
                stage.in_turn.add(rows, ms)
            if state > 1:
                stage.unknown.add(rows, ms)
                stage.causes[CAUSES[state - 2]] += rows
            passes = passes and not state
            if passes:
                stage.left.add(rows, ms)

    def then(self, condition: str, left: Amount) -> None:
        """Add a stage that is no condition of one row, such as a limit."""
        before = self.left
        removed = Amount(before.rows - left.rows, before.ms - left.ms)
        self.stages.append(Stage(condition, alone=removed, in_turn=removed, left=left))

    def dump(self) -> list[dict[str, Any]]:
        """As JSON-like values."""
        return [stage.dump() for stage in self.stages]


def _at_most(parts: Sequence[Expression]) -> list[Expression]:
    """The conditions, the last ones in one where there are many."""
    kept, rest = list(parts[: _MOST_PARTS - 1]), parts[_MOST_PARTS - 1 :]
    if rest:
        columns = tuple(dict.fromkeys(chain(*(part.columns for part in rest))))
        texts = " AND ".join(part.text for part in rest)
        kept.append(Expression(texts, f"({' AND '.join(part.sql for part in rest)})", columns))
    return kept


def length_ms(schema: pa.Schema) -> tuple[str, list[tuple[str, ...]]]:
    """How long a row is, as SQL, and the columns it needs.

    A clip is as long as its span, other samples as their probe says.

    Args:
        schema: columns of the dataset.
    """
    found = []
    columns: list[tuple[str, ...]] = []
    if _has(schema, "span", "start_seconds") and _has(schema, "span", "end_seconds"):
        found.append("span.end_seconds - span.start_seconds")
        columns += [("span", "start_seconds"), ("span", "end_seconds")]
    if _has(schema, "probe", "duration_seconds"):
        found.append("probe.duration_seconds")
        columns.append(("probe", "duration_seconds"))
    if not found:
        return "CAST(NULL AS BIGINT)", []
    return f"TRY_CAST(round(1000 * coalesce({', '.join(found)})) AS BIGINT)", columns


def _has(schema: pa.Schema, column: str, name: str) -> bool:
    if column not in schema.names:
        return False
    kind = schema.field(column).type
    return bool(pa.types.is_struct(kind) and kind.get_field_index(name) >= 0)
