"""The arguments of video2dataset's loader, under its names and with its defaults."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from clipmill.core.config import Config
from clipmill.dataset.load.options import LoadOptions

AUDIO_KEYS = ("mp3", "wav", "flac", "m4a")
CUTS_KEYS = ("npy", "json")
_MIXED = 16_384


def _several(value: Any) -> Any:
    """One name, or a list of them."""
    return [value] if isinstance(value, str | os.PathLike) else value


def _addresses(value: Any) -> Any:
    urls = _several(value)
    return [os.fspath(url) for url in urls] if isinstance(urls, list | tuple) else urls


def _endless(value: Any) -> Any:
    """The peer's -1 for ever."""
    return None if value == -1 else value


def _rates(value: Any) -> Any:
    return [value] if isinstance(value, int | float) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_several)]
Size = PositiveInt | tuple[PositiveInt, PositiveInt] | None


class VideoDecoding(Config):
    """What ``decoder_kwargs`` may say of videos."""

    n_frames: PositiveInt | None = None
    """Frames of each sample. Default: all."""
    uniformly_sample: bool | None = None
    """Spread them from the first frame to the last; else they are a stretch, by chance."""
    fps: Annotated[
        tuple[PositiveFloat, ...] | Literal["sample"] | None, BeforeValidator(_rates)
    ] = None
    """Rate in frames/s, or several to take one of by chance, or ``sample``."""
    min_fps: PositiveInt = 1
    """Least rate of ``sample``, which takes whole numbers."""
    max_fps: PositiveInt = 32
    """Greatest rate of ``sample``."""
    pad_frames: bool = False
    """Fill up what is too short with black frames, in place of an error."""
    return_bytes: bool = False
    """Give the coded video too, as ``video_bytes``."""
    num_threads: int = 4
    """Without effect: samples are decoded side by side, each in one thread."""
    tmpdir: str = "/tmp/"
    """Without effect: nothing is written."""

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.uniformly_sample and self.fps is not None:
            raise ValueError("fps and uniformly_sample exclude each other; give one")
        if self.uniformly_sample and self.n_frames is None:
            raise ValueError("uniformly_sample needs n_frames")
        if self.min_fps > self.max_fps:
            raise ValueError("min_fps is greater than max_fps")
        return self

    @property
    def rates(self) -> tuple[float, ...]:
        """The rates that are taken from; none where the source's own is wanted."""
        if self.fps == "sample":
            return tuple(float(rate) for rate in range(self.min_fps, self.max_fps + 1))
        return self.fps or ()

    def options(self, resize: Size) -> LoadOptions:
        """What it is for clipmill's loader.

        Args:
            resize: pixels of the short side, or height and width.
        """
        is_stretch = self.n_frames and not self.rates and not self.uniformly_sample
        return LoadOptions(
            frames=self.n_frames,
            fps=self.rates or None,
            stride=1 if is_stretch else None,
            position="ends" if self.uniformly_sample else "random",
            short="pad" if self.pad_frames else "fail",
            short_side=resize if isinstance(resize, int) else None,
            size=(resize[1], resize[0]) if isinstance(resize, tuple) else None,
            crop="none",
        )


class AudioDecoding(Config):
    """What ``decoder_kwargs`` may say of sound."""

    sample_rate: PositiveInt = 48_000
    """Samples per second."""
    num_channels: Literal[1, 2] | None = None
    """Channels. Default: those of the source."""
    max_length: PositiveInt = 10
    """Seconds; what is longer is cut, what is shorter filled up with silence."""
    extension: str | None = None
    """Without effect: ``video_key`` tells."""

    def options(self) -> LoadOptions:
        """What it is for clipmill's loader."""
        return LoadOptions(
            video=False,
            audio=True,
            audio_rate=self.sample_rate,
            audio_channels=self.num_channels,
        )


class LoaderArguments(Config):
    """What ``get_video_dataset`` was asked for."""

    urls: Annotated[tuple[str, ...], BeforeValidator(_addresses)] = Field(min_length=1)
    batch_size: PositiveInt
    shuffle: NonNegativeInt
    repeat: Annotated[PositiveInt | None, BeforeValidator(_endless)]
    drop_last: bool
    video_key: str
    cuts_key: str | None
    decoder_kwargs: VideoDecoding | AudioDecoding | None
    custom_transforms: Mapping[str, Callable[[Any], Any]]
    aesthetics_threshold: float | None
    allowed_languages: Names | None
    p_unsafe_threshold: float | None
    resize_size: Size
    crop_size: Size
    random_crop: bool
    original_height_key: str
    original_width_key: str
    keys_to_remove: Names
    enforce_additional_keys: Names
    return_always: bool
    handler: Callable[[Exception], Any]

    @field_validator("urls")
    @classmethod
    def _no_pipes(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if url.replace(" ", "").startswith("pipe:"):
                raise ValueError(
                    "a pipe: runs a command and can be read only once, from its start; clipmill "
                    "reads the samples it wants where they lie. Give what the command reads, such "
                    "as s3://bucket/{00000..00099}.tar"
                )
        return urls

    @field_validator("cuts_key")
    @classmethod
    def _safe_cuts(cls, key: str | None) -> str | None:
        if key is not None and key not in CUTS_KEYS:
            raise ValueError(f"cuts are read from members {' or '.join(CUTS_KEYS)}, not {key}")
        return key

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if gone := set(self.keys_to_remove) & self.required:
            raise ValueError(
                f"keys_to_remove takes away {min(gone)!r}, which every sample must have: no sample "
                "would be left. Change it, or enforce_additional_keys"
            )
        if self.cuts_key and not isinstance(self.decoder_kwargs, VideoDecoding):
            raise ValueError("cuts_key is for decoded videos: give decoder_kwargs, with n_frames")
        if self.random_crop and self.crop_size is None:
            raise ValueError("random_crop needs crop_size")
        is_decoded = isinstance(self.decoder_kwargs, VideoDecoding)
        if (self.resize_size or self.crop_size) and not is_decoded:
            raise ValueError(
                "resize_size and crop_size are for decoded videos: give decoder_kwargs, such as "
                "{'n_frames': 8}"
            )
        return self

    @property
    def required(self) -> set[str]:
        """Members that a sample must have, or else it is left out."""
        return {self.video_key, *self.enforce_additional_keys}

    @property
    def crop_box(self) -> tuple[int, int] | None:
        """Height and width of what is cut out of the picture."""
        return (
            (self.crop_size, self.crop_size) if isinstance(self.crop_size, int) else self.crop_size
        )

    @property
    def mixed(self) -> int:
        """How many samples are mixed at a time; the peer counts shards."""
        return max(self.shuffle, _MIXED) if self.shuffle else 0
