"""From video2dataset's subsamplers to the steps of a recipe that do the same in one pass.

The peer cuts, scales and drops frames in a chain of ffmpeg calls, each with a decode and an encode
of its own. Here all of them together are one split and one render.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from clipmill.compat.v2d_arguments import Arguments
from clipmill.compat.v2d_config import V2dConfig
from clipmill.compat.v2d_subsamplers import (
    AudioArgs,
    ClipArgs,
    CutArgs,
    FrameArgs,
    ProbeArgs,
    ResolutionArgs,
)
from clipmill.core.config import Config, parse_config
from clipmill.core.errors import RecipeError

Args = TypeVar("Args", bound=Config)
Settings = dict[str, Any]

_PRECISIONS = {"low": "copy", "keyframe_adjusted": "smart", "exact": "exact"}
_IMAGES = {"first_frame": "first", "keyframe": "keyframes", "yt_subtitle": "subtitles"}
_IMAGE_FORMATS = {None: "jpg", "mp4": "jpg", "jpg": "jpg", "jpeg": "jpg", "png": "png"}
"""The peer's ``encode_format`` of images; its default is mp4, whatever is written."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What is done to the media of a row.

    Args:
        split: settings of the step; None for rows that stay whole.
        render: settings of the step; None for files that stay as they were fetched.
        encode_formats: modalities and extensions of what is written.
        keyframes: whether the time of every key frame is kept.
    """

    split: Settings | None
    render: Settings | None
    encode_formats: dict[str, str]
    keyframes: bool

    def sections(self) -> dict[str, Settings]:
        """The sections ``split`` and ``render`` of a recipe, those that are there."""
        made = {"split": self.split, "render": self.render}
        return {name: settings for name, settings in made.items() if settings is not None}


class Subsamplers:
    """The subsamplers of a configuration that are at work, with their arguments.

    Args:
        config: the configuration.

    Raises:
        RecipeError: an argument is unknown or wrong.
    """

    def __init__(self, config: V2dConfig) -> None:
        self._config = config
        self.probe = self._args("FFProbeSubsampler", ProbeArgs)
        self.cuts = self._args("CutDetectionSubsampler", CutArgs)
        self.clips = self._args("ClippingSubsampler", ClipArgs) or ClipArgs()
        self.resolution = self._args("ResolutionSubsampler", ResolutionArgs)
        self.frames = self._args("FrameSubsampler", FrameArgs)
        self.audio = self._args("AudioRateSubsampler", AudioArgs)
        detection = config.subsampling.get("CutDetectionSubsampler")
        self.cuts_are_clips = detection is not None and detection.cuts_are_clips

    def _args(self, name: str, model: type[Args]) -> Args | None:
        entry = self._config.subsampling.get(name)
        if entry is None or entry.args is None:
            return None
        return parse_config(model, entry.args, f"config subsampling.{name}.args")


def steps_of(arguments: Arguments, config: V2dConfig) -> Steps:
    """The steps that do what the subsamplers of a configuration do.

    Args:
        arguments: the peer's arguments.
        config: the configuration.

    Raises:
        RecipeError: arguments that are wrong, or do not fit together.
    """
    given = arguments.encode_formats
    formats = {"video": "mp4"} if given is None else dict(given)
    work = Subsamplers(config)
    keyframes = work.probe is not None and work.probe.extract_keyframes
    split = _split(arguments, config, work)
    changes = {**_pictures(work, formats), **_sound(work, formats)}
    if split is None and not changes and arguments.stage == "download":
        return Steps(None, None, formats, keyframes)
    if not formats:
        raise RecipeError(
            "encode_formats {} keeps no media, so there is nothing that the subsamplers could "
            "work on: leave it out, or leave out the subsamplers."
        )
    if "images" in changes:
        formats.pop("video", None)
    if split is None and keyframes:
        split = {"detector": "whole", "keep_whole": True}  # they are kept with the sources
    is_cut = split is not None and not split.get("keep_whole")
    precision = _PRECISIONS[work.clips.precision] if is_cut else "copy"
    if {"resize_mode", "fps", "images"} & set(changes):
        precision = "exact"
    return Steps(split, {"precision": precision, **changes}, formats, keyframes)


def _split(arguments: Arguments, config: V2dConfig, work: Subsamplers) -> Settings | None:
    """What clips are cut by, or that cuts are found and kept."""
    says = {
        f"clip_col {arguments.clip_col!r}": arguments.clip_col is not None,
        "storage.captions_are_subtitles": config.storage.captions_are_subtitles,
        "CutDetectionSubsampler": work.cuts is not None or work.cuts_are_clips,
    }
    given = [name for name, is_given in says.items() if is_given]
    if len(given) > 1:
        raise RecipeError(
            f"{given[0]} and {given[1]} both say where to cut. Give one of them, or split in two "
            "runs, with stage 'subset' for the second."
        )
    if arguments.clip_col is not None:
        return {"detector": "column", **_lengths(work.clips)}
    if config.storage.captions_are_subtitles:
        return {"detector": "subtitles", **_lengths(work.clips)}
    if work.cuts is not None:
        return _detection(work.cuts, work)
    if not work.cuts_are_clips:
        return None
    if arguments.stage == "download":
        raise RecipeError(
            "config subsampling.CutDetectionSubsampler: cuts_are_clips needs args, since nothing "
            "has found the cuts yet. Stage 'subset' cuts along those that an earlier run kept."
        )
    return {"detector": "cuts", **_lengths(work.clips)}


def _detection(cuts: CutArgs, work: Subsamplers) -> Settings:
    found = {
        "detector": "content",
        "detector_options": {
            "threshold": cuts.threshold,
            "min_scene_frames": cuts.min_scene_len,
            "filter_mode": "suppress",  # the only way of the PySceneDetect that the peer pins
        },
        "frame_rates": cuts.framerates or (),
    }
    if not work.cuts_are_clips:
        return {**found, "keep_whole": True}
    longest = cuts.cut_detection_mode == "longest"
    return {**found, "longest_only": longest, **_lengths(work.clips)}


def _lengths(clips: ClipArgs) -> Settings:
    return {
        "min_seconds": clips.min_length,
        "max_seconds": clips.longest_seconds,
        "max_strategy": clips.max_length_strategy,
    }


def _pictures(work: Subsamplers, formats: Mapping[str, str]) -> Settings:
    """What becomes of pictures: their size, their frame rate, images instead of them."""
    made: Settings = {}
    if work.resolution is not None:
        _check_modality("ResolutionSubsampler", "video", formats)
        _check_format("ResolutionSubsampler", work.resolution.encode_format, formats["video"])
        width, height = work.resolution.size
        made |= {"resize_mode": work.resolution.resize_mode, "upscale": True}
        made |= {"width": width, "height": height}
    if work.frames is None:
        return made
    _check_modality("FrameSubsampler", "video", formats)
    form = work.frames.encode_format
    if work.frames.downsample_method == "fps":
        _check_format("FrameSubsampler", form, formats["video"])
        return {**made, "fps": work.frames.frame_rate}
    if form not in _IMAGE_FORMATS:
        raise RecipeError(
            f"config subsampling.FrameSubsampler.args: images cannot be kept as {form!r}, but as "
            "jpg or png."
        )
    images = _IMAGES[work.frames.downsample_method]
    return {**made, "images": images, "image_format": _IMAGE_FORMATS[form]}


def _sound(work: Subsamplers, formats: Mapping[str, str]) -> Settings:
    if work.audio is None:
        return {}
    _check_modality("AudioRateSubsampler", "audio", formats)
    _check_format("AudioRateSubsampler", work.audio.encode_format, formats["audio"])
    return {
        "audio_sample_rate": work.audio.sample_rate,
        "audio_channels": work.audio.n_audio_channels,
    }


def _check_modality(name: str, modality: str, formats: Mapping[str, str]) -> None:
    if modality not in formats:
        raise RecipeError(
            f"config subsampling.{name} works on {modality}, which encode_formats does not keep: "
            f"add {modality!r} to it, or leave out the subsampler."
        )


def _check_format(name: str, form: str | None, extension: str) -> None:
    """A file called one thing and holding another is what the peer would make of the two."""
    if form not in (None, extension):
        raise RecipeError(
            f"config subsampling.{name}.args: encode_format {form!r} is not the {extension!r} of "
            "encode_formats, which names the files: give both the same, or leave it out."
        )
