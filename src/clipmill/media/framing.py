"""Where a picture's pixels go: what is cut off, how it is scaled, what frames it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from clipmill.core.edit import Edit
from clipmill.core.errors import ProcessError

Box = tuple[int, int, int, int]
"""(x, y, width, height) in pixels."""


@dataclass(frozen=True, slots=True)
class Framing:
    """From the picture as displayed (upright, square pixels) to the picture of a clip.

    Args:
        source_width: of the picture as displayed, in pixels.
        source_height: likewise.
        crop: the box of it that is kept.
        scaled_width: of that box after scaling, in pixels.
        scaled_height: likewise.
        width: of the clip's picture, in pixels.
        height: likewise.
        pad_left: where the scaled box lies in the clip's picture, in pixels from its left edge.
        pad_top: likewise, from its upper edge.
    """

    source_width: int
    source_height: int
    crop: Box
    scaled_width: int
    scaled_height: int
    width: int
    height: int
    pad_left: int = 0
    pad_top: int = 0

    @property
    def is_padded(self) -> bool:
        """Whether anything frames the scaled box."""
        return (self.width, self.height) != (self.scaled_width, self.scaled_height)

    @property
    def is_identity(self) -> bool:
        """Whether the clip's picture is the source's, pixel by pixel."""
        size = (self.source_width, self.source_height)
        return (self.width, self.height) == size and self.crop == (0, 0, *size)

    @property
    def frames_crop(self) -> Box | None:
        """The box as a frames request wants it: None for all of the picture."""
        return None if self.crop == (0, 0, self.source_width, self.source_height) else self.crop

    def row(self) -> dict[str, Any]:
        """Plain values for a table: ``crop`` as x, y, width and height."""
        values = asdict(self)
        values["crop"] = dict(zip(("x", "y", "width", "height"), self.crop, strict=True))
        return values


def plan_framing(
    width: int, height: int, edit: Edit, *, letterbox: Box | None = None, even: bool = True
) -> Framing:
    """Work out where the pixels go.

    Args:
        width: of the source's picture as displayed, in pixels.
        height: likewise.
        edit: what is asked for.
        letterbox: the box within black bars, where they were looked for.
        even: whether the clip's sides must be even, as 4:2:0 pixels demand.

    Raises:
        ProcessError: the fixed box lies outside of the picture (``crop_outside``).
    """
    box = _kept(width, height, edit.crop_box) or letterbox or (0, 0, width, height)
    modes = frozenset(edit.resize_mode)
    wanted_width, wanted_height = edit.width or box[2], edit.height or box[3]
    scale = _scale(box, edit, modes)
    if modes == {"stretch"}:
        target = _rounded(wanted_width, even), _rounded(wanted_height, even)
        return Framing(width, height, box, *target, *target)
    if "crop" in modes:
        box = _centre(box, Fraction(wanted_width) / scale, Fraction(wanted_height) / scale)
    # Without scaling, an odd column or row is left out rather than every pixel blurred.
    if scale == 1 and even:
        box = (*box[:2], max(2, box[2] // 2 * 2), max(2, box[3] // 2 * 2))
    scaled = _rounded(box[2] * scale, even), _rounded(box[3] * scale, even)
    if modes == {"scale", "crop"} and edit.width and edit.height:
        # Exactly this size was asked for, whatever rounding made of the box.
        scaled = _rounded(edit.width, even), _rounded(edit.height, even)
    elif "crop" in modes:
        scaled = (
            min(scaled[0], _rounded(wanted_width, even)),
            min(scaled[1], _rounded(wanted_height, even)),
        )
    if "pad" not in modes:
        return Framing(width, height, box, *scaled, *scaled)
    full_width = max(scaled[0], _rounded(wanted_width, even))
    full_height = max(scaled[1], _rounded(wanted_height, even))
    left, top = _even((full_width - scaled[0]) // 2), _even((full_height - scaled[1]) // 2)
    return Framing(width, height, box, *scaled, full_width, full_height, left, top)


def _kept(width: int, height: int, box: Box | None) -> Box | None:
    if box and (box[0] + box[2] > width or box[1] + box[3] > height):
        raise ProcessError(
            f"the box {':'.join(map(str, box))} to keep does not lie within the picture, which is "
            f"{width}x{height}",
            error_class="crop_outside",
        )
    return box


def _scale(box: Box, edit: Edit, modes: frozenset[str]) -> Fraction:
    """By how much both sides are multiplied."""
    if edit.short_side:
        factor = Fraction(edit.short_side, min(box[2:]))
    elif "scale" not in modes:
        return Fraction(1)
    else:
        by_width = Fraction(edit.width, box[2]) if edit.width else None
        by_height = Fraction(edit.height, box[3]) if edit.height else None
        both = [by for by in (by_width, by_height) if by is not None]
        if not both:
            return Fraction(1)
        if {"crop", "pad"} <= modes:
            factor = both[-1]
        elif "crop" in modes:
            return max(both)  # a picture of exactly this size was asked for
        else:
            factor = min(both)
    return factor if edit.upscale else min(factor, Fraction(1))


def _centre(box: Box, width: Fraction, height: Fraction) -> Box:
    """The middle of a box, of at most this size, at even coordinates."""
    new_width = min(box[2], max(1, round(width)))
    new_height = min(box[3], max(1, round(height)))
    left, top = (box[2] - new_width) // 2, (box[3] - new_height) // 2
    return box[0] + _even(left), box[1] + _even(top), new_width, new_height


def _even(value: int) -> int:
    return value // 2 * 2


def _rounded(side: int | Fraction, even: bool) -> int:
    return max(2, round(Fraction(side) / 2) * 2) if even else max(1, round(side))
