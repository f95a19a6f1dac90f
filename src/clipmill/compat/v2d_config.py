"""The configuration of video2dataset: four sections, its bundled names, its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator

from clipmill.core.config import Config, parse_config
from clipmill.core.errors import RecipeError
from clipmill.core.registry import nearest

SUBSAMPLERS = (
    "AudioRateSubsampler",
    "CaptionSubsampler",
    "ClippingSubsampler",
    "CutDetectionSubsampler",
    "FFProbeSubsampler",
    "FrameSubsampler",
    "NoOpSubsampler",
    "OpticalFlowSubsampler",
    "ResolutionSubsampler",
    "WhisperSubsampler",
)
DISTRIBUTORS = ("multiprocessing", "pyspark", "spark", "slurm")


def _nothing_is_empty(value: Any) -> Any:
    """A YAML section without content is an empty one."""
    return {} if value is None else value


class SiteMetadata(Config):
    """`reading.yt_args.yt_metadata_args`: four keys of its own, every other goes to yt-dlp."""

    model_config = ConfigDict(extra="allow")

    writesubtitles: bool | str | None = None
    """`first`, `all`, or anything true for all."""
    subtitleslangs: tuple[str, ...] = ("en",)
    """Languages, in order of preference."""
    writeautomaticsub: bool = False
    """Take machine-made subtitles too."""
    get_info: bool = True
    """Keep what the site says about the video."""


class SiteArgs(Config):
    """`reading.yt_args`: how sources on sites are fetched."""

    download_size: PositiveInt = 360
    """Height wanted, in pixels."""
    download_audio_rate: int = 44100
    """Audio sample rate wanted, in Hz; 0 or less: the best."""
    yt_metadata_args: SiteMetadata | None = None
    """Subtitles and metadata wanted; null: none."""


def _bundled_site_args() -> SiteArgs:
    return SiteArgs(yt_metadata_args=SiteMetadata(writesubtitles="all", writeautomaticsub=True))


class Reading(Config):
    """`reading`: how sources are fetched."""

    yt_args: SiteArgs = Field(default_factory=_bundled_site_args)
    """For sources on sites."""
    dataloader_args: dict[str, Any] | None = None
    """How stored videos are decoded, for the stages that do."""
    timeout: PositiveFloat | None = 60.0
    """Seconds to connect, and seconds without a byte, of a direct link."""
    sampler: Any = None
    """Function that picks shards."""


class Storage(Config):
    """`storage`: what shards look like."""

    number_sample_per_shard: PositiveInt = 1000
    """Rows per shard."""
    oom_shard_count: PositiveInt = 5
    """Digits of shard names."""
    captions_are_subtitles: bool = False
    """Cut along the subtitles and use their lines as captions."""


class Distribution(Config):
    """`distribution`: who does the work."""

    processes_count: PositiveInt | None = None
    """Worker processes. Default: as many as suit the machine."""
    thread_count: PositiveInt = 32
    """Downloads at a time per process."""
    subjob_size: PositiveInt = 1000
    """Shards per job of a cluster."""
    distributor: str = "multiprocessing"
    """Who runs the workers."""
    distributor_args: dict[str, Any] | None = None
    """Choices of that distributor."""

    @field_validator("distributor")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in DISTRIBUTORS:
            raise ValueError(nearest(value, list(DISTRIBUTORS)))
        return value


class Subsampler(Config):
    """One entry of `subsampling`; without `args` it is named, but not at work."""

    args: dict[str, Any] | None = None
    """Arguments of the subsampler."""
    cuts_are_clips: bool = False
    """Cut along the detected cuts."""


def _subsamplers(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return _nothing_is_empty(value)
    for name in value:
        if name not in SUBSAMPLERS:
            raise ValueError(f"there is no {name!r}. {nearest(str(name), list(SUBSAMPLERS))}")
    return {
        name: parse_config(Subsampler, entry or {}, f"config subsampling.{name}")
        for name, entry in value.items()
    }


class V2dConfig(Config):
    """A whole configuration; what it leaves out has the bundled defaults."""

    subsampling: Annotated[dict[str, Subsampler], BeforeValidator(_subsamplers)] = Field(
        default_factory=dict
    )
    """What is done to the media."""
    reading: Annotated[Reading, BeforeValidator(_nothing_is_empty)] = Field(default_factory=Reading)
    """How sources are fetched."""
    storage: Annotated[Storage, BeforeValidator(_nothing_is_empty)] = Field(default_factory=Storage)
    """What shards look like."""
    distribution: Annotated[Distribution, BeforeValidator(_nothing_is_empty)] = Field(
        default_factory=Distribution
    )
    """Who does the work."""


_DECODING = {"fps": None, "num_threads": 8, "return_bytes": True}
BUNDLED: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "downsample_ml": {
        "subsampling": {
            "ResolutionSubsampler": {"args": {"video_size": 224, "resize_mode": "scale,crop,pad"}},
            "FrameSubsampler": {"args": {"frame_rate": 5}},
            "CutDetectionSubsampler": {
                "cuts_are_clips": True,
                "args": {"cut_detection_mode": "all", "threshold": 11.5, "min_scene_len": 15},
            },
            "ClippingSubsampler": {
                "args": {
                    "min_length": 4.0,
                    "max_length": 10.0,
                    "max_length_strategy": "all",
                    "precision": "keyframe_adjusted",
                }
            },
            "FFProbeSubsampler": {"args": {"extract_keyframes": False}},
        }
    },
    "optical_flow": {
        "subsampling": {"OpticalFlowSubsampler": {"args": {"detector": "cv2", "dtype": "fp16"}}},
        "reading": {
            "dataloader_args": {"resize_size": 16, "decoder_kwargs": {**_DECODING, "fps": 2}}
        },
    },
    "caption": {
        "subsampling": {
            "CaptionSubsampler": {
                "args": {
                    "captioner_args": {
                        "video_captioner": "kpyu/video-blip-flan-t5-xl-ego4d",
                        "prompt": None,
                    }
                }
            }
        },
        "reading": {
            "dataloader_args": {
                "batch_size": 32,
                "resize_size": [224, 224],
                "decoder_kwargs": {**_DECODING, "n_frames": 8, "uniformly_sample": True},
            }
        },
        "distribution": {"processes_count": 1, "thread_count": 8},
    },
}


def load_config(given: str | Mapping[str, Any]) -> V2dConfig:
    """Read a configuration and fill in what it leaves out.

    Args:
        given: a bundled name, the path of a YAML file, or a mapping.

    Raises:
        RecipeError: no such name or file, or keys and values a configuration does not have.
    """
    if isinstance(given, Mapping):
        return parse_config(V2dConfig, given, "config")
    if given in BUNDLED:
        return parse_config(V2dConfig, BUNDLED[given], given)
    try:
        text = Path(given).read_text()
    except OSError as error:
        names = ", ".join(BUNDLED)
        raise RecipeError(
            f"config {given!r} is neither a bundled name ({names}) nor a file that can be read "
            f"({error.strerror}). {_meant(given)}"
        ) from error
    if "${" in text:
        raise RecipeError(f"{given} uses ${{...}} interpolation: write the values out instead.")
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{given} is not YAML: {error}") from error
    if not isinstance(data, Mapping):
        sections = ", ".join(V2dConfig.model_fields)
        raise RecipeError(f"{given} must have the sections {sections}.")
    return parse_config(V2dConfig, data, given)


def _meant(given: str) -> str:
    hint = nearest(given, list(BUNDLED))
    return hint if hint.startswith("Did you mean") else "Check the path."


def place_in_config(key: str) -> str | None:
    """Where a configuration has a key of this name, such as ``storage.oom_shard_count``."""
    sections: dict[str, type[Config]] = {
        "reading": Reading,
        "reading.yt_args": SiteArgs,
        "reading.yt_args.yt_metadata_args": SiteMetadata,
        "storage": Storage,
        "distribution": Distribution,
    }
    return next(
        (f"{place}.{key}" for place, model in sections.items() if key in model.model_fields), None
    )
