"""Which of the frames seen show the same picture again: repeated frames, and freezes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# Frames that were repeated before coding differ by what coding does to them: at 64 lines by up to
# 8 levels somewhere (x264, crf 20; 99 of 100) and 0.2 on average. Of frames that moved, 99 of 100
# differ by more than 10 somewhere.
_SAME_SOMEWHERE = 9
_SAME_ON_AVERAGE = 0.6
# The steps of a slow motion are as small, but one is like the other.
_REPEAT_TO_LARGEST = 0.4
# A picture that stands gets better from frame to frame at first, as coders refine it.
_REFINED = 3


def difference(left: Array, right: Array) -> tuple[float, float]:
    """Greatest and mean difference of two uint8 pictures, in levels."""
    apart = np.abs(left.astype(np.int16) - right)
    return float(apart.max()), float(apart.mean())


def is_same(left: Array, right: Array, slack: float = 1.0) -> bool:
    """Whether two pictures differ by no more than coding makes the same one differ, times slack."""
    greatest, mean = difference(left, right)
    return greatest <= _SAME_SOMEWHERE * slack and mean <= _SAME_ON_AVERAGE * slack


def repeats_of(frames: Sequence[Array]) -> list[bool]:
    """Of each frame but the first, whether it shows the picture before it again.

    All do where nothing changes, or too slowly to be told from what coding does.

    Args:
        frames: neighbours, uint8 ``(H, W)``.
    """
    steps = [difference(*pair) for pair in pairwise(frames)]
    largest = max(greatest for greatest, _ in steps)
    if largest <= _SAME_SOMEWHERE:
        return [True] * len(steps)
    return [
        greatest <= min(_SAME_SOMEWHERE, _REPEAT_TO_LARGEST * largest) and mean <= _SAME_ON_AVERAGE
        for greatest, mean in steps
    ]


@dataclass(slots=True)
class Freezes:
    """Adds up how long the picture stood still, from frames seen now and then.

    A freeze is a picture that is the same in all frames seen for at least ``least_seconds``. Where
    frames between two that differ were not seen, it ends or begins in the middle of that time.

    Args:
        least_seconds: shortest freeze that counts.

    Attributes:
        seconds: of all freezes so far.
    """

    least_seconds: float
    seconds: float = 0.0
    _first: Array | None = None
    _last: Array | None = None
    _begins: float = 0.0
    _seen: list[float] = field(default_factory=list)

    def add(self, frame: Array, pts_seconds: float, *, follows: bool) -> None:
        """The next frame that is seen.

        Args:
            frame: uint8 ``(H, W)``.
            pts_seconds: when it is shown.
            follows: whether it is the neighbour of the one before.
        """
        if self._stands(frame):
            self._last = frame
            self._seen = [self._seen[0], pts_seconds]
            return
        turn = pts_seconds
        if self._seen:
            # Of neighbours, the one before was shown until now.
            turn = pts_seconds if follows else (self._seen[-1] + pts_seconds) / 2
            self.end(turn, seen_until=pts_seconds if follows else self._seen[-1])
        self._first = self._last = frame
        self._begins, self._seen = turn, [pts_seconds]

    def _stands(self, frame: Array) -> bool:
        """Whether the picture is still that of the frame before, and no slow way from the first."""
        if self._first is None or self._last is None:
            return False
        return is_same(self._last, frame) and is_same(self._first, frame, _REFINED)

    def end(self, pts_seconds: float, seen_until: float | None = None) -> None:
        """The picture that stood last goes at this time."""
        until = pts_seconds if seen_until is None else seen_until
        if self._seen and until - self._seen[0] >= self.least_seconds - 1e-6:
            self.seconds += pts_seconds - self._begins
        self._seen = []
