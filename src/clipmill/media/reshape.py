"""Decoded pictures as they are encoded: framed in black, or in the pixels of their source."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial
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
        stored = partial(_stored_steps, plan) if self._keeps_pixels else _no_steps
        self._chain = _Chain(stored, _pad_steps(plan.framing))

    def shape(self, picture: Any) -> Any:
        """The frame to encode, of a ``Picture``."""
        return self._chain.run(picture.source if self._keeps_pixels else picture.frame)


class Padding:
    """Frames pictures in black, where that was asked for.

    Args:
        framing: how.
    """

    def __init__(self, framing: Framing) -> None:
        self._chain = _Chain(_no_steps, _pad_steps(framing))

    def run(self, frame: Any) -> Any:
        """The framed picture."""
        return self._chain.run(frame)


class _Chain:
    """A chain of libav's filters, set up anew when pictures change their shape.

    Args:
        first: the first filters, for pixels of a format.
        last: those after them.
    """

    def __init__(
        self, first: Callable[[av.VideoFormat], tuple[str, ...]], last: tuple[str, ...]
    ) -> None:
        self._first = first
        self._last = last
        self._shape: tuple[Any, ...] = ()
        self._graph: Any = None

    def run(self, frame: Any) -> Any:
        shape = (frame.width, frame.height, frame.format.name)
        if shape != self._shape:
            steps = (*self._first(frame.format), *self._last)
            self._shape, self._graph = shape, self._build(frame, steps) if steps else None
        if self._graph is None:
            return frame
        self._graph.vpush(frame)
        return self._graph.vpull()

    def _build(self, frame: Any, steps: tuple[str, ...]) -> Any:
        graph: Any = av.filter.Graph()
        graph.threads = 1
        node = graph.add(
            "buffer",
            video_size=f"{frame.width}x{frame.height}",
            pix_fmt=frame.format.name,
            time_base=str(frame.time_base or Fraction(1, 1000)),
            colorspace=str(int(frame.colorspace)),
            range=str(int(frame.color_range)),
        )
        for step in steps:
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


def _no_steps(pixels: av.VideoFormat) -> tuple[str, ...]:
    return ()


def _stored_steps(plan: PicturePlan, pixels: av.VideoFormat) -> tuple[str, ...]:
    """From a stored picture to the part that is wanted, in size and pixels that can be coded."""
    framing = plan.framing
    x, y, width, height = framing.crop
    upright = f"scale={framing.source_width}:{framing.source_height}:flags=bicubic"
    steps = [*_TURNS[plan.rotation_degrees], upright]
    # Of the formats that the encoder takes, libav finds the one that loses least.
    known = list(av.Codec(plan.coding.encoder, "w").video_formats or ())
    if framing.frames_crop:
        blocks = _color_block(pixels)
        across, down = blocks[::-1] if plan.rotation_degrees in (90, 270) else blocks
        if x % across or y % down:
            # Cut within a block of colour, pictures of more than 8 bits would be noise.
            steps.append(_format_step([form for form in known if _color_block(form) == (1, 1)]))
        steps.append(f"crop={width}:{height}:{x}:{y}:exact=1")
    if (framing.scaled_width, framing.scaled_height) != (width, height):
        steps.append(f"scale={framing.scaled_width}:{framing.scaled_height}:flags=bicubic")
    return (*steps, _format_step(known))


def _color_block(pixels: av.VideoFormat) -> tuple[int, int]:
    """How many pixels share a colour, across and down."""
    return 8 // pixels.chroma_width(8), 8 // pixels.chroma_height(8)


def _format_step(formats: Iterable[av.VideoFormat]) -> str:
    return "format=" + "|".join(form.name for form in formats)
