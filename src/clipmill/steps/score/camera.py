"""How the camera moved between two frames, told from the flow of what it saw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from clipmill.steps.score.opencv import opencv

Array = np.ndarray[Any, Any]

# Flow is smooth over some fifteen pixels, so that every fourth one tells as much as all.
_EVERY = 4
# What comes into the picture at its edges has nowhere to come from.
_MARGIN = 4
_ROUNDS = 8
_LEAST_SPREAD = 0.02
# Least eigenvalue of the structure tensor of luma, in (levels per pixel)^2: noise of coding is
# below it, corners are far above.
_TEXTURED = 4.0
# OpenCV measures it in a unit of its own (checked against the tensor worked out by hand).
_OPENCV_UNIT = 255**2 / 4
_WINDOW = 7


@dataclass(frozen=True, slots=True)
class CameraMove:
    """A move of the view between two frames, in units of the picture alone.

    Args:
        right: how far the view went to the right, so what is seen to the left, in short sides.
        down: how far it went down, in short sides.
        zoom: natural logarithm of how many times larger things have become.
        roll: how far the camera turned clockwise, so what is seen counter-clockwise, in radians.
        subject: mean length of what is left of the flow without the camera's part, over the whole
            picture, in short sides.
    """

    right: float = 0.0
    down: float = 0.0
    zoom: float = 0.0
    roll: float = 0.0
    subject: float = 0.0

    @classmethod
    def of(cls, flow: Array, before: Array) -> Self:
        """Fit a similarity to a flow, and say what is left of it.

        With places and flow as complex numbers from the picture's middle, a camera that moves,
        zooms and rolls makes ``flow = shift + turn * place``: linear least squares, weighed anew in
        each round by Geman and McClure's function of what is left ("Bayesian image analysis",
        1985), so that things with a motion of their own do not count. Places without texture do
        not count either, for the fit; in what is left, they go with the camera.

        Args:
            flow: float32 ``(H, W, 2)``, where each pixel went, in pixels.
            before: uint8 ``(H, W)``, the first of both frames.
        """
        height, width = before.shape
        short_side = min(height, width)
        rows, columns = slice(_EVERY // 2, None, _EVERY), slice(_EVERY // 2, None, _EVERY)
        moved = flow[rows, columns, 0] + 1j * flow[rows, columns, 1]
        y, x = np.mgrid[rows.start : height : _EVERY, columns.start : width : _EVERY]
        place = (x - (width - 1) / 2) + 1j * (y - (height - 1) / 2)
        textured = _texture(before)[rows, columns]
        inside = (np.minimum(x, width - 1 - x) >= _MARGIN) & (
            np.minimum(y, height - 1 - y) >= _MARGIN
        )
        weight = textured * inside
        if not weight.sum() > 0:
            return cls()
        shift, turn = _fit(place, moved, weight)
        left = np.abs(moved - shift - turn * place)
        return cls(
            right=-shift.real / short_side,
            down=-shift.imag / short_side,
            zoom=math.log(abs(1 + turn)),
            roll=-math.atan2(turn.imag, 1 + turn.real),
            subject=float((textured * left).mean()) / short_side,
        )


def _fit(place: Array, moved: Array, weight: Array) -> tuple[complex, complex]:
    """Shift and turn of most of what is seen."""
    middle = np.median(moved.real[weight > 0]) + 1j * np.median(moved.imag[weight > 0])
    shift, turn = complex(middle), 0j
    for _ in range(_ROUNDS):
        left = np.abs(moved - shift - turn * place)
        spread = max(1.5 * float(np.median(left[weight > 0])), _LEAST_SPREAD)
        trust = weight / (1 + (left / spread) ** 2) ** 2
        trust = trust / trust.sum()
        centre, mean = (trust * place).sum(), (trust * moved).sum()
        off = place - centre
        size = (trust * np.abs(off) ** 2).sum()
        turn = complex((trust * off.conj() * (moved - mean)).sum() / size) if size > 1 else 0j
        shift = complex(mean - turn * centre)
    return shift, turn


def _texture(picture: Array) -> Array:
    """How well motion can be seen at each pixel, 0 not at all to 1.

    The least eigenvalue of the structure tensor, as Shi and Tomasi's corners have it ("Good
    features to track", 1994): along a bare edge motion cannot be told.
    """
    cv2 = opencv()
    least: Array = np.maximum(cv2.cornerMinEigenVal(picture, _WINDOW), 0) * _OPENCV_UNIT
    return least / (least + _TEXTURED)
