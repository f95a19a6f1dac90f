"""What is seen and heard of one sample: which frames, how they look, and the sound with them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from clipmill.core.errors import ProcessError
from clipmill.core.request import Audio, Frames, Want
from clipmill.core.time import Span
from clipmill.dataset.load.options import LoadOptions
from clipmill.media.decode import MediaFile, Picture
from clipmill.media.frame_index import FrameIndex

_CHANCE_BITS = 32
Arrays = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which frames of a sample are wanted.

    Args:
        which: the choice of ``Frames``, by its name there.
        span: of the source, that it is about.
        heard: the stretch of the source that the frames are of.
        count: frames there should be; None for as many as there are.
    """

    which: dict[str, Any]
    span: Span
    heard: Span
    count: int | None = None


def view(
    video: MediaFile | None,
    audio: MediaFile | None,
    span: Span | None,
    options: LoadOptions,
    chance: np.random.Generator,
) -> Arrays:
    """Frames and sound of a sample.

    Args:
        video: the file with its pictures; None where they are not wanted.
        audio: the file with its sound, perhaps the same; None where it is not wanted.
        span: the stretch of them that the sample is; None for all.
        options: what is wanted.
        chance: for choices by chance.

    Returns:
        ``frames`` uint8 (T, H, W, 3), ``pts_seconds`` float64 (T,) from the sample's start and
        ``frame_mask`` bool (T,); ``audio`` float32 (channels, N) in [-1, 1], without samples where
        there is no sound, and ``audio_rate``.

    Raises:
        ProcessError: it cannot be decoded, has no pictures (``no_video_stream``), is shorter than
            what is wanted (``too_short``), or its pictures change size (``size_changes``).
    """
    if video is None:
        return _heard(audio, span, options) if audio else {}
    index = video.frames
    if index is None:
        raise ProcessError("it has no pictures", error_class="no_video_stream")
    asked = _within(span, Span(Fraction(0), max(index.end_seconds, index.time_base)))
    choice = choose(options, asked, index, chance)
    wants = [Want(Frames(**choice.which, **_look(options, chance)), choice.span)]
    sound = video.sound if audio is video else None
    if sound is not None:
        wants.append(Want(_sound(options), choice.heard))
    seen, sounds = _parted(video.decode(wants))
    made = _pictures(seen, asked, choice.count)
    if options.short == "fail" and not made["frame_mask"].all():
        there = int(made["frame_mask"].sum())
        raise ProcessError(
            f"it has {there} of the {choice.count} frames wanted", error_class="too_short"
        )
    if sound is not None:
        return made | _samples(sounds, options, sound.rate)
    return made | (_heard(audio, choice.heard, options) if audio else {})


def choose(
    options: LoadOptions, span: Span, index: FrameIndex, chance: np.random.Generator
) -> Choice:
    """Which frames of a sample are wanted.

    Of ``frames`` alone, the k-th of n is the one shown at ``(k + u) / n`` of the sample, ``u``
    being 1/2 in the middle, 0 for the first, and a number of its own by chance. With a rate they
    are a stretch: the k-th is shown at ``s + k / rate``, ``s`` being ``u`` of what the sample has
    left over; likewise for a stride, in frames instead of seconds.

    Args:
        options: what is wanted.
        span: of the source.
        index: its frames.
        chance: for choices by chance.
    """
    count, rate = options.frames, _rate(options, chance)
    if count is None:
        every = {"every_nth": options.stride} if options.stride else {}
        return Choice({"fps": rate} if rate else every, span, span)
    if rate:
        room = span.duration - Fraction(count) / rate
        start = max(room, Fraction(0)) * _share(options, chance)
        there = min(count, max(1, math.ceil(span.duration * rate)))
        times = tuple(start + Fraction(k) / rate for k in range(there))
        end = min(span.start + start + Fraction(count) / rate, span.end)
        return Choice({"at": times}, span, Span(span.start + start, end), count)
    if options.stride:
        return _strided(options.stride, count, span, index, _share(options, chance))
    if options.position == "middle":
        return Choice({"count": count}, span, span, count)
    part = span.duration / count
    times = tuple((k + _share(options, chance)) * part for k in range(count))
    return Choice({"at": times}, span, span, count)


def _strided(stride: int, count: int, span: Span, index: FrameIndex, share: Fraction) -> Choice:
    """Every so many frames, the first as far into the span as the share says."""
    numbers = index.within(span) or range(index.at(span.start), index.at(span.start) + 1)
    room = max(len(numbers) - ((count - 1) * stride + 1), 0)
    chosen = numbers[min(int((room + 1) * share), room) :: stride][:count]
    times = tuple(max(index.seconds(one) - span.start, Fraction(0)) for one in chosen)
    after = chosen[-1] + stride
    end = min(index.seconds(after) if after < len(index) else span.end, span.end)
    first = min(span.start + times[0], end - index.time_base)
    return Choice({"at": times}, span, Span(max(first, span.start), end), count)


def _rate(options: LoadOptions, chance: np.random.Generator) -> Fraction | None:
    if options.fps_range:
        low, high = map(math.log, options.fps_range)
        return Fraction(math.exp(low + (high - low) * chance.random())).limit_denominator(10**6)
    rates = options.fps if isinstance(options.fps, tuple) else (options.fps,)
    rate = rates[int(chance.integers(len(rates)))]
    return Fraction(repr(rate)) if rate else None


def _share(options: LoadOptions, chance: np.random.Generator) -> Fraction:
    if options.position == "random":
        return Fraction(int(chance.integers(1 << _CHANCE_BITS)), 1 << _CHANCE_BITS)
    return Fraction(1, 2) if options.position == "middle" else Fraction(0)


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


def _parted(pieces: Iterator[Any]) -> tuple[list[tuple[Any, Fraction, int]], list[Any]]:
    """Pixels, time and repeat of every picture; and the pieces of sound."""
    seen: list[tuple[Any, Fraction, int]] = []
    sounds = []
    for piece in pieces:
        if isinstance(piece, Picture):
            seen.append((piece.pixels, piece.seconds, piece.repeat))
            if seen[-1][0].shape != seen[0][0].shape:
                raise ProcessError(
                    "its pictures change size on the way: give a size", error_class="size_changes"
                )
        else:
            sounds.append(piece.samples)
    return seen, sounds


def _pictures(seen: Sequence[tuple[Any, Fraction, int]], span: Span, count: int | None) -> Arrays:
    if not seen:
        raise ProcessError("nothing of it can be decoded", error_class="no_frames")
    frames = [pixels for pixels, _, repeat in seen for _ in range(repeat)]
    times = [float(time - span.start) for _, time, repeat in seen for _ in range(repeat)]
    missing = max((count or 0) - len(frames), 0)
    frames += [np.zeros_like(frames[0])] * missing
    return {
        "frames": np.stack(frames),
        "pts_seconds": np.array(times + [math.nan] * missing),
        "frame_mask": np.arange(len(frames)) < len(frames) - missing,
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
    }
