"""Cuts at fades to and from black or white (PySceneDetect's ThresholdDetector)."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from clipmill.steps.split.content import Pairs
from clipmill.steps.split.detector import Cut, Detector, DetectorOptions, cut_at
from clipmill.steps.split.look import Look
from clipmill.steps.split.scene_length import SceneLength

if TYPE_CHECKING:
    from clipmill.media.decode import Picture

_ERROR_OF_CHEAP = 4.0
"""The brightness of a cheap picture may be this far from the exact one."""


class ThresholdOptions(DetectorOptions):
    """Settings of the threshold detector."""

    threshold: int = Field(12, ge=0, le=255)
    """Mean pixel value, 0 to 255, below which a picture has faded out."""
    method: Literal["floor", "ceiling"] = "floor"
    """Floor: faded out is darker than the threshold; ceiling: as bright or brighter."""
    fade_bias: float = Field(0.0, ge=-1, le=1)
    """Where in the dark the cut lies: -1 where it begins, 0 in its middle, 1 where it ends."""
    add_final_scene: bool = False
    """Whether a source that ends faded out has a cut where that begins."""
    min_out_frames: int = Field(0, ge=0)
    """Shorter fades are passed over, counted at the nominal rate."""


class ThresholdDetector(Detector):
    """A cut is where the picture has faded out and in again."""

    Options: ClassVar[type[DetectorOptions]] = ThresholdOptions
    options: ThresholdOptions

    def __init__(self, options: ThresholdOptions, frame_rate: Fraction, *, fast: bool) -> None:
        super().__init__(options, frame_rate, fast=fast)
        self._pairs = Pairs()
        self._scene = SceneLength(options.min_scene_frames, frame_rate)
        self._out = SceneLength(options.min_out_frames, frame_rate)
        self._last = Fraction(0)
        self._seen = Fraction(0)
        # The frames since it faded out; none while there is a picture.
        self._faded: list[Cut] = []

    def push(self, picture: Picture) -> list[Cut]:
        """Look at the next picture."""
        self._seen = picture.seconds
        look = self._pairs.push(picture)[1]
        here = cut_at(picture, self._brightness(look))
        out = self._is_out(here.score)
        if out:
            self._faded.append(here)
            return []
        faded, self._faded = self._faded, []
        long_enough = faded and (
            self._scene.reached(self._last, here.seconds)
            and self._out.reached(faded[0].seconds, here.seconds)
        )
        if not long_enough:
            return []
        self._last = here.seconds
        return [self._placed([*faded, here])]

    def finish(self) -> list[Cut]:
        """Where a last scene of darkness begins, when that is wanted."""
        if not self._faded or not self.options.add_final_scene:
            return []
        frame = 1 / self.frame_rate
        long_enough = self._scene.reached(self._last, self._seen) and self._out.reached(
            self._faded[0].seconds, self._seen + frame
        )
        return self._faded[:1] if long_enough else []

    @property
    def decided_seconds(self) -> Fraction:
        """Up to now, or to where it faded out."""
        return self._faded[0].seconds if self._faded else self._seen

    def _placed(self, faded: list[Cut]) -> Cut:
        """The frame between fading out and in that the bias chooses."""
        first, last = (self._scene.nominal_frame(cut.seconds) for cut in (faded[0], faded[-1]))
        wanted = first + round((last - first) * (1.0 + self.options.fade_bias) / 2.0)
        return next(
            (cut for cut in faded if self._scene.nominal_frame(cut.seconds) >= wanted), faded[-1]
        )

    def _is_out(self, brightness: float) -> bool:
        if self.options.method == "floor":
            return brightness < self.options.threshold
        return brightness >= self.options.threshold

    def _brightness(self, look: Look) -> float:
        brightness = float(look.cheap.bgr.mean())
        close = abs(brightness - self.options.threshold) <= _ERROR_OF_CHEAP
        return float(look.exact.bgr.mean()) if close and not self.fast else brightness
