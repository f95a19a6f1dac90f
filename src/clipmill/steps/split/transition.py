"""Cuts, dissolves, wipes and fades: what is before and after differs more than either in itself."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from clipmill.steps.split.content import Pairs
from clipmill.steps.split.detector import Cut, Detector, DetectorOptions, cut_at
from clipmill.steps.split.look import Array, View, cv2
from clipmill.steps.split.scene_length import SceneLength

if TYPE_CHECKING:
    from clipmill.media.decode import Picture

# Chosen on joins such as those of bench/transitions.py, which measures on others.
_LAYOUT_SCALE = 0.05 * 255
_COLOR_SCALE = 0.1
_RATIO, _HARD_RATIO = 2.5, 3.0
_GUARD_FRAMES = 6
_NOTHING = 1e-3


class TransitionOptions(DetectorOptions):
    """Settings of the transition detector."""

    threshold: float = Field(1.0, gt=0)
    """How clearly the pictures on both sides must differ; lower finds more, true and false."""
    longest_seconds: float = Field(1.3, gt=0, le=10)
    """Transitions up to about this long are found, in seconds."""


class Feature(NamedTuple):
    """What is kept of a picture.

    Args:
        layout: float32 (432,), a picture of 16 x 9 pixels, which small motion hardly changes.
        colors: float32 (512,), square roots of a smoothed colour histogram, which no motion does.
    """

    layout: Array
    colors: Array


def feature_of(view: View) -> Feature:
    """What is kept of a picture, whatever its size."""
    layout = cv2.resize(view.bgr, (16, 9), interpolation=cv2.INTER_AREA)
    counts = cv2.calcHist([view.bgr], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3)
    colors = cv2.GaussianBlur(counts.reshape(8, 64), (3, 3), 0).ravel()
    return Feature(layout.astype(np.float32).ravel(), np.sqrt(colors / colors.sum()))


class _Scale:
    """Looks for transitions of about one length.

    Args:
        gap: frames that are left out between the two sides.
    """

    def __init__(self, gap: int) -> None:
        self.gap = gap
        self.ratio = _RATIO if gap else _HARD_RATIO
        self.reach = gap + _GUARD_FRAMES
        self.span = gap // 2 + gap + 1  # frames from the middle to the last that is looked at
        self.scores: dict[int, float] = {}
        self.scored = 1  # the next middle to give a score
        self.decided = 1  # the next middle to decide on

    def score(self, middle: int, features: dict[int, Feature], newest: int) -> float:
        """How much clearer than 1 a transition lies around the start of a frame."""

        def at(number: int) -> Feature:
            return features[min(max(number, 0), newest)]

        end, start = middle - self.gap // 2 - 1, middle + self.gap // 2
        if end < self.gap // 2 or start + self.gap // 2 > newest:
            return 0.0  # too little is seen of one side to know how restless it is
        across = _distances(at(end), at(start))
        before = _distances(at(end - self.gap - 1), at(end))
        after = _distances(at(start), at(start + self.gap + 1))
        scales = (_LAYOUT_SCALE, _COLOR_SCALE)
        parts = [
            min(far / scale, far / (self.ratio * max(one, other) + _NOTHING * scale))
            for far, one, other, scale in zip(across, before, after, scales, strict=True)
        ]
        return sum(parts) / len(parts)

    def is_peak(self, middle: int, threshold: float) -> bool:
        """Whether no score near it is higher."""
        score = self.scores[middle]
        if score < threshold:
            return False
        near = range(middle - self.reach, middle + self.reach + 1)
        return score >= max(self.scores.get(number, 0.0) for number in near)


class TransitionDetector(Detector):
    """A cut is where pictures before and after differ far more than neighbours on either side do.

    It is looked for at several distances between the two sides, the shortest first, so that hard
    cuts are found where they are and slow transitions at their middles. A pan changes as much
    before and after as across, and is none.
    """

    Options: ClassVar[type[DetectorOptions]] = TransitionOptions
    options: TransitionOptions

    def __init__(self, options: TransitionOptions, frame_rate: Fraction, *, fast: bool) -> None:
        super().__init__(options, frame_rate, fast=fast)
        longest = options.longest_seconds * float(frame_rate)
        self._scales = [_Scale(round(longest * share)) for share in (0, 0.37, 1)]
        self._length = SceneLength(options.min_scene_frames, frame_rate)
        self._pairs = Pairs()
        self._features: dict[int, Feature] = {}
        self._moments: dict[int, Cut] = {}
        self._found: dict[int, float] = {}
        self._newest = -1
        self._emitted = 0  # before this frame all is told
        self._last = self._seen = Fraction(0)

    def push(self, picture: Picture) -> list[Cut]:
        """Look at the next picture."""
        self._newest += 1
        self._seen = picture.seconds
        self._features[self._newest] = feature_of(self._pairs.push(picture)[1].cheap)
        self._moments[self._newest] = cut_at(picture, 0.0)
        return self._advance(ended=False)

    def finish(self) -> list[Cut]:
        """Decide on the frames whose other side is cut short by the end."""
        return self._advance(ended=True)

    @property
    def decided_seconds(self) -> Fraction:
        """Up to the frame that the largest scale has decided on."""
        first = self._moments.get(self._emitted)
        return first.seconds if first else self._seen

    def _advance(self, *, ended: bool) -> list[Cut]:
        known = self._newest  # the scale before has decided on all before this
        for scale in self._scales:
            until = self._newest + 1 if ended else self._newest - scale.span + 1
            for middle in range(scale.scored, until):
                scale.scores[middle] = scale.score(middle, self._features, self._newest)
            scale.scored = max(scale.scored, until)
            until = until if ended else min(scale.scored, known) - scale.reach
            for middle in range(scale.decided, until):
                if scale.is_peak(middle, self.options.threshold) and not self._near(middle, scale):
                    self._found[middle] = scale.scores[middle]
            known = scale.decided = max(scale.decided, until)
        return self._tell(known if ended else min(known, self._newest))

    def _near(self, middle: int, scale: _Scale) -> bool:
        return any(abs(other - middle) <= scale.reach for other in self._found)

    def _tell(self, known: int) -> list[Cut]:
        """The cuts before a frame, and forget what is not needed any more."""
        cuts = []
        largest = self._scales[-1]
        for middle in range(self._emitted, known):
            moment = self._moments.pop(middle)
            score = self._found.get(middle)
            if score is not None and self._length.reached(self._last, moment.seconds):
                self._last = moment.seconds
                cuts.append(Cut(moment.number, moment.pts, moment.seconds, score))
            self._features.pop(middle - 2 * largest.span, None)
            self._found.pop(middle - 2 * largest.reach, None)
            for scale in self._scales:
                scale.scores.pop(middle - 2 * largest.reach, None)
        self._emitted = max(self._emitted, known)
        return cuts


def _distances(one: Feature, other: Feature) -> tuple[float, float]:
    layout = float(np.abs(one.layout - other.layout).mean())
    return layout, max(1.0 - float(one.colors @ other.colors), 0.0)
