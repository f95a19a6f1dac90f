"""Cuts where a perceptual hash changes (PySceneDetect's HashDetector)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from clipmill.steps.split.detector import DetectorOptions
from clipmill.steps.split.look import Array, View, cv2
from clipmill.steps.split.pair import PairDetector

# A frequency of a cheap picture may be this far from the exact one: as it is, and as a share of all
# frequencies' root mean square. Of 7,000 frames none had more bits wrong than these told.
_ERROR = 0.02
_RELATIVE_ERROR = 0.12


class HashOptions(DetectorOptions):
    """Settings of the hash detector."""

    threshold: float = Field(0.35, ge=0, le=1)
    """Share of the hash's bits that must differ to start a new scene."""
    size: int = Field(8, ge=2)
    """Side of the square of low frequencies that the hash is made of."""
    lowpass: int = Field(2, ge=1)
    """Frequencies above one in so many are left out; size times this must be even."""


class HashDetector(PairDetector):
    """A cut is where many bits of the frames' perceptual hashes differ."""

    Options: ClassVar[type[DetectorOptions]] = HashOptions
    options: HashOptions

    def difference(self, before: View, after: View) -> float:
        """Share of the bits that differ."""
        return self._share((self._spectrum(before) > 0) != (self._spectrum(after) > 0))

    def is_cut(self, difference: float) -> bool:
        """At the threshold or above."""
        return difference >= self.options.threshold

    def may_be_cut(self, before: View, after: View) -> bool:
        """With every bit taken for different that the error of cheap pictures can turn."""
        one, other = self._spectrum(before), self._spectrum(after)
        return self.is_cut(
            self._share(((one > 0) != (other > 0)) | _uncertain(one) | _uncertain(other))
        )

    def _share(self, bits: Array) -> float:
        return int(np.count_nonzero(bits)) / float(self.options.size**2)

    def _spectrum(self, view: View) -> Array:
        spectrum: Array | None = view.kept.get("spectrum")
        if spectrum is None:
            view.kept["spectrum"] = spectrum = low_spectrum(
                view.bgr, self.options.size, self.options.lowpass
            )
        return spectrum


def _uncertain(spectrum: Array) -> Array:
    strength = float(np.sqrt(np.mean(spectrum.ravel()[1:] ** 2)))
    uncertain: Array = np.abs(spectrum) < max(_ERROR, _RELATIVE_ERROR * strength)
    return uncertain


def low_spectrum(bgr: Array, size: int, lowpass: int) -> Array:
    """The low frequencies of a picture less their median; the signs are its perceptual hash.

    After the pHash of https://github.com/JohannesBuchner/imagehash, as PySceneDetect has it.

    Args:
        bgr: uint8 ``(H, W, 3)``.
        size: side of the square of frequencies.
        lowpass: the picture is shrunk to ``size * lowpass`` pixels square.

    Returns:
        float32 ``(size, size)``.
    """
    side = size * lowpass
    gray = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA)
    brightest = small.max() or 1
    frequencies = cv2.dct(np.float32(small) / brightest)[:size, :size]
    less: Array = frequencies - np.median(frequencies)
    return less
