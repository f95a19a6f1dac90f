"""Cuts where the distribution of brightness changes (PySceneDetect's HistogramDetector)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from clipmill.steps.split.detector import DetectorOptions
from clipmill.steps.split.look import Array, View, cv2
from clipmill.steps.split.pair import PairDetector

# A cheap difference may be this far from the exact one: as it is, and as a share of it. Of 7,000
# frames none was off by more than half of that.
_ERROR = 0.1
_RELATIVE_ERROR = 0.5
_ALL_IN_ONE = 0.9
"""From this on, a histogram of length 1 is one bin, and a change by one step is all there is."""


class HistogramOptions(DetectorOptions):
    """Settings of the histogram detector."""

    threshold: float = Field(0.20, ge=0, le=1)
    """Difference, one minus the correlation of the histograms, that starts a new scene."""
    bins: int = Field(128, ge=1, le=256)
    """How many classes of brightness a histogram has."""


class HistogramDetector(PairDetector):
    """A cut is where the brightness histograms of two frames correlate badly."""

    Options: ClassVar[type[DetectorOptions]] = HistogramOptions
    options: HistogramOptions

    def difference(self, before: View, after: View) -> float:
        """One minus the correlation."""
        pair = self._histogram(before), self._histogram(after)
        return 1.0 - float(cv2.compareHist(*pair, cv2.HISTCMP_CORREL))

    def is_cut(self, difference: float) -> bool:
        """Compared as correlations, with PySceneDetect's rounding."""
        return 1.0 - difference <= max(0.0, min(1.0, 1.0 - self.options.threshold))

    def may_be_cut(self, before: View, after: View) -> bool:
        """Within the error of cheap pictures, or where they are flat."""
        flat = max(self._histogram(before).max(), self._histogram(after).max()) > _ALL_IN_ONE
        difference = self.difference(before, after)
        return flat or self.is_cut(difference + _ERROR + _RELATIVE_ERROR * difference)

    def _histogram(self, view: View) -> Array:
        histogram: Array | None = view.kept.get("histogram")
        if histogram is None:
            luma = cv2.split(cv2.cvtColor(view.bgr, cv2.COLOR_BGR2YUV))[0]
            counts = cv2.calcHist([luma], [0], None, [self.options.bins], [0, 256])
            view.kept["histogram"] = histogram = cv2.normalize(counts, counts).flatten()
        return histogram
