"""Which frames of one sample are given: the formulas behind count, rate, stride and position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from clipmill.core.errors import ProcessError
from clipmill.core.time import Span
from clipmill.dataset.load.options import LoadOptions
from clipmill.media.frame_index import FrameIndex

_CHANCE_BITS = 32


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


def rate_of(
    options: LoadOptions, index: FrameIndex, chance: np.random.Generator
) -> Fraction | None:
    """The rate of a sample's frames in frames/s, or None where no rate is asked for.

    Of several rates, and of a range, only those are taken that the source has itself.

    Args:
        options: what is wanted.
        index: the source's frames.
        chance: for a choice by chance.

    Raises:
        ProcessError: the source has fewer frames/s than any of them (``rate_too_high``).
    """
    wanted = options.fps_range or options.fps
    if not isinstance(wanted, tuple):
        return Fraction(repr(wanted)) if wanted else None
    own = own_rate(index)
    has = max(float(own), float(round(own)))  # 23.976 frames/s do for 24
    there = [rate for rate in wanted if rate <= has]
    if not there:
        raise ProcessError(
            f"it has {has:.4g} frames/s, fewer than any rate wanted", error_class="rate_too_high"
        )
    if options.fps_range:
        low, high = math.log(there[0]), math.log(min(options.fps_range[1], has))
        return Fraction(math.exp(low + (high - low) * chance.random())).limit_denominator(10**6)
    return Fraction(repr(there[int(chance.integers(len(there)))]))


def own_rate(index: FrameIndex) -> Fraction:
    """How many frames a source shows per second, on average."""
    return len(index) / max(index.end_seconds, index.time_base)


def choose(
    options: LoadOptions,
    span: Span,
    index: FrameIndex,
    rate: Fraction | None,
    chance: np.random.Generator,
) -> Choice:
    """Which frames of a sample are wanted.

    Of ``frames`` alone, the k-th of n is the one shown at ``(k + u) / n`` of the sample, ``u``
    being 1/2 in the middle, 0 for the first, and a number of its own by chance; with ``ends`` it is
    frame ``floor(k * (t - 1) / (n - 1))`` of the sample's t. With a rate they are a stretch: the
    k-th is shown at ``s + k / rate``, ``s`` being ``u`` of what the sample has left over; likewise
    for a stride, in frames instead of seconds.

    Args:
        options: what is wanted.
        span: of the source.
        index: its frames.
        rate: as ``rate_of`` gives it.
        chance: for choices by chance.
    """
    count = options.frames
    if count is None:
        every = {"every_nth": options.stride} if options.stride else {}
        return Choice({"fps": rate} if rate else every, span, span)
    if rate:
        room = span.duration - Fraction(count) / rate
        start = max(room, Fraction(0)) * _share(options, chance)
        there = min(count, index.count_times(span.start, span.end, rate))
        times = tuple(start + Fraction(k) / rate for k in range(there))
        end = min(span.start + start + Fraction(count) / rate, span.end)
        return Choice({"at": times}, span, Span(span.start + start, end), count)
    if options.stride:
        return _strided(options.stride, count, span, index, _share(options, chance))
    if options.position == "middle":
        return Choice({"count": count}, span, span, count)
    if options.position == "ends":
        shown, gaps = _numbers(span, index), max(count - 1, 1)
        chosen = [shown[k * (len(shown) - 1) // gaps] for k in range(count)]
        return Choice({"at": _times(chosen, span, index)}, span, span, count)
    part = span.duration / count
    times = tuple((k + _share(options, chance)) * part for k in range(count))
    return Choice({"at": times}, span, span, count)


def between_cuts(
    scenes: Sequence[tuple[int, int]],
    options: LoadOptions,
    index: FrameIndex,
    rate: Fraction | None,
    chance: np.random.Generator,
) -> Span:
    """One of several stretches of a source that holds what is wanted, each as likely.

    Where none is long enough, it is the longest.

    Args:
        scenes: numbers of their first frames, and of those that follow their last ones.
        options: what is wanted.
        index: the source's frames.
        rate: as ``rate_of`` gives it.
        chance: for the choice.

    Raises:
        ProcessError: none lies within the source (``empty_span``).
    """
    there = [(first, min(last, len(index))) for first, last in scenes if 0 <= first < last]
    there = [(first, last) for first, last in there if first < last]
    if not there:
        raise ProcessError("none of its scenes lies within it", error_class="empty_span")
    spans = [Span(index.seconds(first), _end(last, index)) for first, last in there]
    count, stride = options.frames or 1, options.stride or 1
    fits = [
        (span.duration + index.leeway) * rate >= count
        if rate
        else last - first > (count - 1) * stride
        for span, (first, last) in zip(spans, there, strict=True)
    ]
    if not any(fits):
        return max(spans, key=lambda span: span.duration)
    long_enough = [span for span, is_long in zip(spans, fits, strict=True) if is_long]
    return long_enough[int(chance.integers(len(long_enough)))]


def _strided(stride: int, count: int, span: Span, index: FrameIndex, share: Fraction) -> Choice:
    """Every so many frames, the first as far into the span as the share says."""
    numbers = _numbers(span, index)
    room = max(len(numbers) - ((count - 1) * stride + 1), 0)
    chosen = numbers[min(int((room + 1) * share), room) :: stride][:count]
    times = _times(chosen, span, index)
    end = min(_end(chosen[-1] + stride, index), span.end)
    first = min(span.start + times[0], end - index.time_base)
    return Choice({"at": times}, span, Span(max(first, span.start), end), count)


def _numbers(span: Span, index: FrameIndex) -> range:
    """The frames of a span, or the one that is shown all through it."""
    return index.within(span) or range(index.at(span.start), index.at(span.start) + 1)


def _times(numbers: Sequence[int], span: Span, index: FrameIndex) -> tuple[Fraction, ...]:
    """When frames are shown, from the start of a span."""
    return tuple(max(index.seconds(one) - span.start, Fraction(0)) for one in numbers)


def _end(number: int, index: FrameIndex) -> Fraction:
    """When a frame begins, or where the source ends, if it has none of that number."""
    return index.seconds(number) if number < len(index) else index.end_seconds


def _share(options: LoadOptions, chance: np.random.Generator) -> Fraction:
    if options.position == "random":
        return Fraction(int(chance.integers(1 << _CHANCE_BITS)), 1 << _CHANCE_BITS)
    return Fraction(1, 2) if options.position == "middle" else Fraction(0)
