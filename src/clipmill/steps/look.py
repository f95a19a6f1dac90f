"""One sample as one step sees it: pieces of it go in, and what the step says comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from clipmill.core.errors import ProcessError
from clipmill.core.request import Audio, Frames, Packets, Want
from clipmill.core.seen import Cell, CodedPacket, Seen
from clipmill.core.time import Span
from clipmill.media.decode import MediaFile, Picture
from clipmill.media.sound import Sound
from clipmill.steps.base import Annotate, InBatches, InStretches
from clipmill.steps.judge import failed, judged, tried

STRETCH_BYTES = 8_000_000
SAMPLE_BYTES = 512_000_000
"""Frames or sound of one sample that a step may be shown at once."""


@dataclass(frozen=True, slots=True)
class Showing:
    """One sample of the source, and the steps that are to say something of it.

    Args:
        key: the sample's.
        span: the stretch of the source that it is; None for all of it.
        row: the columns that steps read.
        steps: which of the steps, by their numbers.
    """

    key: str
    span: Span | None
    row: Mapping[str, Any]
    steps: tuple[int, ...]


@dataclass(slots=True)
class _Held:
    """Pieces that a look has not passed on yet."""

    pictures: list[tuple[Any, float, int, int]] = field(default_factory=list)
    sounds: list[Any] = field(default_factory=list)
    packets: list[CodedPacket] = field(default_factory=list)
    sound_start: Fraction | None = None
    size: int = 0


class Look:
    """What one step sees of one sample.

    Args:
        showing: the sample.
        step: one of its steps, set up.

    Attributes:
        span: the stretch of the source that it is; cut off at the source's end by ``begin``.
    """

    def __init__(self, showing: Showing, step: Annotate) -> None:
        self._showing = showing
        self._step = step
        self._held = _Held()
        self._memory: Any = None
        self._cell: Cell | Seen | None = None
        self._seconds = 0.0
        self._has_begun = False
        self._rate: int | None = None
        self.span = showing.span or Span(Fraction(0), Fraction(1))
        self._row = {name: showing.row.get(name) for name in step.reads}

    @property
    def want(self) -> Want | None:
        """What is to be decoded for it; None where it takes packets as they are."""
        request = self._step.wants
        assert request is not None
        return None if isinstance(request, Packets) else Want(request, self.span)

    def begin(self, media: MediaFile, end: Fraction) -> bool:
        """Settle the span; whether anything is to be decoded for it."""
        whole = Span(Fraction(0), end) if end > 0 else None
        asked = self._showing.span or whole
        if asked is None or (whole and asked.start >= end):
            self._cell = failed("empty_span", "its span holds nothing of the source")
            return False
        self.span = asked if whole is None else Span(asked.start, min(asked.end, end))
        request = self._step.wants
        if request is None:
            return False
        there = {Frames: media.frames, Audio: media.sound}
        if there.get(type(request), media) is None:
            self._cell = Cell("absent")
            return False
        if isinstance(request, Audio) and media.sound is not None:
            self._rate = request.rate or media.sound.rate
        return True

    def take(self, piece: Picture | Sound | CodedPacket) -> None:
        """The next frame, piece of sound or packet of the sample."""
        if self._cell is not None:
            return
        held = self._held
        if isinstance(piece, Picture):
            pixels = piece.pixels
            if held.pictures and pixels.shape != held.pictures[-1][0].shape:
                held = self._at_new_size()
            since = float(piece.seconds - self.span.start)
            held.pictures.append((pixels, since, piece.number, piece.repeat))
            held.size += pixels.nbytes
        elif isinstance(piece, CodedPacket):
            held.packets.append(piece)
            held.size += len(piece.data)
        elif piece.samples.shape[1]:
            held.sound_start = piece.start_seconds if not held.sounds else held.sound_start
            held.sounds.append(piece.samples)
            held.size += piece.samples.nbytes
        if isinstance(self._step, InStretches):
            if held.size >= STRETCH_BYTES:
                self._pass_on()
        elif held.size > SAMPLE_BYTES:
            self._cell = failed(
                "too_much_to_see",
                f"more than {SAMPLE_BYTES:,} bytes of it would have to be seen at once: split it "
                "into clips, or want fewer or smaller frames",
            )
            self._held = _Held()

    def _at_new_size(self) -> _Held:
        """Pass on what is held: pictures of one size are shown together."""
        if isinstance(self._step, InStretches):
            self._pass_on()
        else:
            self._cell = failed(
                "size_changes",
                "its pictures change size on the way: want frames of a given size, or split it",
            )
            self._held = _Held()
        return self._held

    def finish(self) -> None:
        """The sample is over."""
        if self._cell is not None:
            return
        if self._step.wants is not None and not self._held.size and not self._has_begun:
            self._cell = Cell("absent")
        elif isinstance(self._step, InStretches):
            if self._held.size or not self._has_begun:
                self._pass_on()
            if self._cell is None:
                step, memory = self._step, self._memory
                self._judge(lambda: [step.end(memory)])
        elif isinstance(self._step, InBatches):
            self._cell = self._seen()
        else:
            seen = self._seen()
            self._judge(lambda: self._step.annotate([seen]))
        self._held, self._memory = _Held(), None

    def fail(self, error: ProcessError) -> None:
        """The source cannot be read any further."""
        if self._cell is None:
            self._cell = failed(error.error_class, error.message)

    def ending(self) -> Cell | Seen:
        """What became of it."""
        self.finish()
        assert self._cell is not None
        return self._cell

    def _pass_on(self) -> None:
        """Show the step what is held, as a stretch."""
        assert isinstance(self._step, InStretches)
        step, seen = self._step, self._seen()

        def look() -> None:
            if not self._has_begun:
                self._memory = step.begin(seen.key, seen.row, seen.duration_seconds)
            step.see(self._memory, seen)

        problem, seconds = tried(step, seen.key, look)
        self._seconds += seconds
        self._has_begun = True
        self._held = _Held()
        if problem is not None:
            self._cell = problem

    def _judge(self, say: Any) -> None:
        cell, seconds = judged(self._step, self._showing.key, say)
        self._cell = Cell(
            cell.status,
            cell.values,
            cell.error_class,
            cell.error_message,
            round(self._seconds + seconds, 6),
        )

    def _seen(self) -> Seen:
        held, pictures = self._held, self._held.pictures
        frames = isinstance(self._step.wants, Frames) or None
        sound = isinstance(self._step.wants, Audio) and held.sounds
        return Seen(
            key=self._showing.key,
            row=self._row,
            duration_seconds=float(self.span.duration),
            frames=frames and _stacked([one[0] for one in pictures]),
            pts_seconds=frames and np.array([one[1] for one in pictures], np.float64),
            frame_numbers=frames and np.array([one[2] for one in pictures], np.int64),
            repeats=frames and np.array([one[3] for one in pictures], np.int64),
            audio=np.concatenate(held.sounds, axis=1) if sound else None,
            audio_rate=self._rate,
            audio_start_seconds=float((held.sound_start or self.span.start) - self.span.start),
            packets=held.packets if isinstance(self._step.wants, Packets) else None,
        )


def _stacked(pictures: Sequence[Any]) -> Any:
    return np.stack(pictures) if pictures else np.empty((0, 0, 0), np.uint8)
