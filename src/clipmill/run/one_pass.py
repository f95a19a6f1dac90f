"""Finding the clips of a source, judging and making them in one decode: runs in a media process.

While detectors look for the end of a scene, its pictures are kept as steps and the clip will show
them. As soon as its span is final the clip is judged, and encoded if it is not dropped. What does
not fit the byte budget meanwhile is left for other decodes. Cells and files are the same, bit for
bit, as those of ``observe`` and ``render_clips``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from heapq import merge
from typing import TYPE_CHECKING, Any

from clipmill.core.errors import ProcessError
from clipmill.core.request import Frames, Want
from clipmill.core.sample import Subtitle
from clipmill.core.time import Span
from clipmill.io.stretch import Place
from clipmill.media.choose import exact
from clipmill.media.clip_work import ClipWork
from clipmill.media.decode import MediaFile, Picture, time_of
from clipmill.media.keep import Kept
from clipmill.media.order import ClipOrder, Rendered
from clipmill.media.render import Renderer
from clipmill.media.sound import Sound
from clipmill.run.clips import Clip, Making, OnePass
from clipmill.steps.split.find import Watch, holds_frame_of
from clipmill.steps.split.given import FoundClip
from clipmill.steps.split.options import SplitOptions
from clipmill.steps.split.result import SplitResult

if TYPE_CHECKING:  # a pass without steps does without all that tells their conditions
    from clipmill.run.trial import Trial, TrialOrder

_OVERHANG_SECONDS = Fraction(1, 10)
"""A clip's last picture may be shown, and its sound heard, for so long beyond its span."""


def find_and_make(
    path: Place,
    options: SplitOptions,
    *,
    trial: TrialOrder | None,
    making: Making | None,
    name: str,
    subtitles: tuple[Subtitle, ...],
    keep_bytes: int,
) -> OnePass:
    """Find the clips of a source, judge and make them, in one decode as far as that can be.

    Args:
        path: the source, a local file or a stretch of one.
        options: what to split by, and the rules.
        trial: what clips are judged by; None for no judgement.
        making: how those that pass are made; None to make none.
        name: what files are called, before the number of the clip.
        subtitles: lines of the source, in all languages.
        keep_bytes: how much of pictures and sound may be kept in memory.

    Raises:
        ProcessError: the source cannot be read, lacks what is wanted, or gives too many clips.
        RecipeError: there is no such detector, or its settings are wrong.
        RunError: a step has a programming error, or could not be set up.
        UserError: a value of a condition cannot be worked out.
    """
    with MediaFile(path, probes=making is not None) as media, ExitStack() as stack:
        renderer, unmade = None, None
        if making is not None:
            try:
                renderer = Renderer(media, making.edit, making.wanted, stack)
            except ProcessError as error:
                unmade = error  # which counts for nothing where all clips are dropped
        watch = Watch(options, media.frame_rate, holds_frame_of(media))
        judge = None if trial is None else trial.begin(media)
        work = _Pass(media, watch, renderer, judge, keep_bytes)
        assert media.frames is not None
        end = media.frames.end_seconds
        clips: list[Clip] = []
        for span in work.spans(end):
            clip = Clip(len(clips), span)
            clips.append(clip)
            if work.passes(clip) and making is not None:
                if unmade is not None:
                    raise unmade
                order = ClipOrder(f"{name}-{clip.index}", span, subtitles)
                clip.made = work.render(ClipWork(order, making.folder))
        spans = [FoundClip(clip.span) for clip in clips]
        found = SplitResult(spans, watch.cuts, end, media.decoded_seconds)
        return OnePass(found, [clip.made for clip in clips], [clip.cells for clip in clips])


class _Pass:
    """One decode that detectors, steps and clips look at.

    Args:
        media: the open source.
        watch: its detectors.
        renderer: of its clips; None where none are made.
        trial: of its clips; None where all are wanted.
        keep_bytes: how much may be kept.
    """

    def __init__(
        self,
        media: MediaFile,
        watch: Watch,
        renderer: Renderer | None,
        trial: Trial | None,
        keep_bytes: int,
    ) -> None:
        self._media = media
        self._watch = watch
        self._renderer = renderer
        self._trial = trial
        looks = [look for one in (renderer, trial) if one for look in one.looks]
        sounds = [sound for one in (renderer, trial) if one for sound in one.sounds]
        rate = media.sound.rate if media.sound else None
        assert media.frames is not None
        self._kept = Kept(media.frames, looks, sounds, keep_bytes, rate)
        ticks = (1 / exact(look.fps) for look in looks if look.fps)
        self._overhang = max((_OVERHANG_SECONDS, *ticks))
        self._waiting: deque[Span] = deque()
        self._needed = Fraction(0)

    def spans(self, end: Fraction) -> Iterator[Span]:
        """Yield the spans of clips, each as soon as it is final, while what it needs is kept."""
        watch, kept = self._watch, self._kept
        seen = len(watch.wants)
        wants = [*watch.wants, Want(Frames()), *map(Want, kept.sounds)]
        for piece in self._media.decode(wants):
            if isinstance(piece, Sound):
                kept.hear(kept.sounds[piece.want - seen - 1], piece)
            elif piece.want == seen:
                kept.hold(piece)
            else:
                final = watch.take(piece)
                if piece.want == 0:
                    self._settle(final, watch.decided_seconds)
                    yield from self._ready(piece.seconds)
        self._settle(watch.finish(end), end)
        yield from self._ready(None)

    def _settle(self, spans: Sequence[Span], decided: Fraction) -> None:
        for span in spans:
            self._kept.settle(span.start, span.end)
            self._waiting.append(span)
        self._kept.settle(self._watch.open_start, decided)

    def _ready(self, now: Fraction | None) -> Iterator[Span]:
        """Yield final spans whose sound has come to its end; None when all has come."""
        waiting = self._waiting
        while waiting and (now is None or waiting[0].end + self._overhang <= now):
            yield waiting.popleft()
        needed = waiting[0].start if waiting else self._watch.open_start
        if needed is not self._needed:
            self._kept.forget(needed)
            self._needed = needed

    def passes(self, clip: Clip) -> bool:
        """Judge a clip by what is kept; whether it is to be made now."""
        return self._trial.passes(clip, self._kept) if self._trial else True

    def render(self, clip: ClipWork) -> Rendered | ProcessError | None:
        """Make a clip of what is kept; None when something of it is missing."""
        assert self._renderer is not None
        self._renderer.begin(clip)
        parts: list[Iterator[tuple[Fraction, int, Any]]] = []
        for number, want in enumerate(clip.wants):
            pieces = self._kept.of(want)
            if pieces is None:
                clip.abandon()
                return None
            parts.append(_timed(pieces, number))
        for _, number, piece in merge(*parts, key=lambda part: part[0]):
            clip.take(number, piece)
        return clip.finish()


def _timed(
    pieces: Iterable[Picture | Sound], number: int
) -> Iterator[tuple[Fraction, int, Picture | Sound]]:
    """Yield pieces with their times and the number of the want that they are for."""
    for piece in pieces:
        yield time_of(piece), number, piece
