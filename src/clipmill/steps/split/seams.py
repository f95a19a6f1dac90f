"""How much the pictures on both sides of a cut differ, a little away from it.

A flash, a few broken frames or a jump to another moment of the same shot make a cut of frames that
belong together; the pictures before and after it look alike, and such cuts can be left out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from clipmill.steps.split.content import ContentMeasure, ContentScore
from clipmill.steps.split.detector import Cut, Detector
from clipmill.steps.split.look import Look, Size, sizes_of

if TYPE_CHECKING:
    from clipmill.media.decode import Picture

REACH_SECONDS = Fraction(1, 4)
"""So far from the cut the two pictures lie, or as far as the source goes."""
_LONG_SIDE = 32


class Seams:
    """Holds a detector's cuts back until their seams are known.

    Args:
        detector: whose cuts.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._measure = ContentScore(ContentMeasure.model_validate({}), fast=True)
        self._seen: deque[tuple[Fraction, Look]] = deque()
        self._waiting: deque[Cut] = deque()
        self._sizes: tuple[Size, Size] | None = None

    def push(self, picture: Picture) -> list[Cut]:
        """Look at the next picture; gives the cuts whose seams are known now."""
        source = picture.source
        self._sizes = self._sizes or sizes_of(source, _LONG_SIDE)
        look = Look(source, *self._sizes)
        look.keep_cheap()
        self._seen.append((picture.seconds, look))
        self._waiting += self._detector.push(picture)
        ready = []
        while self._waiting and self._waiting[0].seconds + REACH_SECONDS <= picture.seconds:
            ready.append(self._measured(self._waiting.popleft()))
        self._forget()
        return ready

    def finish(self) -> list[Cut]:
        """The cuts at the end, whose second picture is the last."""
        self._waiting += self._detector.finish()
        ready = [self._measured(cut) for cut in self._waiting]
        self._waiting.clear()
        return ready

    @property
    def decided_seconds(self) -> Fraction:
        """No cut that is still to come lies before this time."""
        decided = self._detector.decided_seconds
        return min(decided, self._waiting[0].seconds) if self._waiting else decided

    def _measured(self, cut: Cut) -> Cut:
        before, after = cut.seconds - REACH_SECONDS, cut.seconds + REACH_SECONDS
        one, other = self._seen[0][1], self._seen[-1][1]
        for time, look in self._seen:
            if time <= before:
                one = look
            if time >= after:
                other = look
                break
        return replace(cut, seam=self._measure.cheap(one, other))

    def _forget(self) -> None:
        needed = self.decided_seconds - REACH_SECONDS
        while len(self._seen) > 1 and self._seen[1][0] <= needed:
            self._seen.popleft()
