"""Decoded frames as they are wanted: cut, scaled, upright, in the wanted pixel format."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import av.filter
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from clipmill.core.request import Frames
from clipmill.media.geometry import Box, geometry

_FILTER = Interpolation.BICUBIC
_RANGES = {"gray": ColorRange.JPEG, "rgb24": ColorRange.JPEG, "yuv420p": ColorRange.MPEG}


class Scaler:
    """Makes the pictures of all wants that look alike.

    Args:
        request: its ``crop``, ``short_side``, ``size`` and ``pixel_format`` count.
        ratio: width of a stored pixel divided by its height; None for square ones.
    """

    def __init__(self, request: Frames, ratio: Fraction | None) -> None:
        self._request = request
        self._ratio = ratio
        self._reformatter = VideoReformatter()
        self._cropper: _Cropper | None = None

    def scale(self, frame: Any) -> Any:
        """The wanted picture of a decoded frame; neither changes the other.

        Raises:
            ProcessError: the crop is not within the picture.
        """
        rotation = round(-frame.rotation / 90) * 90 % 360
        plan = geometry(self._request, (frame.width, frame.height), self._ratio, rotation)
        if plan.crop:
            frame = self._crop(frame, plan.crop)
        name = self._request.pixel_format
        scaled = self._reformatter.reformat(
            frame,
            *plan.size,
            format=name,
            interpolation=_FILTER,
            dst_color_range=_RANGES[name],
            threads=1,
        )
        return _turned(scaled, plan.rotation) if plan.rotation else scaled

    def _crop(self, frame: Any, box: Box) -> Any:
        if any(
            part.is_luma is False and _misaligned(frame.format, box)
            for part in frame.format.components
        ):
            frame = frame.reformat(format="yuv444p", threads=1)
        key = (frame.width, frame.height, frame.format.name, box)
        if self._cropper is None or self._cropper.key != key:
            self._cropper = _Cropper(frame, box)
        return self._cropper.crop(frame)


def _misaligned(pixels: Any, box: Box) -> bool:
    return bool(box[0] % pixels.chroma_width(2) or box[1] % pixels.chroma_height(2))


class _Cropper:
    """Cuts by moving pointers, copying nothing."""

    def __init__(self, frame: Any, box: Box) -> None:
        self.key = (frame.width, frame.height, frame.format.name, box)
        self._graph = av.filter.Graph()
        x, y, width, height = box
        source = self._graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base or Fraction(1),
        )
        crop = self._graph.add("crop", f"{width}:{height}:{x}:{y}:exact=1")
        self._graph.link_nodes(source, crop, self._graph.add("buffersink")).configure()

    def crop(self, frame: Any) -> Any:
        self._graph.vpush(frame)
        return self._graph.vpull()


def _turned(frame: Any, rotation: int) -> Any:
    """A picture turned clockwise, plane by plane."""
    turned = av.VideoFrame(*_turned_size(frame, rotation), frame.format.name)
    for source, target in zip(frame.planes, turned.planes, strict=True):
        channels = 3 if frame.format.name == "rgb24" else 1
        pixels = _pixels(source, channels)
        _pixels(target, channels)[...] = np.rot90(pixels, -rotation // 90)
    turned.pts, turned.time_base = frame.pts, frame.time_base
    turned.colorspace, turned.color_range = frame.colorspace, frame.color_range
    return turned


def _turned_size(frame: Any, rotation: int) -> tuple[int, int]:
    size = (frame.width, frame.height)
    return size if rotation == 180 else (size[1], size[0])


def _pixels(plane: Any, channels: int) -> np.ndarray[Any, Any]:
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    pixels = rows[:, : plane.width * channels].reshape(plane.height, plane.width, channels)
    return pixels
