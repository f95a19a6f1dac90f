"""A picture as the detectors see it: made small cheaply, or exactly as PySceneDetect makes it.

PySceneDetect turns every frame into full-size BGR and shrinks that. Most decisions can be made on
planes that were shrunk before any colour conversion, at a tenth of the cost; only close calls need
the exact way, and both frames of a call are at hand then.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from clipmill.core.extras import require

cv2: Any = require("cv2", extra="scenes", used_by="cut detection")

Array = np.ndarray[Any, Any]
Size = tuple[int, int]

EXACT_LONG_SIDE = 256
"""To this many pixels the longer side is shrunk, as PySceneDetect 0.7 does by default."""
CHEAP_LONG_SIDE = 128
"""Half of it is hardly less exact for means over a picture, and takes a third of the time."""

# Formats of libav whose planes are shrunk as they are: name -> (bits per value, full range).
_PLANAR = {
    "yuv420p": (8, False),
    "yuvj420p": (8, True),
    "yuv420p10le": (10, False),
    "yuv420p12le": (12, False),
}
_BYTE, _WORD = np.dtype(np.uint8), np.dtype("<u2")
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG

cv2.setNumThreads(1)


class View:
    """One small BGR picture, uint8 ``(H, W, 3)``, and what is worked out from it once."""

    def __init__(self, bgr: Array) -> None:
        self.bgr = bgr
        self.kept: dict[Any, Any] = {}

    @cached_property
    def hsv(self) -> Array:
        """Hue (0 to 179), saturation and value (0 to 255), uint8 ``(H, W, 3)``."""
        hsv: Array = cv2.cvtColor(self.bgr, cv2.COLOR_BGR2HSV)
        return hsv

    @cached_property
    def channels(self) -> tuple[Array, Array, Array]:
        """Hue, saturation and value apart, each uint8 ``(H, W)``."""
        hue, saturation, value = cv2.split(self.hsv)
        return hue, saturation, value


class Look:
    """One decoded frame, made small on demand.

    Args:
        source: the frame as it came from the decoder.
        exact_size: (width, height) to shrink to, in pixels; see ``sizes_of``.
        cheap_size: the same for the cheap picture.
    """

    def __init__(self, source: Any, exact_size: Size, cheap_size: Size) -> None:
        self._source = source
        self._exact_size = exact_size
        self._cheap_size = cheap_size

    @cached_property
    def exact(self) -> View:
        """The picture as PySceneDetect sees it: full-size BGR by swscale, shrunk bilinearly."""
        plane = self._source.reformat(format="bgr24", threads=1).planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        bgr = rows[:, : 3 * plane.width].reshape(plane.height, plane.width, 3)
        if (plane.width, plane.height) == self._exact_size:
            return View(bgr.copy())  # which outlives the frame
        return View(cv2.resize(bgr, self._exact_size))

    @cached_property
    def cheap(self) -> View:
        """Nearly the same picture, from planes that are shrunk first; exact where that is as fast.

        Its colours are those of BT.601, whatever the frame says; scores are differences, and
        hardly change by that.
        """
        size = self._cheap_size
        if size == self._exact_size:
            return self.exact
        bits, full = _PLANAR.get(self._source.format.name, (0, False))
        if not bits:  # as the first frame was not
            return View(cv2.resize(self.exact.bgr, size, interpolation=cv2.INTER_NEAREST))
        if full or self._source.color_range == _FULL_RANGE:
            y, u, v = (_shrunk(plane, bits, size) for plane in self._source.planes)
            return View(cv2.cvtColor(cv2.merge([y, v, u]), cv2.COLOR_YCrCb2BGR))
        half = size[0] // 2, size[1] // 2
        planes = zip(self._source.planes, (size, half, half), strict=True)
        joined = [_shrunk(plane, bits, size).ravel() for plane, size in planes]
        i420 = np.concatenate(joined).reshape(size[1] * 3 // 2, size[0])
        return View(cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420))

    def keep_cheap(self) -> None:
        """Make the cheap picture now and let go of the frame, which is large."""
        self.cheap  # noqa: B018  made and kept
        self._source = None


def _shrunk(plane: Any, bits: int, size: Size) -> Array:
    kind = _BYTE if bits == 8 else _WORD
    strides = plane.line_size, kind.itemsize
    pixels: Array = np.ndarray((plane.height, plane.width), kind, plane, strides=strides)
    # The nearest pixel is as good as PySceneDetect's mean of four, and half of the reading.
    small: Array = cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST)
    return small if bits == 8 else (small >> (bits - 8)).astype(np.uint8)


def sizes_of(source: Any, cheap_long_side: int = CHEAP_LONG_SIDE) -> tuple[Size, Size]:
    """The sizes that a source is seen at, exactly and cheaply; the same where that is as fast.

    Args:
        source: its first frame; later ones are made as large, whatever they are.
        cheap_long_side: longer side of cheap pictures, in pixels.
    """
    size = source.width, source.height
    exact = small_size(*size, EXACT_LONG_SIDE)
    if exact == size or source.format.name not in _PLANAR:
        return exact, exact
    width, height = small_size(*size, cheap_long_side)
    return exact, (width + width % 2, height + height % 2)  # planes of colour are half as large


def small_size(width: int, height: int, long_side: int) -> Size:
    """The size that frames are shrunk to, in pixels; small frames stay as they are.

    Rounding and all is PySceneDetect's (``compute_downscale_factor``).
    """
    factor = max(width, height) / float(long_side)
    if factor <= 1:
        return width, height
    return max(1, round(width / factor)), max(1, round(height / factor))
