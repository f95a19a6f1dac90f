"""Spans that are given rather than found: by a column, by subtitles, by stride or key frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from clipmill.core.sample import Subtitle
from clipmill.core.time import Span, format_clock
from clipmill.steps.split.options import SplitOptions
from clipmill.steps.split.spans import HoldsFrame, any_span, check_count, pieces, trimmed


@dataclass(frozen=True, slots=True)
class FoundClip:
    """One virtual clip, or the failure of one that was asked for.

    Args:
        span: in exact seconds from the source's first frame; None when there is no such clip.
        caption: the subtitle line it was made of.
        given: number of the span or line it was made of, counted from 0.
        error_class: why there is none, such as ``invalid_span``.
        error_message: the same in a sentence.
    """

    span: Span | None
    caption: str | None = None
    given: int | None = None
    error_class: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class _Scene:
    span: Span | None
    caption: str | None = None
    given: int | None = None
    problem: str | None = None


def clips_of_column(
    spans: Sequence[Sequence[Any]],
    end: Fraction,
    options: SplitOptions,
    holds_frame: HoldsFrame = any_span,
) -> list[FoundClip]:
    """Clips of the spans that a row asks for, in the order given; they may overlap.

    A span that reaches beyond the source ends with it. One that cannot be read, is empty or
    reversed, or lies wholly outside is a failed clip of class ``invalid_span``.

    Args:
        spans: ``[start, end]`` pairs of seconds or clock times.
        end: where the source ends, in seconds.
        options: the rules that each span is treated by, as a scene.
        holds_frame: asked of what is left of a span, not of a span that stays whole.

    Raises:
        ProcessError: there are more clips than are allowed.
    """
    scenes = (_given_span(number, pair, end) for number, pair in enumerate(spans))
    return _clips(scenes, options, holds_frame)


def clips_of_subtitles(
    lines: Sequence[Subtitle],
    end: Fraction,
    options: SplitOptions,
    holds_frame: HoldsFrame = any_span,
) -> list[FoundClip]:
    """One clip per subtitle line, with the line for its caption.

    Lines that begin after the source has ended are failed clips, as spans are.

    Args:
        lines: subtitles of one language.
        end: where the source ends, in seconds.
        options: the rules that each line's span is treated by, as a scene.
        holds_frame: asked of what is left of a scene; clips without a frame are none.

    Raises:
        ProcessError: there are more clips than are allowed.
    """
    scenes = (
        _given_span(number, (line.start_seconds, line.end_seconds), end, line.text)
        for number, line in enumerate(lines)
    )
    return _clips(scenes, options, holds_frame)


def clips_of_times(
    times: Iterable[Fraction],
    end: Fraction,
    options: SplitOptions,
    holds_frame: HoldsFrame = any_span,
) -> list[FoundClip]:
    """Clips of the scenes that begin at some times, the last of which ends with the source.

    Args:
        times: ascending; none for one scene, the whole source.
        end: where the source ends, in seconds.
        options: the rules that scenes are treated by.
        holds_frame: asked of what is left of a scene; clips without a frame are none.

    Raises:
        ProcessError: there are more clips than are allowed.
    """
    return _clips((_Scene(span) for span in _between(times, end)), options, holds_frame)


def clips_of_stride(
    end: Fraction, options: SplitOptions, holds_frame: HoldsFrame = any_span
) -> list[FoundClip]:
    """Clips that start every ``stride_seconds`` and last ``max_seconds``, or else the stride.

    Args:
        end: where the source ends, in seconds; clips are cut short by it.
        options: the lengths, and the rules that each is treated by, as a scene.
        holds_frame: asked of what is left of a scene; clips without a frame are none.

    Raises:
        ProcessError: there are more clips than are allowed.
    """
    stride = options.stride_seconds
    if stride is None:
        raise ValueError("clips of a stride need stride_seconds")
    length = options.max_seconds or stride

    def windows() -> Iterator[_Scene]:
        start = Fraction(0)
        while start < end:
            window = Span(start, min(start + length, end))
            if window.duration == length or holds_frame(window):
                yield _Scene(window)
            start += stride

    return _clips(windows(), options, holds_frame)


def _between(times: Iterable[Fraction], end: Fraction) -> Iterator[Span]:
    start = Fraction(0)
    for time in times:
        if start < time < end:
            yield Span(start, time)
            start = time
    if start < end:
        yield Span(start, end)


def _given_span(
    number: int, pair: Sequence[Any], end: Fraction, caption: str | None = None
) -> _Scene:
    try:
        span = Span.parse(pair)
    except ValueError as error:
        return _Scene(None, caption, number, str(error))
    if span.start >= end:
        times = format_clock(span.start), format_clock(end)
        told = "it starts at {}, but the source ends at {}".format(*times)
        return _Scene(None, caption, number, told)
    return _Scene(Span(span.start, min(span.end, end)), caption, number)


def _clips(
    scenes: Iterable[_Scene], options: SplitOptions, holds_frame: HoldsFrame
) -> list[FoundClip]:
    clips: list[FoundClip] = []
    if options.longest_only:
        scenes = _longest(scenes, options)
    for scene in scenes:
        for clip in _clips_of_scene(scene, options, holds_frame):
            check_count(len(clips) + 1, options)
            clips.append(clip)
    return clips


def _clips_of_scene(
    scene: _Scene, options: SplitOptions, holds_frame: HoldsFrame
) -> Iterator[FoundClip]:
    if scene.span is None:
        message = f"clip {scene.given} cannot be cut out: {scene.problem}"
        yield FoundClip(None, scene.caption, scene.given, "invalid_span", message)
        return

    def is_clip(span: Span) -> bool:  # what was asked for is one whatever it holds, and may fail
        return span == scene.span or holds_frame(span)

    inside = trimmed(scene.span, options)
    for span in pieces(inside, options, is_clip) if inside else ():
        yield FoundClip(span, scene.caption, scene.given)


def _longest(scenes: Iterable[_Scene], options: SplitOptions) -> list[_Scene]:
    """The first of the longest scenes, and those that are failures."""
    best: _Scene | None = None
    kept = []
    for scene in scenes:
        if scene.span is None:
            kept.append(scene)
        elif best is None or best.span is None or scene.span.duration > best.span.duration:
            best = scene
    return kept if best is None else [*kept, best]
