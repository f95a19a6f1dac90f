"""Decoded pictures as they are encoded: framed in black, or in the pixels of their source."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import av.filter

from clipmill.media.clip_plan import PicturePlan
from clipmill.media.framing import Framing

_TURNS = {0: (), 90: ("transpose=clock",), 180: ("hflip", "vflip"), 270: ("transpose=cclock",)}


class Reshaper:
    """Brings the pictures of a decode into the shape of a clip's pictures.

    The decode has cropped and scaled them already, to 8-bit 4:2:0. What is left is to frame them;
    a codec that keeps the source's pixels starts from the picture as it was stored instead.

    Args:
        plan: of the clip's pictures.
    """

    def __init__(self, plan: PicturePlan) -> None:
        self._keeps_pixels = plan.coding.keeps_pixels
        steps = _stored_steps(plan.framing, plan.rotation_degrees) if self._keeps_pixels else ()
        self._chain = _Chain((*steps, *_pad_steps(plan.framing)))

    def shape(self, picture: Any) -> Any:
        """The frame to encode, of a ``Picture``."""
        return self._chain.run(picture.source if self._keeps_pixels else picture.frame)


class Padding:
    """Frames pictures in black, where that was asked for.

    Args:
        framing: how.
    """

    def __init__(self, framing: Framing) -> None:
        self._chain = _Chain(_pad_steps(framing))

    def run(self, frame: Any) -> Any:
        """The framed picture."""
        return self._chain.run(frame)


class _Chain:
    """A chain of libav's filters, set up anew when pictures change their shape."""

    def __init__(self, steps: tuple[str, ...]) -> None:
        self._steps = steps
        self._shape: tuple[Any, ...] = ()
        self._graph: Any = None

    def run(self, frame: Any) -> Any:
        if not self._steps:
            return frame
        shape = (frame.width, frame.height, frame.format.name)
        if shape != self._shape:
            self._shape, self._graph = shape, self._build(frame)
        self._graph.vpush(frame)
        return self._graph.vpull()

    def _build(self, frame: Any) -> Any:
        graph: Any = av.filter.Graph()
        graph.threads = 1
        node = graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base or Fraction(1, 1000),
        )
        for step in self._steps:
            name, _, arguments = step.partition("=")
            following = graph.add(name, arguments or None)
            node.link_to(following)
            node = following
        node.link_to(graph.add("buffersink"))
        graph.configure()
        return graph


def _pad_steps(framing: Framing) -> tuple[str, ...]:
    box = f"{framing.width}:{framing.height}:{framing.pad_left}:{framing.pad_top}"
    return (f"pad={box}:black",) if framing.is_padded else ()


def _stored_steps(framing: Framing, rotation: int) -> tuple[str, ...]:
    """From a stored picture to the part that is wanted, in the size that is wanted."""
    x, y, width, height = framing.crop
    upright = f"scale={framing.source_width}:{framing.source_height}:flags=bicubic"
    crop = (f"crop={width}:{height}:{x}:{y}:exact=1",) * (framing.frames_crop is not None)
    scaled = (framing.scaled_width, framing.scaled_height)
    scale = (f"scale={scaled[0]}:{scaled[1]}:flags=bicubic",) * (scaled != (width, height))
    return (*_TURNS[rotation], upright, *crop, *scale)
