"""Whether a cut is left within a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from clipmill.core.request import Frames
from clipmill.core.seen import Seen
from clipmill.steps.base import InStretches, column
from clipmill.steps.score.opencv import NEEDS, opencv

Array = np.ndarray[Any, Any]

_BESIDE = 2
_MOST_RATIO = 255.0
_FLASH_FRAMES = 5


class CutStep(InStretches):
    """A cut left within the sample: the greatest change from one frame to the next, and when.

    Every frame is looked at, in small, since change between frames further apart may as well be
    motion. Dissolves, and cuts between pictures that look alike, are missed. A change that is
    undone within five frames is a flash, and no cut.
    """

    name = "cut"
    needs = NEEDS
    columns = pa.schema(
        [
            column(
                "score",
                pa.float32(),
                "greatest content distance between neighbouring frames, PySceneDetect's: mean "
                " change of hue, saturation and value; people cut at 21 to 30",
                unit="levels",
            ),
            column(
                "ratio",
                pa.float32(),
                "that distance over the mean of the two before and the two after it, at most 255; "
                "motion has little more than 1, and PySceneDetect's adaptive detector cuts at 3",
                unit="ratio",
            ),
            column(
                "at_seconds",
                pa.float32(),
                "when the frame after it is shown, from the sample's start; all three are null for "
                "a single frame",
                unit="s",
            ),
            column(
                "cuts_seconds",
                pa.list_(pa.float32()),
                "when the first frame after each cut is shown; at a cut the distance reaches "
                "threshold and its ratio least_ratio",
                unit="s",
            ),
        ]
    )

    threshold: float = Field(27.0, gt=0)
    """Content distance from which on a change is a cut, 0 to 255."""
    least_ratio: float = Field(3.0, ge=0)
    """How many times as great as the distances around it that of a cut is, at least."""
    short_side: int = Field(36, ge=8)
    """Shorter side of the pictures that are compared, in pixels."""

    @property
    def wants(self) -> Frames:
        """See ``Annotate.wants``."""
        return Frames(short_side=self.short_side)

    def begin(self, key: str, row: Mapping[str, Any], duration_seconds: float) -> _Changes:
        """See ``InStretches.begin``."""
        return _Changes()

    def see(self, memory: _Changes, stretch: Seen) -> None:
        """See ``InStretches.see``."""
        assert stretch.frames is not None
        assert stretch.pts_seconds is not None
        for pixels, pts_seconds in zip(stretch.frames, stretch.pts_seconds, strict=True):
            memory.push(pixels, float(pts_seconds), self.threshold)

    def end(self, memory: _Changes) -> Mapping[str, Any]:
        """See ``InStretches.end``."""
        distances, times = np.array(memory.distances), np.array(memory.pts_seconds)
        if not len(distances):
            return {"score": None, "ratio": None, "at_seconds": None, "cuts_seconds": []}
        ratios = _ratios(distances)
        greatest = int(distances.argmax())
        are_cuts = (distances >= self.threshold) & (ratios >= self.least_ratio)
        for first, last in memory.flashes:
            are_cuts[first : last + 1] = False
        return {
            "score": distances[greatest],
            "ratio": ratios[greatest],
            "at_seconds": times[greatest],
            "cuts_seconds": times[are_cuts],
        }


@dataclass(slots=True)
class _Changes:
    """Distances between neighbours so far, and when the later one of each pair is shown.

    A change after which a picture soon comes back that is nearer to the one before it was a flash.
    """

    distances: list[float] = field(default_factory=list)
    pts_seconds: list[float] = field(default_factory=list)
    flashes: list[tuple[int, int]] = field(default_factory=list)
    last: Array | None = None
    _young: list[tuple[int, Array]] = field(default_factory=list)

    def push(self, pixels: Array, pts_seconds: float, threshold: float) -> None:
        """Compare the next frame with the one before, and with those before changes just seen."""
        cv2 = opencv()
        colors = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
        before, self.last = self.last, colors
        if before is None:
            return
        number = len(self.distances)
        self.distances.append(_distance(before, colors))
        self.pts_seconds.append(pts_seconds)
        self._young = [one for one in self._young if number - one[0] <= _FLASH_FRAMES]
        for change, calm in self._young:
            if _distance(calm, colors) < self.distances[change] / 2:
                self.flashes.append((change, number))
        if self.distances[-1] >= threshold:
            self._young.append((number, before))


def _distance(one: Array, other: Array) -> float:
    """Mean change of hue, saturation and value, 0 to 255."""
    cv2 = opencv()
    if one.shape != other.shape:  # the source has changed size
        one = cv2.resize(one, other.shape[1::-1])
    return float(cv2.norm(one, other, cv2.NORM_L1)) / other.size


def _ratios(distances: Array) -> Array:
    """Each distance over the mean of those beside it; near the ends there are fewer."""
    padded = np.pad(distances, _BESIDE, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _BESIDE + 1).copy()
    around[:, _BESIDE] = np.nan
    counts = np.maximum(1, np.isfinite(around).sum(axis=1))
    beside = np.nansum(around, axis=1) / counts
    least = np.maximum(distances / _MOST_RATIO, np.finfo(np.float64).tiny)
    ratios: Array = distances / np.maximum(beside, least)
    return ratios
