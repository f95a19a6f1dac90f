"""Made footage whose motion is known: what a camera sees that pans, zooms and rolls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from scene_media import Array, write_pictures

Place = Callable[[float], tuple[float, float]]
_WORLD = 1800
_SHORT_SIDE = 300


@dataclass(frozen=True)
class View:
    """Where the camera looks at a time; places in short sides, angles in degrees.

    Args:
        x: of the picture's middle, to the right.
        y: likewise, downwards.
        zoom: natural logarithm of the magnification.
        roll: how far the camera is turned clockwise.
    """

    x: float = 0.0
    y: float = 0.0
    zoom: float = 0.0
    roll: float = 0.0


@cache
def ground(seed: int, side: int) -> Array:
    """A texture with as much detail at every size as pictures of the world have, uint8 RGB.

    Args:
        seed: of its patches.
        side: of the square, in pixels; 300 are a short side of what a camera sees.
    """
    random = np.random.default_rng(seed)
    picture = np.zeros((side, side, 3), np.float32)
    for cell in (150, 45, 15, 5):
        patches = random.uniform(-1, 1, (side // cell, side // cell, 3)).astype(np.float32)
        picture += cv2.resize(patches, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 45 * picture, 0, 255).astype(np.uint8)


def camera(
    view: Callable[[float], View],
    times: list[float],
    size: tuple[int, int] = (320, 180),
    *,
    thing: Place | None = None,
    thing_side: float = 0.5,
    seed: int = 1,
) -> Iterator[Array]:
    """Pictures of a wide texture as a camera sees it at some times.

    Args:
        view: where the camera looks at a time in seconds.
        times: of the pictures, in seconds.
        size: width and height in pixels.
        thing: where the middle of a square thing is in the picture, from the picture's middle.
        thing_side: side of it, in short sides.
        seed: of the textures.
    """
    width, height = size
    short = min(size)
    world = ground(seed, _WORLD)
    cloth = ground(seed + 50, 600)
    for time in times:
        looks = view(time)
        picture = _seen(world, size, short / _SHORT_SIDE, looks)
        if thing:
            x, y = thing(time)
            side = thing_side * short
            place = np.array(
                [
                    [side / 600, 0, width / 2 + x * short - side / 2],
                    [0, side / 600, height / 2 + y * short - side / 2],
                ]
            )
            shape = np.full(cloth.shape[:2], 255, np.uint8)
            mask = cv2.warpAffine(shape, place, size, flags=cv2.INTER_LINEAR)
            over = cv2.warpAffine(cloth, place, size, flags=cv2.INTER_LINEAR)
            share = mask[..., None] / 255
            picture = (picture * (1 - share) + over * share).astype(np.uint8)
        yield picture


def _seen(world: Array, size: tuple[int, int], scale: float, looks: View) -> Array:
    """The part of the world that a view shows."""
    grown = scale * np.exp(looks.zoom)
    angle = -np.radians(looks.roll)  # what is seen turns against the camera
    cos, sin = grown * np.cos(angle), grown * np.sin(angle)
    # Places are measured on the picture, which is turned and magnified about its middle.
    middle = _WORLD / 2 + _SHORT_SIDE * np.array([looks.x, looks.y])
    turn = np.array([[cos, -sin], [sin, cos]])
    shift = np.array([size[0] / 2, size[1] / 2]) - turn @ middle
    onto = np.column_stack([turn, shift])
    return cv2.warpAffine(world, onto, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_WRAP)


def film(
    path: Path,
    view: Callable[[float], View] = lambda _: View(),
    *,
    seconds: float = 3,
    fps: int = 30,
    size: tuple[int, int] = (320, 180),
    options: dict[str, str] | None = None,
    **how: Any,
) -> Path:
    """A video of what a camera sees."""
    times = [number / fps for number in range(round(seconds * fps))]
    pictures = camera(view, times, size, **how)
    return write_pictures(
        path / "film.mp4", pictures, fps=Fraction(fps), options=options or {"crf": "18"}
    )
