"""What is seen and heard of one sample: which frames, how they look, and the sound with them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from clipmill.core.errors import ProcessError
from clipmill.core.request import Audio, Frames, Want
from clipmill.core.time import Span
from clipmill.dataset.load.choice import between_cuts, choose, own_rate, rate_of
from clipmill.dataset.load.options import LoadOptions
from clipmill.media.decode import MediaFile, Picture
from clipmill.media.geometry import clockwise_degrees, displayed_size

Arrays = dict[str, Any]


def view(
    video: MediaFile | None,
    audio: MediaFile | None,
    span: Span | None,
    options: LoadOptions,
    chance: np.random.Generator,
    scenes: Sequence[tuple[int, int]] = (),
) -> Arrays:
    """Frames and sound of a sample.

    Args:
        video: the file with its pictures; None where they are not wanted.
        audio: the file with its sound, perhaps the same; None where it is not wanted.
        span: the stretch of them that the sample is; None for all.
        options: what is wanted.
        chance: for choices by chance.
        scenes: stretches of the source, one of which is looked at by chance: see ``between_cuts``.
            Default: the span.

    Returns:
        ``frames`` uint8 (T, H, W, 3), ``pts_seconds`` float64 (T,) from the sample's start and
        ``frame_mask`` bool (T,); ``fps``, the rate chosen, else the source's own, in frames/s;
        ``start_frame``, the number of the first frame in its source; ``original_width`` and
        ``original_height`` of the source's picture as displayed, in pixels; ``audio`` float32
        (channels, N) in [-1, 1], without samples where there is no sound, ``audio_rate``, and
        ``original_audio_rate``, the source's own.

    Raises:
        ProcessError: it cannot be decoded, has no pictures (``no_video_stream``), is shorter than
            what is wanted (``too_short``), has fewer frames/s (``rate_too_high``), or its pictures
            change size (``size_changes``).
    """
    if video is None:
        return _heard(audio, span, options) if audio else {}
    index = video.frames
    if index is None:
        raise ProcessError("it has no pictures", error_class="no_video_stream")
    rate = rate_of(options, index, chance)
    asked = _within(span, Span(Fraction(0), max(index.end_seconds, index.time_base)))
    looked_at = between_cuts(scenes, options, index, rate, chance) if scenes else asked
    choice = choose(options, looked_at, index, rate, chance)
    wants = [Want(Frames(**choice.which, **_look(options, chance)), choice.span)]
    sound = video.sound if audio is video else None
    if sound is not None:
        wants.append(Want(_sound(options), choice.heard))
    seen, sounds = _parted(video.decode(wants))
    made = _pictures(seen, asked, choice.count)
    made |= {"fps": float(rate or own_rate(index)), **_facts(seen, video.sample_aspect_ratio)}
    if options.short == "fail" and not made["frame_mask"].all():
        there = int(made["frame_mask"].sum())
        raise ProcessError(
            f"it has {there} of the {choice.count} frames wanted", error_class="too_short"
        )
    if sound is not None:
        return made | _samples(sounds, options, sound.rate)
    return made | (_heard(audio, choice.heard, options) if audio else {})


def _look(options: LoadOptions, chance: np.random.Generator) -> dict[str, Any]:
    if options.box is None:
        return {"short_side": options.short_side}
    if options.crop == "none":
        return {"size": options.box}
    place = (0.5, 0.5) if options.crop == "center" else (chance.random(), chance.random())
    return {"size": options.box, "cover": place}


def _within(span: Span | None, whole: Span) -> Span:
    if span is None:
        return whole
    if span.start >= whole.end:
        raise ProcessError("its span holds nothing of the source", error_class="empty_span")
    return Span(span.start, min(span.end, whole.end))


class _Shown(NamedTuple):
    """A picture without what its decoder keeps of it."""

    pixels: Any
    seconds: Fraction
    repeat: int
    number: int
    stored: tuple[int, int, int]


def _parted(pieces: Iterator[Any]) -> tuple[list[_Shown], list[Any]]:
    """The pictures, and the pieces of sound."""
    seen: list[_Shown] = []
    sounds = []
    for piece in pieces:
        if isinstance(piece, Picture):
            source = piece.source
            stored = (source.width, source.height, clockwise_degrees(source))
            seen.append(_Shown(piece.pixels, piece.seconds, piece.repeat, piece.number, stored))
            if seen[-1].pixels.shape != seen[0].pixels.shape:
                raise ProcessError(
                    "its pictures change size on the way: give a size", error_class="size_changes"
                )
        else:
            sounds.append(piece.samples)
    return seen, sounds


def _pictures(seen: Sequence[_Shown], span: Span, count: int | None) -> Arrays:
    if not seen:
        raise ProcessError("nothing of it can be decoded", error_class="no_frames")
    frames = [one.pixels for one in seen for _ in range(one.repeat)]
    times = [float(one.seconds - span.start) for one in seen for _ in range(one.repeat)]
    missing = max((count or 0) - len(frames), 0)
    frames += [np.zeros_like(frames[0])] * missing
    return {
        "frames": np.stack(frames),
        "pts_seconds": np.array(times + [math.nan] * missing),
        "frame_mask": np.arange(len(frames)) < len(frames) - missing,
    }


def _facts(seen: Sequence[_Shown], ratio: Fraction | None) -> Arrays:
    width, height, rotation = seen[0].stored
    width, height = displayed_size(width, height, ratio, rotation)
    return {
        "start_frame": seen[0].number,
        "original_width": width,
        "original_height": height,
    }


def _sound(options: LoadOptions) -> Audio:
    return Audio(rate=options.audio_rate, channels=options.audio_channels)


def _heard(media: MediaFile, span: Span | None, options: LoadOptions) -> Arrays:
    if media.sound is None:
        return _samples([], options, 0)
    _, sounds = _parted(media.decode([Want(_sound(options), span)]))
    return _samples(sounds, options, media.sound.rate)


def _samples(sounds: Sequence[Any], options: LoadOptions, rate: int) -> Arrays:
    silence = np.zeros((options.audio_channels or 1, 0), np.float32)
    return {
        "audio": np.concatenate(sounds, axis=1) if sounds else silence,
        "audio_rate": options.audio_rate or rate,
        "original_audio_rate": rate,
    }
