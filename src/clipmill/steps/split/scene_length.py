"""The shortest scene that is allowed, and what becomes of cuts that come sooner.

The rules and their names are PySceneDetect's (``FlashFilter``), so that the same settings give
the same cuts. Lengths are counted in frames at the nominal rate, from exact times.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from clipmill.steps.split.detector import Cut

FilterMode = Literal["merge", "suppress"]


class SceneLength:
    """A number of frames at a nominal rate.

    Args:
        frames: how many; 0 is always reached.
        frame_rate: in frames/s.
    """

    def __init__(self, frames: int, frame_rate: Fraction) -> None:
        self.frames = frames
        self._rate = float(frame_rate)

    def reached(self, start: Fraction, end: Fraction) -> bool:
        """Whether two times are at least this far apart, to the nearest frame."""
        return self.nominal_frame(end - start) >= self.frames

    def nominal_frame(self, seconds: Fraction) -> int:
        """Number of the frame that would be shown then at the nominal rate."""
        return round(max(float(seconds), 0.0) * self._rate)


class FlashFilter:
    """Lets cuts through that leave scenes long enough.

    Args:
        mode: ``suppress`` waits out the length after each cut; ``merge`` joins cuts that follow
            each other too soon to one, at the last of them, once it is calm for the length.
        length: the shortest scene.
    """

    def __init__(self, mode: FilterMode, length: SceneLength) -> None:
        self._mode = mode
        self._length = length
        self._last: Cut | None = None
        self._merge_start: Cut | None = None
        self._seen_one = False

    def push(self, here: Cut, *, above: bool) -> list[Cut]:
        """Look at the next frame; gives the cuts that are certain now.

        Args:
            here: the cut that would lie at this frame.
            above: whether its score reaches the threshold.
        """
        if self._length.frames <= 0:
            return [here] if above else []
        last = self._last or here
        long_enough = self._length.reached(last.seconds, here.seconds)
        if self._mode == "suppress":
            passed = above and long_enough
            self._last = here if passed else last
            return [here] if passed else []
        self._last = here if above else last
        return self._merge(here, above=above, long_enough=long_enough)

    def _merge(self, here: Cut, *, above: bool, long_enough: bool) -> list[Cut]:
        if self._merge_start and self._last:
            span_met = self._length.reached(self._merge_start.seconds, self._last.seconds)
            if long_enough and not above and span_met:
                self._merge_start = None
                return [self._last]
            return []
        if not above:
            return []
        if long_enough:
            self._seen_one = True
            return [here]
        if self._seen_one:  # nothing is merged before the first cut
            self._merge_start = here
        return []

    @property
    def waiting_seconds(self) -> Fraction | None:
        """Time of the frame that may yet become a cut although others were seen since."""
        return self._last.seconds if self._merge_start and self._last else None
