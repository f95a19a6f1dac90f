"""From cuts to the spans of clips: trims, lengths, and what is done with scenes that are too long.

Everything is causal: a span comes out as soon as nothing that is still to come can change it, so
that its frames need not be kept. Given the same cuts, the spans are the same whether the cuts come
at once or bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

from clipmill.core.errors import ProcessError
from clipmill.core.time import Span
from clipmill.steps.split.detector import Cut
from clipmill.steps.split.options import SplitOptions

HoldsFrame = Callable[[Span], bool]
"""Tells whether a frame of the source begins within a span."""
_ZERO = Fraction(0)


def any_span(_span: Span) -> bool:
    """What is told of sources without frames."""
    return True


def trimmed(scene: Span, options: SplitOptions) -> Span | None:
    """A scene without its trimmed ends; None when nothing is left."""
    start = scene.start + options.trim_start_seconds
    end = scene.end - options.trim_end_seconds
    return Span(start, end) if start < end else None


def pieces(scene: Span, options: SplitOptions, holds_frame: HoldsFrame) -> Iterator[Span]:
    """Cut a trimmed scene into clips of the lengths that are allowed.

    A scene longer than ``max_seconds`` gives as many full pieces as it holds and then the
    remainder, which must be as long as ``min_seconds`` and hold a frame.

    Args:
        scene: one scene, trimmed.
        options: lengths, and the strategy for scenes that are too long.
        holds_frame: asked of the remainder, or of the whole scene where that is short enough.
    """
    longest, start = options.max_seconds, scene.start
    if longest is not None and scene.duration > longest:
        if options.max_strategy == "drop":
            return
        while start + longest <= scene.end:
            yield Span(start, start + longest)
            if options.max_strategy == "first":
                return
            start += longest
    if scene.end - start >= options.min_seconds and scene.end > start:
        rest = Span(start, scene.end)
        if holds_frame(rest):
            yield rest


class SpanBuilder:
    """Makes clips of scenes while cuts come in.

    Args:
        options: the rules.
        holds_frame: asked of what is left of a scene; clips without a frame are none.
    """

    def __init__(self, options: SplitOptions, holds_frame: HoldsFrame = any_span) -> None:
        self._options = options
        self._holds_frame = holds_frame
        self._scene_start = _ZERO
        self._given = 0  # pieces of the open scene that are out already
        self._move()
        self._ready: list[Span] = []
        self._longest: Span | None = None
        self._count = 0

    @property
    def open_start(self) -> Fraction:
        """Where the clip begins that comes next, unless a cut that is still to come moves it."""
        return self._open_start

    def push(self, cut: Cut) -> None:
        """Take the next cut, unless it is one that parts what belongs together.

        Raises:
            ProcessError: the source gives more clips than are allowed.
        """
        limit = self._options.merge_below
        if limit is None or cut.seam is None or cut.seam >= limit:
            self._close(cut.seconds)

    def advance(self, decided: Fraction) -> list[Span]:
        """The spans that became final.

        Args:
            decided: no cut that is still to come lies before this time, in seconds.

        Raises:
            ProcessError: the source gives more clips than are allowed.
        """
        while self._due is not None and decided >= self._due:
            assert self._options.max_seconds is not None
            self._add(Span(self._open_start, self._open_start + self._options.max_seconds))
            self._given += 1
            self._move()
        ready, self._ready = self._ready, []
        return ready

    def finish(self, end: Fraction) -> list[Span]:
        """The spans that the source's end makes final.

        Args:
            end: where the last frame ends, in seconds.

        Raises:
            ProcessError: the source gives more clips than are allowed.
        """
        self._close(end)
        if self._longest:
            for span in pieces(self._longest, self._options, self._holds_frame):
                self._add(span)
        ready, self._ready = self._ready, []
        return ready

    def _move(self) -> None:
        """Work out where the next clip begins, and when it is one whatever comes.

        Once for each clip: asked at every frame, exact sums would cost as much as a detector.
        """
        options = self._options
        longest = options.max_seconds
        pieces_given = self._given * (longest or _ZERO)
        self._open_start = self._scene_start + options.trim_start_seconds + pieces_given
        waits = longest is None or options.longest_only or options.max_strategy == "drop"
        enough = options.max_strategy == "first" and self._given > 0
        self._due: Fraction | None = None
        if longest is not None and not waits and not enough:
            self._due = self._open_start + longest + options.trim_end_seconds

    def _close(self, end: Fraction) -> None:
        start, given = self._scene_start, self._given
        self._scene_start, self._given = end, 0
        self._move()
        scene = trimmed(Span(start, end), self._options) if start < end else None
        if scene is None:
            return
        if self._options.longest_only:
            if self._longest is None or scene.duration > self._longest.duration:
                self._longest = scene
            return
        for number, span in enumerate(pieces(scene, self._options, self._holds_frame)):
            if number >= given:
                self._add(span)

    def _add(self, span: Span) -> None:
        self._count += 1
        check_count(self._count, self._options)
        self._ready.append(span)


def check_count(count: int, options: SplitOptions) -> None:
    """Stop before a source floods the table.

    Raises:
        ProcessError: there are more clips than ``max_clips``.
    """
    if count > options.max_clips:
        raise ProcessError(
            f"the source gives more than {options.max_clips:,} clips; "
            "raise max_clips if so many are meant",
            error_class="too_many_clips",
        )
