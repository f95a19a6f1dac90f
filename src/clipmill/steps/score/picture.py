"""How the pictures of a sample look: light, colour, sharpness, coding blocks, bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from clipmill.core.request import Frames
from clipmill.core.seen import Seen
from clipmill.media.letterbox import box_within_bars
from clipmill.steps.base import column
from clipmill.steps.score.frame_scores import FrameScores, ScoreMemory
from clipmill.steps.score.opencv import NEEDS, opencv

Array = np.ndarray[Any, Any]

# What is said of pixels one by one is said of a grid of them, with this many lines at least.
_GRID_LINES = 90
_SHARPNESS_LINES = 240
_BLOCK = 8
_LEAST_SIDE = 4 * _BLOCK
# A step of a tenth of a level counts for nothing, so that flat pictures have no blocks.
_FAINT = 0.1
_BOX = pa.struct([(name, pa.int32()) for name in ("x", "y", "width", "height")])


class PictureStep(FrameScores):
    """Light, contrast, colour, sharpness, coding blocks and bars of a few frames a second.

    Frames are looked at in their own size, since scaling would blur the edges of coding blocks.
    Luma is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601) of what is shown, 0 to 255.
    """

    name = "picture"
    needs = NEEDS
    scores: ClassVar[Mapping[str, tuple[str, str]]] = {
        "luminance": (
            "mean luma, 0 black to 255 white; sets of video for training keep about 20 to 140",
            "levels",
        ),
        "contrast": ("standard deviation of luma, 0 to 127.5", "levels"),
        "colorfulness": (
            "how colourful, by Hasler and Suesstrunk (2003): sqrt(var(rg) + var(yb)) + 0.3 "
            "sqrt(mean(rg)^2 + mean(yb)^2), with rg = R - G and yb = (R + G) / 2 - B; 0 is grey, "
            "about 33 moderate, above 82 high",
            "levels",
        ),
        "sharpness": (
            "variance of the Laplacian (four neighbours less four times the pixel) of luma scaled "
            "to 240 lines along the short side; blur lowers it, noise raises it, and pictures with "
            "fewer lines have little",
            "levels^2",
        ),
        "blockiness": (
            "step of luma across lines 8 pixels apart over the steps beside them, in the stronger "
            "direction and at the strongest of 8 offsets: 1 where there are no blocks; blocks that "
            "were scaled after coding are not seen",
            "ratio",
        ),
        "black_share": (
            "share of pixels that are black, bars too: luma up to black_level",
            "share",
        ),
        "white_share": ("share of white pixels: luma from white_level on", "share"),
    }
    further = (
        column(
            "letterbox",
            _BOX,
            "the part within bars that are black in all frames seen, as x, y, width and height; "
            "the whole picture where there are none",
            unit="pixels as displayed",
        ),
        column("bars_share", pa.float32(), "share of the picture that bars take", unit="share"),
    )

    fps: float = Field(1.0, gt=0)
    """Frames that are looked at, in frames/s."""
    black_level: int = Field(24, ge=0, le=255)
    """Luma up to which a pixel counts as black, 0 to 255."""
    white_level: int = Field(245, ge=0, le=255)
    """Luma from which on a pixel counts as white, 0 to 255."""

    @property
    def wants(self) -> Frames:
        """See ``Annotate.wants``."""
        return Frames(fps=self.fps)

    def measure(self, memory: ScoreMemory, stretch: Seen) -> None:
        """See ``FrameScores.measure``."""
        assert stretch.frames is not None
        assert stretch.pts_seconds is not None
        cv2 = opencv()
        for pixels, pts_seconds in zip(stretch.frames, stretch.pts_seconds, strict=True):
            luma: Array = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
            memory.add(
                pts_seconds,
                **self._light(pixels, luma),
                sharpness=sharpness(luma),
                blockiness=blockiness(luma),
            )
            _brighten(memory, luma)

    def conclude(self, memory: ScoreMemory) -> Mapping[str, Any]:
        """See ``FrameScores.conclude``."""
        height, width = memory.notes["brightest"].shape
        box = box_within_bars(memory.notes["brightest"]) or (0, 0, width, height)
        return {
            "letterbox": dict(zip(_BOX.names, box, strict=True)),
            "bars_share": 1 - box[2] * box[3] / (width * height),
        }

    def _light(self, pixels: Array, luma: Array) -> dict[str, float]:
        """Means and shares over pixels; of many, every n-th both ways is as good as all."""
        every = max(1, min(luma.shape) // _GRID_LINES)
        luma = luma[::every, ::every]
        return {
            "luminance": luma.mean(),
            "contrast": luma.std(),
            "colorfulness": colorfulness(pixels[::every, ::every]),
            "black_share": np.count_nonzero(luma <= self.black_level) / luma.size,
            "white_share": np.count_nonzero(luma >= self.white_level) / luma.size,
        }


def colorfulness(pixels: Array) -> float:
    """Hasler and Suesstrunk's colourfulness ("Measuring colorfulness in natural images", 2003).

    Args:
        pixels: uint8 RGB ``(H, W, 3)``.
    """
    red, green, blue = (pixels[..., channel].astype(np.float32) for channel in range(3))
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))


def sharpness(luma: Array) -> float:
    """Variance of the Laplacian at 240 lines; see ``PictureStep.scores``.

    Args:
        luma: uint8 ``(H, W)``.
    """
    cv2 = opencv()
    whole = min(luma.shape) // (2 * _SHARPNESS_LINES)
    if whole > 1:  # cheaper by far, and hardly to be told from doing it in one go
        height, width = (side // whole for side in luma.shape)
        exact = luma[: height * whole, : width * whole]
        luma = cv2.resize(exact, (width, height), interpolation=cv2.INTER_AREA)
    scale = _SHARPNESS_LINES / min(luma.shape)
    size = tuple(max(1, round(side * scale)) for side in luma.shape[::-1])
    # A bilinear filter would skip pixels, and so let sharpness depend on the size.
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    laplacian = cv2.Laplacian(cv2.resize(luma, size, interpolation=how), cv2.CV_16S)
    return float(cv2.meanStdDev(laplacian)[1][0, 0]) ** 2


def blockiness(luma: Array) -> float:
    """How much more luma steps where blocks of 8 pixels meet than elsewhere; 1 where it does not.

    The mean step across each line is divided by that of the three lines before and after it; of the
    lines at each of the 8 offsets the median counts, so that a few edges of things do not, and of
    the medians the greatest over their median. Normalising steps by their neighbours is Muijs and
    Kirenko's ("A no-reference blocking artifact measure for adaptive video processing", 2005).

    Args:
        luma: uint8 ``(H, W)`` in the size it was coded in; below 32 pixels there is no saying.
    """
    cv2 = opencv()
    height, width = luma.shape
    if min(height, width) < _LEAST_SIDE:
        return 1.0
    across = cv2.reduce(cv2.absdiff(luma[:, 1:], luma[:, :-1]), 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    down = cv2.reduce(cv2.absdiff(luma[1:], luma[:-1]), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    return max(_comb(across.ravel() / height), _comb(down.ravel() / width))


def _comb(steps: Array) -> float:
    beside = np.convolve(steps, np.array([1, 1, 1, 0, 1, 1, 1]) / 6, "valid")
    ratios = (steps[3:-3] + _FAINT) / (beside + _FAINT)
    every_eighth = ratios[: len(ratios) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    medians = np.median(every_eighth, axis=0)
    return float(medians.max() / np.median(medians))


def _brighten(memory: ScoreMemory, luma: Array) -> None:
    """Keep the brightest that each pixel gets; where the size changes, of the first size."""
    brightest: Array = memory.notes.setdefault("brightest", luma.copy())
    if brightest.shape == luma.shape:
        np.maximum(brightest, luma, out=brightest)
