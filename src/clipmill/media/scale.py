"""Decoded frames as they are wanted: cut, scaled, upright, in the wanted pixel format."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import av
import av.filter
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from clipmill.core.request import Frames, PixelFormat
from clipmill.media.geometry import Box, Geometry, clockwise_degrees, geometry
from clipmill.media.tone import is_hdr, tone_mapped

# Measured on 720p: averaging (AREA) is the cheapest filter that looks at every pixel and, where
# two or more become one, as good as any; FAST_BILINEAR costs a quarter, but skips pixels, and so
# makes noise of fine structure (22 dB against 59 for 64x36). Nearer to the own size, bicubic is
# the sharper one. Without the two flags colours are off by some shades (8 dB).
_EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_SHRINK = Interpolation.AREA | _EXACT
_RESIZE = Interpolation.BICUBIC | _EXACT
# Colours alone change: the flags would cost ten times as much here, for less.
_CONVERT = Interpolation.BICUBIC
_RANGES = {
    "gray": ColorRange.JPEG,
    "rgb24": ColorRange.JPEG,
    "rgb48le": ColorRange.JPEG,
    "yuv420p": ColorRange.MPEG,
}


class Scaler:
    """Makes the pictures of all wants that look alike.

    Args:
        request: its ``crop``, ``cover``, ``short_side``, ``size`` and ``pixel_format`` count.
        ratio: width of a stored pixel divided by its height; None for square ones.
    """

    def __init__(self, request: Frames, ratio: Fraction | None) -> None:
        self._request = request
        self._ratio = ratio
        self._resize, self._convert = VideoReformatter(), VideoReformatter()
        self._cropper: _Cropper | None = None
        self._plans: dict[tuple[int, int, int], Geometry] = {}

    def scale(self, frame: Any) -> Any:
        """The wanted picture of a decoded frame; neither changes the other.

        Raises:
            ProcessError: the crop is not within the picture.
        """
        kind = (frame.width, frame.height, frame.rotation)
        if kind not in self._plans:
            turn = clockwise_degrees(frame)
            self._plans[kind] = geometry(self._request, kind[:2], self._ratio, turn)
        plan = self._plans[kind]
        if plan.crop:
            frame = self._crop(frame, plan.crop)
        if _may_be_transparent(frame.format.name):
            frame = _on_black(frame)
        wanted = self._request.pixel_format
        if is_hdr(frame):
            frame = tone_mapped(_reformat(self._resize, frame, plan.size, "rgb48le"))
            scaled = _reformat(self._convert, frame, plan.size, wanted)
        else:
            scaled = _reformat(self._resize, frame, plan.size, wanted)
        return _turned(scaled, plan.rotation) if plan.rotation else scaled

    def _crop(self, frame: Any, box: Box) -> Any:
        across, down = (
            8 // part(8) for part in (frame.format.chroma_width, frame.format.chroma_height)
        )
        if box[0] % across or box[1] % down:
            # The corner lies within a block of colour.
            parts = frame.format.components
            alpha, bits = any(part.is_alpha for part in parts), max(part.bits for part in parts)
            name = "yuv" + "a" * alpha + "444p" + f"{bits}le" * (bits > 8)
            frame = frame.reformat(format=name, threads=1)
        if self._cropper is None or not self._cropper.fits(frame, box):
            self._cropper = _Cropper(frame, box)
        return self._cropper.crop(frame)


def _reformat(
    reformatter: VideoReformatter, frame: Any, size: tuple[int, int], name: PixelFormat | str
) -> Any:
    if size == (frame.width, frame.height):
        how = _CONVERT
    elif 2 * size[0] <= frame.width and 2 * size[1] <= frame.height:
        how = _SHRINK
    else:
        how = _RESIZE
    from_rgb = frame.format.is_rgb and name == "yuv420p"
    return reformatter.reformat(
        frame,
        *size,
        format=name,
        interpolation=how,
        dst_colorspace=Colorspace.ITU709 if from_rgb else None,
        dst_color_range=_RANGES[name],
        threads=1,
    )


@cache
def _may_be_transparent(name: str) -> bool:
    pixels = av.VideoFormat(name)
    return bool(pixels.has_palette or any(part.is_alpha for part in pixels.components))


def _on_black(frame: Any) -> Any:
    colors = frame.to_ndarray(format="rgba", dst_color_range=ColorRange.JPEG, threads=1)
    opacity = colors[..., 3:].astype(np.uint16)
    opaque = ((colors[..., :3] * opacity + 127) // 255).astype(np.uint8)
    on_black = av.VideoFrame.from_ndarray(opaque, format="rgb24")
    on_black.pts, on_black.time_base = frame.pts, frame.time_base
    return on_black


class _Cropper:
    """Cuts by moving pointers, copying nothing."""

    def __init__(self, frame: Any, box: Box) -> None:
        self._kind = _kind(frame, box)
        self._graph = av.filter.Graph()
        self._graph.threads = 1
        x, y, width, height = box
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        crop = self._graph.add("crop", f"{width}:{height}:{x}:{y}:exact=1")
        self._graph.link_nodes(source, crop, self._graph.add("buffersink")).configure()

    def fits(self, frame: Any, box: Box) -> bool:
        return self._kind == _kind(frame, box)

    def crop(self, frame: Any) -> Any:
        self._graph.vpush(frame)
        return self._graph.vpull()


def _kind(frame: Any, box: Box) -> tuple[Any, ...]:
    return (frame.width, frame.height, frame.format.name, box)


def _turned(frame: Any, rotation: int) -> Any:
    """A picture turned clockwise, plane by plane."""
    size = (frame.width, frame.height)
    turned = av.VideoFrame(*(size if rotation == 180 else size[::-1]), frame.format.name)
    for source, target in zip(frame.planes, turned.planes, strict=True):
        channels = 3 if frame.format.name == "rgb24" else 1
        _pixels(target, channels)[...] = np.rot90(_pixels(source, channels), -rotation // 90)
    turned.pts, turned.time_base = frame.pts, frame.time_base
    turned.colorspace, turned.color_range = frame.colorspace, frame.color_range
    return turned


def _pixels(plane: Any, channels: int) -> np.ndarray[Any, Any]:
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width * channels].reshape(plane.height, plane.width, channels)
