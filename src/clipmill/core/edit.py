"""How a clip is made from its span: the options of rendering, written once for every surface."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from clipmill.core.config import Config

VideoCodec = Literal["h264", "hevc", "av1", "vp9", "ffv1"]
AudioCodec = Literal["aac", "opus", "mp3", "flac", "alac", "pcm", "copy", "none"]
ResizeMode = Literal["scale", "crop", "pad", "stretch"]

_FIXED_CROP = re.compile(r"(\d+):(\d+):([1-9]\d*):([1-9]\d*)")
_IMAGES = re.compile(r"none|first|keyframes|subtitles|[1-9]\d*")
_FILLS = frozenset({"crop", "pad", "stretch"})
_NTSC_TOLERANCE = 0.0002
_MAX_SIDE = 16384
"""Beyond it encoders of H.264 take no picture."""
_MAX_FPS = 1000
_MAX_IMAGES = 10_000
_CRF = {"h264": 51, "hevc": 51, "av1": 63, "vp9": 63}
"""Highest constant quality that encoders of each codec take; those without one are lossless."""
_CHANGES = ("short_side", "width", "height", "fps", "encoder", "crf", "preset")


def _read_modes(value: Any) -> Any:
    """Accept ``scale,crop``, as a command line and the peer's files give it."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, (list, tuple)):
        return tuple(part.strip() for text in value for part in str(text).split(","))
    return value


def _read_images(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and not _IMAGES.fullmatch(value):
        raise ValueError("give none, first, keyframes, subtitles, or how many images of each clip")
    if isinstance(value, str) and value.isdigit() and int(value) > _MAX_IMAGES:
        raise ValueError(f"at most {_MAX_IMAGES:,} images of each clip can be asked for")
    return value


def _read_crop(value: Any) -> Any:
    known = value in ("none", "letterbox")
    if isinstance(value, str) and not known and not _FIXED_CROP.fullmatch(value):
        raise ValueError("give none, letterbox, or a box in pixels as x:y:width:height")
    return value


def _between(lowest: float, highest: float) -> AfterValidator:
    """Refuse numbers outside of a range, both ends of which are allowed, and say which it is."""

    def check(value: float) -> float:
        if not lowest <= value <= highest:
            raise ValueError(f"must be from {lowest} to {highest} (got {value})")
        return value

    return AfterValidator(check)


Side = Annotated[int, _between(1, _MAX_SIDE)]


class Edit(Config):
    """How a clip is made from its span."""

    precision: Literal["exact", "copy", "smart"] = "exact"
    """How clips are cut. `exact`: coded anew, to the frame. `copy`: packets as they are, from the
    key frame at or before the start, which costs next to nothing. `smart`: to the frame, with
    whole stretches copied and only the edges coded anew (H.264; anything else becomes `exact`)."""
    crop: Annotated[str, BeforeValidator(_read_crop)] = "none"
    """What is cut off before scaling: `none`, `letterbox` (black bars, where there are any), or a
    box to keep, as `x:y:width:height` in pixels of the picture as displayed."""
    short_side: Side | None = None
    """Scale so that the shorter side has this many pixels, the other one in proportion."""
    width: Side | None = None
    """Width of the clips, in pixels; `resize_mode` says how they get it."""
    height: Side | None = None
    """Height of the clips, in pixels; `resize_mode` says how they get it."""
    resize_mode: Annotated[tuple[ResizeMode, ...], BeforeValidator(_read_modes)] = ("scale",)
    """How pictures come to width and height. `scale` keeps proportions, within both; `scale,crop`
    fills both and cuts the rest off evenly; `scale,pad` fits within both, framed in black;
    `scale,crop,pad` scales to the height, then cuts or frames the width; `crop` cuts the centre
    without scaling; `pad` frames without scaling; `stretch` ignores proportions."""
    upscale: bool = False
    """Also enlarge pictures that are smaller than asked for. Without it they keep their size,
    but for `scale,crop` and `stretch`, which always give exactly width and height."""
    fps: Annotated[float, _between(0.001, _MAX_FPS)] | None = None
    """Frames per second, constant. 23.976, 29.97, 59.94 and 119.88 mean 24000/1001 and so on.
    Default: the source's own timing, variable or not."""
    video_codec: VideoCodec = "h264"
    """Codec of the clips' pictures."""
    encoder: str | None = None
    """Encoder of the codec: a name of libav's, or `hardware` for one that proves to work here.
    Default: the software encoder."""
    crf: float | None = None
    """Constant quality, lower is better: 0 to 51 for H.264 and HEVC, to 63 for AV1 and VP9.
    Default: 23 for H.264, 28 for HEVC, 35 for AV1, 32 for VP9."""
    preset: str | None = None
    """Speed of the encoder, in its own words. Default: veryfast for H.264 and HEVC, 10 for AV1,
    5 for VP9."""
    gop_seconds: Annotated[float, _between(0.001, 3600)] = 2.0
    """Longest time from one key frame to the next, in seconds; short ones make loading at random
    cheap."""
    audio_codec: AudioCodec | None = None
    """Codec of the sound: `copy` keeps packets as they are, `none` leaves sound out of videos.
    Default: what the container likes best, such as aac for mp4."""
    audio_sample_rate: Annotated[int, _between(4000, 384_000)] | None = None
    """Samples per second, in Hz. Default: the source's."""
    audio_channels: Literal[1, 2] | None = None
    """1 for mono, 2 for stereo. Default: the source's."""
    images: Annotated[str, BeforeValidator(_read_images)] = "none"
    """Images of each clip: `none`, its `first` frame, its `keyframes`, one at the start of each of
    its `subtitles`, or a number of them at even distances."""
    image_format: Literal["jpg", "png"] = "jpg"
    """File format of images."""
    image_quality: int = Field(default=90, ge=1, le=100)
    """Quality of JPEG images, up to 100."""

    @property
    def frame_rate(self) -> Fraction | None:
        """Wanted frames per second, exactly; None for the source's own timing."""
        if self.fps is None:
            return None
        whole = round(self.fps)
        ntsc = Fraction(whole * 1000, 1001)
        if whole and whole % 6 == 0 and abs(self.fps / float(ntsc) - 1) < _NTSC_TOLERANCE:
            return ntsc
        return Fraction(str(self.fps))

    @property
    def crop_box(self) -> tuple[int, int, int, int] | None:
        """The fixed box to keep as (x, y, width, height) in pixels, or None."""
        found = _FIXED_CROP.fullmatch(self.crop)
        return (int(found[1]), int(found[2]), int(found[3]), int(found[4])) if found else None

    @property
    def image_count(self) -> int | None:
        """How many images at even distances, where a number is asked for."""
        return int(self.images) if self.images.isdigit() else None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        both = self.width is not None and self.height is not None
        if self.short_side is not None and (self.width or self.height):
            raise ValueError("give short_side, or width and height, not both")
        if _FILLS & set(self.resize_mode) and not both:
            raise ValueError(f"resize_mode {','.join(self.resize_mode)} needs width and height")
        if "stretch" in self.resize_mode and len(self.resize_mode) > 1:
            raise ValueError("resize_mode stretch goes with no other")
        if self.crf is not None:
            highest = _CRF.get(self.video_codec)
            if highest is None:
                raise ValueError(f"crf does not go with {self.video_codec}, which loses nothing")
            if not 0 <= self.crf <= highest:
                raise ValueError(
                    f"crf must be from 0 to {highest} for {self.video_codec} (got {self.crf:g})"
                )
        if self.precision != "exact":
            given = [name for name in _CHANGES if getattr(self, name) is not None]
            given += ["crop"] if self.crop != "none" else []
            if given:
                raise ValueError(
                    f"precision {self.precision} keeps pictures as they are, so {given[0]} has "
                    "no effect: take precision exact"
                )
        return self
