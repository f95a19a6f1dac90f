"""Pictures and sound kept while it is not known yet which clip they belong to."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from clipmill.core.request import Audio, Frames, Want
from clipmill.core.time import Span
from clipmill.media.choose import choose
from clipmill.media.decode import Picture
from clipmill.media.frame_index import FrameIndex
from clipmill.media.sound import Sound

_AHEAD_SECONDS = 60


class Kept:
    """What the open scene of a source may still need.

    Pictures are held as they come from the decoder until it is decided where the clip they belong
    to begins, and from then on as that clip will show them, and only those it will show.

    Args:
        index: of the source.
        requests: what is wanted to be seen of clips: every frame, or those that can be told from a
            clip's start alone, so none by ``count``.
        sounds: what is wanted to be heard of them.
        limit_bytes: how much is kept; a clip that needs more is not kept at all.
        sound_rate: of the source, in samples/s; for those who want its own.
    """

    def __init__(
        self,
        index: FrameIndex,
        requests: Sequence[Frames],
        sounds: Sequence[Audio],
        limit_bytes: int,
        sound_rate: int | None,
    ) -> None:
        self._index = index
        self._requests = list(dict.fromkeys(requests))
        self.sounds = list(dict.fromkeys(sounds))
        """Requests for all of the sound, to be heard."""
        self._limit_bytes = limit_bytes
        self._rates = {sound: sound.rate or sound_rate or 1 for sound in self.sounds}
        self._held: deque[Picture] = deque()
        self._shown: dict[Frames, dict[int, Picture]] = {one: {} for one in self._requests}
        self._heard: dict[Audio, deque[Sound]] = {sound: deque() for sound in self.sounds}
        self._bytes = 0
        self._start = Fraction(0)
        self._wanted: dict[Frames, set[int]] = {one: set() for one in self._requests}
        self._wanted_until = Fraction(0)
        self._blind = False
        self._deaf_until = Fraction(0)

    def hold(self, picture: Picture) -> None:
        """Keep a picture until it is decided where it belongs; each of the source's must come."""
        self._held.append(picture)

    def hear(self, request: Audio, sound: Sound) -> None:
        """Keep a piece of sound."""
        self._heard[request].append(sound)
        self._bytes += sound.samples.nbytes

    def settle(self, start: Fraction, until: Fraction) -> None:
        """Say what is decided: up to a time, pictures belong to a clip with this start, or to none.

        Args:
            start: in seconds from the source's first frame.
            until: likewise; later pictures may belong to another clip.
        """
        if start is not self._start and start != self._start:
            self._start, self._blind, self._wanted_until = start, False, start
            self._wanted = {one: set() for one in self._requests}
        if not self._blind:
            self._choose(until)
        while self._held and self._held[0].seconds < until:
            picture = self._held.popleft()
            for request in self._requests if not self._blind else ():
                if picture.number in self._wanted[request]:
                    self._show(request, picture)
        if self._bytes + self._held_bytes() > self._limit_bytes:
            self._give_up()

    def forget(self, before: Fraction) -> None:
        """Let go of what lies before a time, in seconds: nothing needs it any more."""
        for shown in self._shown.values():
            while shown and next(iter(shown.values())).seconds < before:
                self._bytes -= size_of(shown.pop(next(iter(shown))))
        for request, heard in self._heard.items():
            while heard and _end(heard[0], self._rates[request]) <= before:
                self._bytes -= heard.popleft().samples.nbytes

    def of(self, want: Want) -> Sequence[Picture | Sound] | None:
        """What is wanted, as ``MediaFile.decode`` gives it; None when something was not kept."""
        if isinstance(want.request, Frames):
            return self._pictures(want.request, want.span)
        return self._pieces(want.request, want.span)

    def _pictures(self, request: Frames, span: Span | None) -> list[Picture] | None:
        choice = choose(request, span, self._index)
        shown = self._shown.get(request, {})
        found = []
        for number, repeat in zip(choice.numbers.tolist(), choice.repeats.tolist(), strict=True):
            if number not in shown:
                return None
            if shown[number].keyframe or not choice.keyframes_only:
                found.append(replace(shown[number], repeat=repeat))
        return found

    def _pieces(self, request: Audio, span: Span | None) -> list[Sound] | None:
        if request not in self._heard or span is None or span.start < self._deaf_until:
            return None
        cut = (_cut(sound, self._rates[request], span) for sound in self._heard[request])
        return [sound for sound in cut if sound]

    def _choose(self, until: Fraction) -> None:
        """Find out which frames a clip shows that begins at the start and has no end yet."""
        if until <= self._wanted_until:
            return
        self._wanted_until = until + _AHEAD_SECONDS
        open_clip = Span(self._start, self._wanted_until)
        for request in self._requests:
            self._wanted[request] = set(choose(request, open_clip, self._index).numbers.tolist())

    def _show(self, request: Frames, picture: Picture) -> None:
        """Keep a picture as clips show it, and let go of the one that came from the decoder."""
        shown = self._shown[request][picture.number] = picture.as_shown(request)
        self._bytes += size_of(shown)

    def _held_bytes(self) -> int:
        return len(self._held) * _size(self._held[0].source) if self._held else 0

    def _give_up(self) -> None:
        """Keep nothing of the open clip: another decode will make it."""
        self._blind = True
        self._held.clear()
        for shown in self._shown.values():
            shown.clear()
        for request, heard in self._heard.items():
            if heard:
                self._deaf_until = max(self._deaf_until, _end(heard[-1], self._rates[request]))
            heard.clear()
        self._bytes = 0


def size_of(piece: Picture | Sound) -> int:
    """How much memory what is kept of a piece takes, in bytes."""
    return _size(piece.frame) if isinstance(piece, Picture) else piece.samples.nbytes


def _size(frame: Any) -> int:
    return sum(plane.buffer_size for plane in frame.planes)


def _end(sound: Sound, rate: int) -> Fraction:
    return sound.start_seconds + Fraction(sound.samples.shape[1], rate)


def _cut(sound: Sound, rate: int, span: Span) -> Sound | None:
    """The samples of a piece that lie within a span."""
    first = math.ceil((span.start - sound.start_seconds) * rate)
    last = math.ceil((span.end - sound.start_seconds) * rate)
    first, last = max(first, 0), min(last, sound.samples.shape[1])
    if first >= last:
        return None
    start = sound.start_seconds + Fraction(first, rate)
    return Sound(sound.want, start, sound.samples[:, first:last])
