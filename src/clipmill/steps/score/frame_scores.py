"""What steps that measure frame by frame share: raw values, and what they come to."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from clipmill.core.seen import Seen
from clipmill.steps.base import InStretches, column

_PARTS = {
    "mean": "mean of the values",
    "min": "least of the values",
    "max": "greatest of the values",
    "p10": "a tenth of the values lie below it",
    "first": "first of the values",
}
STATISTICS = pa.struct(
    [*((name, pa.float32()) for name in _PARTS), ("values", pa.list_(pa.float32()))]
)
"""A score over a sample: of its raw values the mean, least, greatest, 10th percentile (linear
between neighbours) and first; all null where there is no value."""


def statistics(values: Sequence[float]) -> dict[str, Any]:
    """A cell of type ``STATISTICS``.

    Args:
        values: in order of time; may be empty.
    """
    if not len(values):
        return {**dict.fromkeys(_PARTS), "values": []}
    array = np.asarray(values, np.float64)
    return {
        "mean": array.mean(),
        "min": array.min(),
        "max": array.max(),
        "p10": np.percentile(array, 10),
        "first": array[0],
        "values": array,
    }


class FrameScores(InStretches):
    """A step that gives numbers for every frame, or pair of frames, that it sees.

    Each score becomes a column of type ``STATISTICS``; the leading one's parts become columns of
    their own instead, so that ``motion.mean`` is the mean of the leading score of ``motion``.
    A column ``pts_seconds`` says when each value was measured.

    Attributes:
        scores: description and unit of each score, by name.
        leading: the score that a step is about; None where all are alike.
        further: columns besides, made with ``column``, which ``conclude`` fills.
    """

    scores: ClassVar[Mapping[str, tuple[str, str]]]
    leading: ClassVar[str | None] = None
    further: ClassVar[tuple[Any, ...]] = ()

    @property
    def columns(self) -> pa.Schema:
        """See ``Annotate.columns``."""
        fields = []
        for name, (description, unit) in self.scores.items():
            if name == self.leading:
                fields += [
                    column(part, pa.float32(), f"{description}: {words}", unit=unit)
                    for part, words in _PARTS.items()
                ]
                fields.append(
                    column("values", pa.list_(pa.float32()), f"{description}, raw", unit=unit)
                )
            else:
                fields.append(column(name, STATISTICS, description, unit=unit))
        times = column(
            "pts_seconds",
            pa.list_(pa.float32()),
            "when each value was measured, from the sample's start",
            unit="s",
        )
        return pa.schema([*fields, times, *self.further])

    @abstractmethod
    def measure(self, memory: ScoreMemory, stretch: Seen) -> None:
        """Look at the next stretch, and add values to ``memory`` with ``ScoreMemory.add``."""

    def conclude(self, memory: ScoreMemory) -> Mapping[str, Any]:
        """The columns of ``further``, once all is seen."""
        return {}

    def begin(self, key: str, row: Mapping[str, Any], duration_seconds: float) -> ScoreMemory:
        """See ``InStretches.begin``."""
        return ScoreMemory(key, row, duration_seconds)

    def see(self, memory: ScoreMemory, stretch: Seen) -> None:
        """See ``InStretches.see``."""
        self.measure(memory, stretch)

    def end(self, memory: ScoreMemory) -> Mapping[str, Any]:
        """See ``InStretches.end``."""
        said: dict[str, Any] = {"pts_seconds": memory.pts_seconds, **self.conclude(memory)}
        for name in self.scores:
            cell = statistics(memory.values[name])
            said.update(cell if name == self.leading else {name: cell})
        return said


class ScoreMemory:
    """What is known of a sample so far.

    Args:
        key: the sample's.
        row: the columns that the step reads.
        duration_seconds: of the sample.

    Attributes:
        values: raw values of each score, in order of time.
        pts_seconds: when each was measured.
        last: frames that the next stretch is to be compared with, as the step keeps them.
        notes: whatever else a step keeps.
    """

    def __init__(self, key: str, row: Mapping[str, Any], duration_seconds: float) -> None:
        self.key = key
        self.row = row
        self.duration_seconds = duration_seconds
        self.values: dict[str, list[float]] = defaultdict(list)
        self.pts_seconds: list[float] = []
        self.last: Any = None
        self.notes: dict[str, Any] = {}

    def add(self, pts_seconds: float, **values: float) -> None:
        """Add the values of one frame or pair."""
        self.pts_seconds.append(pts_seconds)
        for name, value in values.items():
            self.values[name].append(float(value))
