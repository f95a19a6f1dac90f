"""Black bars around a picture, found by looking at some frames of the whole source."""

from __future__ import annotations

from typing import Any

import numpy as np

from clipmill.core.request import Frames, Want
from clipmill.media.decode import MediaFile, Picture
from clipmill.media.framing import Box

_LOOKS = 16
# Luma in full range. Bars are black; what coding leaves there is faint, and logos are small.
_BLACK = 24
_BRIGHT_SHARE = 0.02
_LEAST_SHARE = 0.25


def find_letterbox(media: MediaFile) -> Box | None:
    """The part of a source's picture within black bars; None when there are none.

    What is black in every one of a number of frames, evenly spread over the source, is a bar. Bars
    belong to the source, so all of its clips are cut alike.

    Args:
        media: the open source.
    """
    look = Want(Frames(count=_LOOKS, pixel_format="gray", nearest=True))
    brightest: np.ndarray[Any, Any] | None = None
    for picture in media.decode([look]):
        assert isinstance(picture, Picture)
        pixels = picture.pixels
        if brightest is not None and brightest.shape == pixels.shape:
            np.maximum(brightest, pixels, out=brightest)
        elif brightest is None:
            brightest = pixels.copy()
    return None if brightest is None else box_within_bars(brightest)


def box_within_bars(luma: np.ndarray[Any, Any]) -> Box | None:
    """The part of a picture within black bars; None when there are none, or nothing else.

    Args:
        luma: uint8 (H, W), the brightest that each pixel gets, in full range.
    """
    bright = luma > _BLACK
    rows = np.flatnonzero(bright.mean(axis=1) > _BRIGHT_SHARE)
    columns = np.flatnonzero(bright.mean(axis=0) > _BRIGHT_SHARE)
    height, width = luma.shape
    if not len(rows) or not len(columns):
        return None
    # Inwards to the next even line, as colours lie.
    left, top = (int(lines[0] + 1) // 2 * 2 for lines in (columns, rows))
    right, bottom = (
        end if lines[-1] + 1 == end else int(lines[-1] + 1) // 2 * 2
        for lines, end in ((columns, width), (rows, height))
    )
    if (right - left) * (bottom - top) < _LEAST_SHARE * width * height:
        return None
    box = (left, top, right - left, bottom - top)
    return None if box == (0, 0, width, height) else box
