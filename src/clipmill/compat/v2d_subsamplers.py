"""The arguments of video2dataset's subsamplers, under its names and with its defaults."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from clipmill.core.config import Config
from clipmill.core.registry import nearest

_MODES = ("scale", "crop", "pad")
_ENDLESS_SECONDS = 999_999.0
"""What the peer writes for clips of any length."""


def _unset(value: Any) -> Any:
    """The peer's -1 for a side that is not given."""
    return None if isinstance(value, int) and value < 0 else value


def _modes(value: Any) -> Any:
    """The peer looks for three words in a text or list; whatever else is there is a mistake."""
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    if not isinstance(value, str):
        return value
    words = re.findall("[a-z]+", value.lower())
    for word in words:
        if word not in _MODES:
            raise ValueError(f"there is no {word!r}. {nearest(word, list(_MODES))}")
    return tuple(mode for mode in _MODES if mode in words)


def _five(value: Any) -> Any:
    if value != 5:
        raise ValueError("clips have five digits in their keys, as in video2dataset; leave it out")
    return value


Side = Annotated[PositiveInt | None, BeforeValidator(_unset)]


class ProbeArgs(Config):
    """Arguments of ``FFProbeSubsampler``."""

    extract_keyframes: bool = False
    """Store the time of every keyframe."""


class CutArgs(Config):
    """Arguments of ``CutDetectionSubsampler``."""

    cut_detection_mode: Literal["all", "longest"] = "all"
    """Every scene, or only the longest one."""
    framerates: tuple[PositiveFloat, ...] | None = None
    """Frame rates to detect at as well, in frames/s."""
    threshold: float = 27
    """Mean change of a pixel, 0 to 255, from which on a frame starts a new scene."""
    min_scene_len: int = Field(default=15, ge=0)
    """Fewest frames between two cuts."""


class ClipArgs(Config):
    """Arguments of ``ClippingSubsampler``."""

    oom_clip_count: Annotated[int, BeforeValidator(_five)] = 5
    """Digits of a clip's number in its key."""
    min_length: float = Field(default=0.0, ge=0)
    """Shorter clips are left out, in seconds."""
    max_length: PositiveFloat = _ENDLESS_SECONDS
    """Longest clip, in seconds."""
    max_length_strategy: Literal["all", "first"] = "all"
    """Of a longer span, keep all pieces or the first."""
    precision: Literal["low", "keyframe_adjusted", "exact"] = "low"
    """How clips are cut."""

    @property
    def longest_seconds(self) -> float | None:
        """Longest clip, in seconds; None for any length."""
        return self.max_length if self.max_length < _ENDLESS_SECONDS else None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max_length < self.min_length:
            raise ValueError("max_length is below min_length, so that no clip could be made")
        return self


class ResolutionArgs(Config):
    """Arguments of ``ResolutionSubsampler``."""

    resize_mode: Annotated[tuple[Literal["scale", "crop", "pad"], ...], BeforeValidator(_modes)]
    """Which of scale, crop and pad to do."""
    height: Side = None
    """Height in pixels."""
    width: Side = None
    """Width in pixels."""
    video_size: Side = None
    """Both, in pixels."""
    encode_format: str | None = None
    """File extension of the result."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.video_size and (self.height or self.width):
            raise ValueError("give video_size, or height and width, not both")
        if not self.resize_mode:
            raise ValueError("resize_mode names none of scale, crop and pad")
        width, height = self.size
        if not (width or height):
            raise ValueError("give height, width or video_size")
        if self.resize_mode != ("scale",) and not (width and height):
            raise ValueError(f"resize_mode {','.join(self.resize_mode)} needs height and width")
        return self

    @property
    def size(self) -> tuple[int | None, int | None]:
        """Width and height in pixels; scaling alone goes by the height, where it is given."""
        width, height = self.video_size or self.width, self.video_size or self.height
        return (None if height and self.resize_mode == ("scale",) else width), height


class FrameArgs(Config):
    """Arguments of ``FrameSubsampler``."""

    frame_rate: PositiveFloat | None = None
    """Frames per second."""
    downsample_method: Literal["fps", "first_frame", "keyframe", "yt_subtitle"] = "fps"
    """Change the frame rate, or take images instead of video."""
    encode_format: str | None = None
    """File extension of the result."""

    @model_validator(mode="after")
    def _has_a_rate(self) -> Self:
        if self.downsample_method == "fps" and self.frame_rate is None:
            raise ValueError("downsample_method fps needs frame_rate")
        return self


class AudioArgs(Config):
    """Arguments of ``AudioRateSubsampler``."""

    sample_rate: PositiveInt
    """Samples per second, in Hz."""
    encode_format: str | None = None
    """File extension of the result."""
    n_audio_channels: Literal[1, 2] | None = None
    """1 for mono, 2 for stereo."""


ARGUMENTS: dict[str, type[Config]] = {
    "FFProbeSubsampler": ProbeArgs,
    "CutDetectionSubsampler": CutArgs,
    "ClippingSubsampler": ClipArgs,
    "ResolutionSubsampler": ResolutionArgs,
    "FrameSubsampler": FrameArgs,
    "AudioRateSubsampler": AudioArgs,
}
"""Subsamplers that clipmill carries out, and what they take."""
