"""Which frames of a source a request means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from clipmill.core.request import Frames
from clipmill.core.time import Span
from clipmill.media.frame_index import FrameIndex

_INT64 = 2**63


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The frames that one want means, in order of showing.

    Args:
        frames: all frames of the span.
        numbers: int64 (N,), rising.
        repeats: int64 (N,), at how many of the wanted times each is shown.
        keyframes_only: only those among them that turn out to be key frames are meant.
        by_time: times were wanted rather than frames: where one cannot be decoded, the frame that
            is still shown stands in for it.
    """

    frames: range
    numbers: np.ndarray[Any, Any]
    repeats: np.ndarray[Any, Any]
    by_time: bool
    keyframes_only: bool = False


def choose(request: Frames, span: Span | None, index: FrameIndex) -> Choice:
    """The frames of a span that a request means.

    Args:
        request: see ``Frames``; times at or after the span's or the source's end are not shown.
        span: None for all of the source; cut off where the source ends.
        index: the source's frames.
    """
    start = span.start if span else Fraction(0)
    end = min(span.end, index.end_seconds) if span else index.end_seconds
    frames = index.within(Span(start, end)) if end > start else range(0)
    if not frames:
        return _all(frames, np.empty(0, dtype=np.int64))
    return _with_followers(_chosen(request, frames, start, end, index), request.burst)


def _chosen(
    request: Frames, frames: range, start: Fraction, end: Fraction, index: FrameIndex
) -> Choice:
    if request.fps is not None:
        fps = exact(request.fps)
        return _evenly(index, frames, start, fps, index.count_times(start, end, fps))
    if request.count is not None:
        rate = request.count / (end - start)
        return _evenly(index, frames, start + 1 / (2 * rate), rate, request.count)
    if request.at is not None:
        times = [start + exact(time) for time in request.at]
        shown = [max(index.at(time), frames.start) for time in times if time < end]
        numbers, repeats = np.unique(np.array(shown, dtype=np.int64), return_counts=True)
        return Choice(frames, numbers, repeats.astype(np.int64), by_time=True)
    numbers = np.arange(frames.start, frames.stop, request.every_nth or 1, dtype=np.int64)
    if request.keyframes and not index.ordered_by_decoder:
        numbers = numbers[index.keyframe[numbers]]
    return replace(_all(frames, numbers), keyframes_only=request.keyframes)


def exact(number: float | Fraction) -> Fraction:
    """A number as an exact one; a float is read by its shortest decimal form, as people mean it."""
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)


def _with_followers(choice: Choice, burst: int) -> Choice:
    """Each frame with those right after it, this many in all."""
    if burst == 1:
        return choice
    in_a_row = choice.numbers[:, None] + np.arange(burst)
    numbers = np.unique(in_a_row[in_a_row < choice.frames.stop])
    repeats = np.ones_like(numbers)
    repeats[np.searchsorted(numbers, choice.numbers)] = choice.repeats
    return replace(choice, numbers=numbers, repeats=repeats)


def _all(frames: range, numbers: np.ndarray[Any, Any]) -> Choice:
    return Choice(frames, numbers, np.ones_like(numbers), by_time=False)


def _evenly(
    index: FrameIndex, frames: range, start: Fraction, rate: Fraction, total: int
) -> Choice:
    """The frames shown at the first ``total`` of the times ``start + k / rate``.

    Counted frame by frame, not time by time: a frame is shown at as many of the times as lie
    between its start, less the leeway, and that of the next.
    """
    ticks = index.pts[frames.start : frames.stop] - index.first_pts
    # k(tick) = floor((tick * time_base - leeway - start) * rate) + 1, over one denominator.
    scale, offset = index.time_base * rate, (start + index.leeway) * rate
    denominator = scale.denominator * offset.denominator
    factor = scale.numerator * offset.denominator
    shift = offset.numerator * scale.denominator
    if max(int(ticks[-1]) * factor, shift, denominator, total) >= _INT64:
        ticks = ticks.astype(object)
    first = (ticks * factor - shift) // denominator + 1
    first = np.clip(first, 0, total)
    first[0] = 0  # the span's first frame is shown until the next one is
    repeats = np.diff(first, append=total).astype(np.int64)
    shown = np.flatnonzero(repeats > 0)
    return Choice(frames, shown + frames.start, repeats[shown], by_time=True)
