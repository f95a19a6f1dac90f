"""Splitting and rendering a source in one decode: runs in a media process.

While detectors look for the end of a scene, its pictures are kept as the clip will show them, and
the clip is encoded as soon as its span is final. What does not fit the byte budget meanwhile is
left for a second decode. The clips are the same, bit for bit, as those of ``render_clips``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from heapq import merge
from pathlib import Path
from typing import Any

from clipmill.core.edit import Edit
from clipmill.core.errors import ProcessError
from clipmill.core.request import Frames, Want
from clipmill.core.sample import Subtitle
from clipmill.core.time import Span
from clipmill.io.stretch import Place
from clipmill.media.choose import exact
from clipmill.media.clip_work import ClipWork
from clipmill.media.decode import MediaFile, Picture
from clipmill.media.keep import Kept
from clipmill.media.order import ClipOrder, Rendered
from clipmill.media.probe import probe
from clipmill.media.render import Renderer
from clipmill.media.sound import Sound
from clipmill.run.clips import OnePass
from clipmill.steps.split.find import Watch, holds_frame_of
from clipmill.steps.split.given import FoundClip
from clipmill.steps.split.options import SplitOptions
from clipmill.steps.split.result import SplitResult

_OVERHANG_SECONDS = Fraction(1, 10)
"""A clip's last picture may be shown, and its sound heard, for so long beyond its span."""


def split_and_render(
    path: Place,
    options: SplitOptions,
    edit: Edit,
    wanted: Mapping[str, str],
    folder: Path,
    *,
    name: str,
    subtitles: Sequence[Subtitle] = (),
    keep_bytes: int,
) -> OnePass:
    """Find the clips of a source and make them, in one decode as far as that can be.

    Args:
        path: the source, a local file or a stretch of one.
        options: what to split by, and the rules.
        edit: how clips are made.
        wanted: ``video`` and ``audio``, each with the extension wanted.
        folder: where files are written.
        name: what they are called, before the number of the clip.
        subtitles: lines of the source, in all languages.
        keep_bytes: how much of pictures and sound may be kept in memory.

    Raises:
        ProcessError: the source cannot be read, lacks what is wanted, or gives too many clips.
        RecipeError: there is no such detector, or its settings are wrong.
    """
    facts = probe(path)
    with MediaFile(path) as media, ExitStack() as stack:
        renderer = Renderer(media, facts, edit, wanted, stack)
        assert media.frames is not None
        end = media.frames.end_seconds
        watch = Watch(options, media.frame_rate, holds_frame_of(media))
        work = _Pass(media, renderer, watch, keep_bytes)
        spans: list[Span] = []
        made: list[Rendered | ProcessError | None] = []
        for span in work.spans(end):
            order = ClipOrder(f"{name}-{len(spans)}", span, tuple(subtitles))
            spans.append(span)
            made.append(work.render(ClipWork(order, folder)))
        found = [FoundClip(span) for span in spans]
        return OnePass(SplitResult(found, work.watch.cuts, end, media.decoded_seconds), made)


class _Pass:
    """One decode that detectors and clips look at.

    Args:
        media: the open source.
        renderer: of its clips.
        watch: its detectors.
        keep_bytes: how much may be kept.
    """

    def __init__(self, media: MediaFile, renderer: Renderer, watch: Watch, keep_bytes: int) -> None:
        self._media = media
        self._renderer = renderer
        self.watch = watch
        assert media.frames is not None
        self._kept = Kept(media.frames, renderer.looks, renderer.sounds, keep_bytes)
        ticks = (1 / exact(look.fps) for look in renderer.looks if look.fps)
        self._overhang = max((_OVERHANG_SECONDS, *ticks))
        self._waiting: deque[Span] = deque()
        self._needed = Fraction(0)

    def spans(self, end: Fraction) -> Iterator[Span]:
        """Yield the spans of clips, each as soon as it is final, while what it needs is kept."""
        watch, kept = self.watch, self._kept
        seen = len(watch.wants)
        wants = [*watch.wants, *(Want(look) for look in kept.looks)]
        wants += [Want(sound) for sound in kept.sounds]
        for piece in self._media.decode(wants):
            if isinstance(piece, Sound):
                kept.hear(kept.sounds[piece.want - seen - len(kept.looks)], piece)
            elif piece.want >= seen:
                kept.hold(kept.looks[piece.want - seen], piece)
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
        self._kept.settle(self.watch.open_start, decided)

    def _ready(self, now: Fraction | None) -> Iterator[Span]:
        """Yield final spans whose sound has come to its end; None when all has come."""
        waiting = self._waiting
        while waiting and (now is None or waiting[0].end + self._overhang <= now):
            yield waiting.popleft()
        needed = waiting[0].start if waiting else self.watch.open_start
        if needed is not self._needed:
            self._kept.forget(needed)
            self._needed = needed

    def render(self, clip: ClipWork) -> Rendered | ProcessError | None:
        """Make a clip of what is kept; None when something of it is missing."""
        self._renderer.begin(clip)
        parts: list[Iterator[tuple[Fraction, int, Any]]] = []
        for number, want in enumerate(clip.wants):
            pieces = (
                self._kept.pictures(want)
                if isinstance(want.request, Frames)
                else self._kept.pieces(want)
            )
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
        yield piece.seconds if isinstance(piece, Picture) else piece.start_seconds, number, piece
