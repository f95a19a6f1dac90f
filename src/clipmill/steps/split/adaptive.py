"""Cuts that stand out from the frames around them (PySceneDetect's AdaptiveDetector)."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clipmill.steps.split.content import (
    SCORED_LONG_SIDE,
    ContentMeasure,
    ContentScore,
    Pairs,
    error_of_cheap,
)
from clipmill.steps.split.detector import Cut, Detector, DetectorOptions, cut_at
from clipmill.steps.split.look import Look
from clipmill.steps.split.scene_length import SceneLength

if TYPE_CHECKING:
    from clipmill.media.decode import Picture

_MAX_RATIO = 255.0
_NO_CHANGE = 0.00001


class AdaptiveOptions(ContentMeasure):
    """Settings of the adaptive detector."""

    threshold: float = Field(3.0, gt=0)
    """How many times the mean change around it a frame's change must be."""
    window_frames: int = Field(2, ge=1)
    """So many frames before and as many after make the mean."""
    min_content: float = Field(15.0, ge=0)
    """Least change of a frame that starts a scene, 0 to 255, as the content detector measures."""


class _Frame:
    """One frame with its score: cheap, and exact when asked for."""

    def __init__(self, cut: Cut, pair: tuple[Look | None, Look], measure: ContentScore) -> None:
        self.cut = cut
        self._before, self._here = pair
        self._measure = measure

    @cached_property
    def cheap(self) -> float:
        return 0.0 if self._before is None else self._measure.cheap(self._before, self._here)

    @cached_property
    def exact(self) -> float:
        return 0.0 if self._before is None else self._measure.exact(self._before, self._here)

    @property
    def error(self) -> float:
        return 0.0 if self._before is None else error_of_cheap(self.cheap)


class AdaptiveDetector(Detector):
    """A cut is where the content score is several times that of the frames around it.

    The frames of a window are kept until its middle is decided, so that close calls can be made on
    exact scores. As in PySceneDetect, the first and last frames, which have no whole window, are
    never cuts.
    """

    Options: ClassVar[type[DetectorOptions]] = AdaptiveOptions
    options: AdaptiveOptions

    def __init__(self, options: AdaptiveOptions, frame_rate: Fraction, *, fast: bool) -> None:
        super().__init__(options, frame_rate, fast=fast)
        self._measure = ContentScore(options, fast=fast)
        self._pairs = Pairs(SCORED_LONG_SIDE)
        self._length = SceneLength(options.min_scene_frames, frame_rate)
        self._window: deque[_Frame] = deque(maxlen=1 + 2 * options.window_frames)
        self._last = Fraction(0)

    def push(self, picture: Picture) -> list[Cut]:
        """Look at the next picture; decides on the middle of the window."""
        pair = self._pairs.push(picture)
        self._window.append(_Frame(cut_at(picture, 0.0), pair, self._measure))
        if len(self._window) <= 2 * self.options.window_frames:
            return []
        target = self._window[self.options.window_frames]
        cut = target.cut
        if not self._may_stand_out(target) or not self._stands_out(target):
            return []
        if not self._length.reached(self._last, cut.seconds):
            return []
        self._last = cut.seconds
        return [Cut(cut.number, cut.pts, cut.seconds, target.exact)]

    @property
    def decided_seconds(self) -> Fraction:
        """Up to the middle of the window."""
        middle = min(self.options.window_frames, len(self._window) - 1)
        return self._window[middle].cut.seconds if self._window else Fraction(0)

    def _neighbours(self, target: _Frame) -> list[_Frame]:
        return [frame for frame in self._window if frame is not target]

    def _may_stand_out(self, target: _Frame) -> bool:
        """Whether it could be a cut with every score as wrong as it may be."""
        most = target.cheap + target.error
        if most < self.options.min_content:
            return False
        around = self._neighbours(target)
        least = sum(max(frame.cheap - frame.error, 0.0) for frame in around) / len(around)
        return most >= self.options.threshold * least

    def _stands_out(self, target: _Frame) -> bool:
        around = self._neighbours(target)
        mean = sum(frame.exact for frame in around) / float(len(around))
        if abs(mean) < _NO_CHANGE:
            ratio = _MAX_RATIO if target.exact >= self.options.min_content else 0.0
        else:
            ratio = min(target.exact / mean, _MAX_RATIO)
        return ratio >= self.options.threshold and target.exact >= self.options.min_content
