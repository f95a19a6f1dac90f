"""Judging the clips of a source and making those that pass in one decode: runs in a media process.

Where clips lie is known before. While steps look at a clip, its pictures and its sound are kept as
its files will have them; once its conditions are told, it is made of these or they are let go. Of
what takes more than the byte budget meanwhile, clips are left for another decode.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from functools import partial
from pathlib import Path

from clipmill.core.errors import ProcessError
from clipmill.core.request import Want
from clipmill.core.seen import Cell
from clipmill.io.stretch import Place
from clipmill.media.clip_work import ClipWork
from clipmill.media.decode import MediaFile, Picture, time_of
from clipmill.media.keep import size_of
from clipmill.media.render import Renderer
from clipmill.media.sound import Sound
from clipmill.run.clips import Judged, Making, TriedClips
from clipmill.run.trial import cell_of, look_of
from clipmill.run.verdicts import Tier, Verdicts
from clipmill.steps.base import Annotate
from clipmill.steps.load import StepOrder
from clipmill.steps.observe import begin
from clipmill.steps.ready import ready_step


def judge_and_render(
    path: Place,
    samples: Sequence[Judged],
    *,
    orders: Sequence[StepOrder],
    tier: Tier,
    verdicts: Verdicts,
    making: Making,
    keep_bytes: int,
) -> TriedClips:
    """Let steps see clips, tell conditions, and make the files of those that pass.

    Args:
        path: the source, a local file or a stretch of one.
        samples: the clips, each with its order; they may overlap.
        orders: all steps, by their numbers.
        tier: the steps, none of them in batches, and the conditions.
        verdicts: tells conditions.
        making: how clips are made.
        keep_bytes: how much of their pictures and sound may be kept in memory.

    Raises:
        ProcessError: the source cannot be read, or lacks what is wanted.
        RunError: a step has a programming error, or could not be set up.
        UserError: a value of a condition cannot be worked out.
    """
    steps = {number: ready_step(orders[number]) for number in tier.steps}
    with MediaFile(path, probes=True) as media, ExitStack() as stack:
        renderer = Renderer(media, making.edit, making.wanted, stack)
        room = _Room(keep_bytes)
        clips = [_Clip(one, steps, renderer, making.folder, room) for one in samples]

        def judge(clip: _Clip) -> None:
            clip.sample.cells |= clip.said()
            verdicts.drop([clip.sample], tier.conditions, making.folder)
            clip.make()

        _show(media, clips, judge)
        return TriedClips(
            [clip.sample.cells for clip in clips],
            [clip.sample.made for clip in clips],
            float(media.decoded_seconds),
        )


class _Room:
    """How much may still be kept, in bytes."""

    def __init__(self, size: int) -> None:
        self.left = size


class _Clip:
    """One clip: what steps see of it, and what its files will be made of.

    Args:
        sample: the clip.
        steps: set up, by their numbers.
        renderer: of the source's clips.
        folder: where files are written.
        room: of all clips.
    """

    def __init__(
        self,
        sample: Judged,
        steps: Mapping[int, Annotate],
        renderer: Renderer,
        folder: Path,
        room: _Room,
    ) -> None:
        assert sample.order is not None
        self.sample = sample
        self.looks = {number: look_of(sample, number, step) for number, step in steps.items()}
        self.work = ClipWork(sample.order, folder)
        renderer.begin(self.work)
        self._room = room
        self._size = 0
        self._pieces: list[tuple[int, Picture | Sound]] | None = []
        self._error: ProcessError | None = None

    def keep(self, want: int, piece: Picture | Sound) -> None:
        """Keep what a file is made of, unless it becomes too much."""
        if self._pieces is None:
            return
        if isinstance(piece, Picture):
            piece = piece.as_shown()
        size = size_of(piece)
        self._size += size
        self._room.left -= size
        if self._room.left < 0:
            self._let_go()
        else:
            self._pieces.append((want, piece))

    def said(self) -> dict[int, Cell]:
        """What steps say of it, now that all of it has come."""
        return {number: cell_of(look) for number, look in self.looks.items()}

    def fail(self, error: ProcessError) -> None:
        """The source cannot be read any further."""
        self._error = error
        for look in self.looks.values():
            look.fail(error)

    def make(self) -> None:
        """Make its files of what was kept, if it was not dropped; or leave them for later."""
        pieces = self._pieces
        if self.sample.outcome.status != "success" or pieces is None:
            self.work.abandon()
        else:
            for want, piece in pieces:
                self.work.take(want, piece)
            if self._error is not None:
                self.work.fail(self._error)
            self.sample.made = self.work.finish()
        self._let_go()

    def _let_go(self) -> None:
        self._pieces = None
        self._room.left += self._size
        self._size = 0


def _show(media: MediaFile, clips: Sequence[_Clip], judge: Callable[[_Clip], None]) -> None:
    """Give everyone what they want in order of time, and judge each clip when it is over."""
    takers: list[tuple[Want, Callable[[Picture | Sound], None]]] = []
    ends: list[tuple[Fraction, int]] = []
    waiting = set(begin(media, [look for clip in clips for look in clip.looks.values()]))
    for number, clip in enumerate(clips):
        looks = [look for look in clip.looks.values() if look in waiting]
        mine = [(look.want, look.take) for look in looks if look.want]
        mine += [(want, partial(clip.keep, n)) for n, want in enumerate(clip.work.wants)]
        takers += mine
        spans = [want.span for want, _ in mine if want.span]
        heapq.heappush(ends, (max((span.end for span in spans), default=Fraction(0)), number))
    try:
        for piece in media.decode([want for want, _ in takers]):
            while ends and ends[0][0] <= time_of(piece):
                judge(clips[heapq.heappop(ends)[1]])
            takers[piece.want][1](piece)
    except ProcessError as error:
        for _, number in ends:
            clips[number].fail(error)
    for _, number in sorted(ends):
        judge(clips[number])
