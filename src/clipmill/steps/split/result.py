"""What splitting a source gives; light to import, for those who only read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from clipmill.steps.split.detector import Cut
from clipmill.steps.split.given import FoundClip


@dataclass(frozen=True, slots=True)
class SplitResult:
    """What became of one source; plain values, cheap to pickle.

    Args:
        clips: in order of time, or in the order of the spans that were given.
        cuts: every cut found, used or not, by the detection rate in frames/s; None is the rate
            that the clips are made from, every frame.
        duration_seconds: exact length of the source.
        decoded_seconds: how much of its video was decoded for it.
    """

    clips: list[FoundClip]
    cuts: Mapping[float | None, list[Cut]] = field(default_factory=dict)
    duration_seconds: Fraction = Fraction(0)
    decoded_seconds: Fraction = Fraction(0)
