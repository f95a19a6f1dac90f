"""Which part of a stored picture is wanted, how large, and which way up."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from clipmill.core.errors import ProcessError
from clipmill.core.request import Frames

Box = tuple[int, int, int, int]
"""x, y, width and height in pixels."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a stored picture becomes the wanted one.

    Args:
        crop: what is taken of the stored picture; None for all of it.
        size: (width, height) that the part is scaled to, before it is turned.
        rotation: clockwise turn after that: 0, 90, 180 or 270 degrees.
    """

    crop: Box | None
    size: tuple[int, int]
    rotation: int


def displayed_size(
    width: int, height: int, ratio: Fraction | None, rotation: int
) -> tuple[int, int]:
    """Size of a picture upright and with square pixels.

    The longer way of a stored pixel is kept, as players do.

    Args:
        width: as stored, in pixels.
        height: as stored, in pixels.
        ratio: width of a stored pixel divided by its height; None for square ones.
        rotation: clockwise turn that shows the picture upright, in degrees.
    """
    if ratio and ratio > 1:
        width = round(width * ratio)
    elif ratio:
        height = round(height / ratio)
    return (height, width) if rotation in (90, 270) else (width, height)


def clockwise_degrees(frame: Any) -> int:
    """The clockwise turn that shows a decoded frame upright: 0, 90, 180 or 270 degrees."""
    # Libav counts counter-clockwise.
    return int(round(-frame.rotation / 90) * 90 % 360)


def geometry(
    request: Frames, stored: tuple[int, int], ratio: Fraction | None, rotation: int
) -> Geometry:
    """How a request's picture comes out of a stored one.

    Args:
        request: its ``crop``, ``cover``, ``short_side``, ``size`` and ``pixel_format`` count.
        stored: width and height of the stored picture in pixels.
        ratio: width of a stored pixel divided by its height; None for square ones.
        rotation: clockwise turn that shows the picture upright, in degrees.

    Raises:
        ProcessError: the crop is not within the picture.
    """
    shown = displayed_size(*stored, ratio, rotation)
    x, y, width, height = box = request.crop or (0, 0, *shown)
    if min(x, y) < 0 or min(width, height) < 1 or x + width > shown[0] or y + height > shown[1]:
        raise ProcessError(
            f"the crop of {width}x{height} at ({x}, {y}) does not lie within the picture, which "
            f"is displayed at {shown[0]}x{shown[1]}",
            error_class="crop_outside",
        )
    if request.cover and request.size:
        box = x, y, width, height = _covering(box, request.size, request.cover)
    if request.pixel_format == "yuv420p" and not (request.size or request.short_side):
        # Colour comes in blocks of two by two: better to lose a line than to blur them all.
        width, height = max(width - width % 2, 1), max(height - height % 2, 1)
        box = (x, y, width, height)
    size = request.size or _proportional(width, height, request.short_side)
    if request.pixel_format == "yuv420p":
        size = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    if rotation in (90, 270):
        size = (size[1], size[0])
    part = _stored_box(box, shown, stored, rotation)
    return Geometry(None if part == (0, 0, *stored) else part, size, rotation)


def _covering(box: Box, size: tuple[int, int], place: tuple[float, float]) -> Box:
    """The largest part of a box that has the shape of ``size``, to the nearest pixel."""
    x, y, width, height = box
    kept_width = min(width, max(1, round(Fraction(height * size[0], size[1]))))
    kept_height = min(height, max(1, round(Fraction(width * size[1], size[0]))))
    return (
        x + round((width - kept_width) * place[0]),
        y + round((height - kept_height) * place[1]),
        kept_width,
        kept_height,
    )


def _proportional(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    if short_side is None:
        return width, height
    long_side = max(2 * round(Fraction(max(width, height) * short_side, 2 * min(width, height))), 2)
    return (short_side, long_side) if width <= height else (long_side, short_side)


def _stored_box(box: Box, shown: tuple[int, int], stored: tuple[int, int], rotation: int) -> Box:
    """Where a part of the displayed picture lies in the stored one, to the nearest pixel."""
    x, y, width, height = box
    if rotation == 90:
        x, y, width, height = y, shown[0] - x - width, height, width
    elif rotation == 180:
        x, y = shown[0] - x - width, shown[1] - y - height
    elif rotation == 270:
        x, y, width, height = shown[1] - y - height, x, height, width
    upright = shown if rotation in (0, 180) else (shown[1], shown[0])
    left, right = _scaled(x, width, stored[0], upright[0])
    top, bottom = _scaled(y, height, stored[1], upright[1])
    return left, top, right - left, bottom - top


def _scaled(start: int, length: int, stored: int, shown: int) -> tuple[int, int]:
    first = round(Fraction(start * stored, shown))
    last = round(Fraction((start + length) * stored, shown))
    return min(first, stored - 1), max(last, min(first, stored - 1) + 1)
