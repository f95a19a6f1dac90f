"""Which bucket a clip goes to, and what of it is lost: decided by facts of tables alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, field_validator, model_validator

from clipmill.core.config import Config
from clipmill.core.edit import Edit
from clipmill.core.registry import nearest
from clipmill.core.time import ROUNDED_SECONDS, Span
from clipmill.formats.trainers.profiles import PROFILES, Bucket, Profile
from clipmill.media.framing import plan_framing

Reason = Literal["too_short", "too_small", "no_picture"]


def _read_buckets(value: Any) -> Any:
    """Accept ``832x480,480x832``, as a command line gives it."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, (list, tuple)):
        return tuple(part.strip() for text in value for part in str(text).split(","))
    return value


class FitOptions(Config):
    """For which model clips are made."""

    trainer: str
    """Model that is to be trained: cogvideox, hunyuan, ltx or wan. Clips are trimmed to a number of
    frames it takes, cropped and scaled to a bucket, and given its frame rate (or `--fps`)."""
    buckets: Annotated[tuple[str, ...] | None, BeforeValidator(_read_buckets)] = None
    """Sizes of clips, as WIDTHxHEIGHT or WIDTHxHEIGHTxFRAMES. Each clip goes to the one that cuts
    off least of its picture, then to the longest, then to the largest. Default: the model's own."""

    @field_validator("trainer")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in PROFILES:
            raise ValueError(f"no trainer {value!r}. {nearest(value, list(PROFILES))}")
        return value

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        self.sizes  # noqa: B018  # refuses sizes that the model does not take
        return self

    @property
    def profile(self) -> Profile:
        """What the model takes."""
        return PROFILES[self.trainer]

    @property
    def sizes(self) -> tuple[Bucket, ...]:
        """The buckets."""
        if self.buckets is None:
            return self.profile.buckets
        return tuple(self.profile.parse_bucket(text) for text in self.buckets)


@dataclass(frozen=True, slots=True)
class Fit:
    """What becomes of a clip.

    Args:
        bucket: where it goes; its ``frames`` are the clip's.
        span: the stretch of the source that is shown, from the clip's start.
        edit: how it is made.
        crop_loss: share of the picture that is cut off, 0 to 1.
        trimmed_seconds: what is left out at its end.
    """

    bucket: Bucket
    span: Span
    edit: Edit
    crop_loss: float
    trimmed_seconds: float


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a clip goes to no bucket.

    Args:
        reason: ``too_short``, ``too_small`` or ``no_picture``.
        message: what it has, and what would do.
    """

    reason: Reason
    message: str


def clip_span(span: Span | None, probe: Mapping[str, Any] | None) -> Span | None:
    """The stretch that a clip is of its source; None for one without pictures or length.

    Args:
        span: what was found; None for all of the source.
        probe: the source's, as in the table.
    """
    video = (probe or {}).get("video")
    if not video or not video["width"] or not video["height"]:
        return None
    if span is not None:
        return span
    if not video["duration_pts"]:
        return None
    base = Fraction(video["time_base_numerator"], video["time_base_denominator"])
    return Span(Fraction(0), video["duration_pts"] * base)


def fit_clip(
    span: Span | None, probe: Mapping[str, Any] | None, options: FitOptions, edit: Edit
) -> Fit | Misfit:
    """Find the bucket of a clip.

    Args:
        span: its stretch of the source; None for all of it.
        probe: the source's, as in the table.
        options: the model and the buckets.
        edit: how clips are made otherwise.

    Raises:
        ProcessError: the box to keep lies outside of the picture (``crop_outside``).
    """
    whole = clip_span(span, probe)
    if whole is None or probe is None:
        return Misfit("no_picture", "it has no video, or nothing tells how long that is")
    made = edit if edit.fps else edit.model_copy(update={"fps": options.profile.fps})
    rate = made.frame_rate
    assert rate is not None
    available = math.ceil((whole.duration - ROUNDED_SECONDS) * rate)
    width, height = int(probe["video"]["width"]), int(probe["video"]["height"])
    fits: list[Fit] = []
    small: list[Fit] = []
    for bucket in options.sizes:
        frames = bucket.frames or options.profile.frames_within(available)
        if frames is None or frames > available:
            continue
        fit = _in_bucket(whole, (width, height), bucket, frames, made)
        kept = edit.crop_box[2:] if edit.crop_box else (width, height)
        enlarged = bucket.width > kept[0] or bucket.height > kept[1]
        (small if enlarged and not edit.upscale else fits).append(fit)
    if fits:
        return min(fits, key=_rank)
    if small:
        sizes = ", ".join(str(bucket) for bucket in options.sizes)
        return Misfit(
            "too_small",
            f"its picture of {width}x{height} would have to be enlarged for each of the buckets "
            f"{sizes}",
        )
    least = min(bucket.frames or options.profile.frame_step + 1 for bucket in options.sizes)
    return Misfit(
        "too_short", f"it has {available} frames at {float(rate):g}/s, and {least} are needed"
    )


def _in_bucket(whole: Span, size: tuple[int, int], bucket: Bucket, frames: int, edit: Edit) -> Fit:
    made = edit.model_copy(
        update={
            "width": bucket.width,
            "height": bucket.height,
            "resize_mode": ("scale", "crop"),
        }
    )
    assert made.frame_rate is not None
    # The last frame begins within the clip; its end may lie beyond by less than a frame.
    end = min(whole.end, whole.start + frames / made.frame_rate)
    box = plan_framing(*size, made).crop
    loss = 1 - box[2] * box[3] / (size[0] * size[1])
    trimmed = float(whole.end - end)
    return Fit(
        Bucket(bucket.width, bucket.height, frames), Span(whole.start, end), made, loss, trimmed
    )


def _rank(fit: Fit) -> tuple[float, int, int, int]:
    frames = fit.bucket.frames or 0
    area = fit.bucket.width * fit.bucket.height
    return (round(fit.crop_loss, 3), -frames, -area, fit.bucket.width)


@dataclass(frozen=True, slots=True)
class Retiming:
    """What another frame rate does to a clip.

    Args:
        error_seconds: how much earlier than at the time it is shown at a frame was taken, on
            average, from 0 to a frame of the source; for sources of a constant rate.
        repeated: frames that are shown a second time, since the source has fewer.
    """

    error_seconds: float
    repeated: int


def retiming(fit: Fit, source_fps: float | None) -> Retiming | None:
    """What re-timing does to a clip; None where the source's rate is not known.

    Args:
        fit: of the clip.
        source_fps: average frames per second of its source.
    """
    rate = fit.edit.frame_rate
    if not source_fps or rate is None:
        return None
    times = np.arange(fit.bucket.frames or 0) / float(rate)
    numbers = np.floor(times * source_fps + 1e-6)
    error = np.maximum(times - numbers / source_fps, 0)
    return Retiming(float(error.mean()), len(numbers) - len(np.unique(numbers)))
