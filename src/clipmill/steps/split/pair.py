"""Detectors that compare each frame with the one before, and wait out the shortest scene."""

from __future__ import annotations

from abc import abstractmethod
from fractions import Fraction
from typing import TYPE_CHECKING

from clipmill.steps.split.content import Pairs
from clipmill.steps.split.detector import Cut, Detector, DetectorOptions, cut_at
from clipmill.steps.split.look import View
from clipmill.steps.split.scene_length import SceneLength

if TYPE_CHECKING:
    from clipmill.media.decode import Picture


class PairDetector(Detector):
    """A cut is where the difference of two neighbours reaches a threshold.

    Cuts that come sooner after the last one, or after the first frame, than the shortest scene
    are passed over, as in PySceneDetect's detectors of this kind.
    """

    def __init__(self, options: DetectorOptions, frame_rate: Fraction, *, fast: bool) -> None:
        super().__init__(options, frame_rate, fast=fast)
        self._pairs = Pairs()
        self._length = SceneLength(options.min_scene_frames, frame_rate)
        self._last = Fraction(0)
        self._seen = Fraction(0)

    @abstractmethod
    def difference(self, before: View, after: View) -> float:
        """How unlike two pictures are."""

    @abstractmethod
    def is_cut(self, difference: float) -> bool:
        """Whether this much difference starts a new scene."""

    @abstractmethod
    def may_be_cut(self, before: View, after: View) -> bool:
        """Whether two cheap pictures can be a cut by their exact ones."""

    def push(self, picture: Picture) -> list[Cut]:
        """Look at the next picture."""
        self._seen = picture.seconds
        before, here = self._pairs.push(picture)
        if before is None or not self._length.reached(self._last, picture.seconds):
            return []
        if self.fast:
            difference = self.difference(before.cheap, here.cheap)
        elif self.may_be_cut(before.cheap, here.cheap):
            difference = self.difference(before.exact, here.exact)
        else:
            return []
        if not self.is_cut(difference):
            return []
        self._last = picture.seconds
        return [cut_at(picture, difference)]

    @property
    def decided_seconds(self) -> Fraction:
        """Up to now."""
        return self._seen
