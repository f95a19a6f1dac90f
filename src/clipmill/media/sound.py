"""Sound as float samples, at exact positions and the wanted rate."""

from __future__ import annotations

import heapq
import itertools
import math
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

from clipmill.core.request import Audio
from clipmill.core.time import MAX_SECONDS, Span
from clipmill.media.pyav import as_fraction, read_only
from clipmill.media.sound_clock import (
    PACKED_FLOAT,
    Samples,
    decoded_sound,
    placed_samples,
    samples_of,
)
from clipmill.media.sound_index import SoundIndex

# Decoders and resamplers need to hear a little before they sound as if they had heard all.
_WARM_UP_SECONDS = 1
# Decoding sound from its start costs some milliseconds a second. A seek comes out bit for bit the
# same but for codecs that fill in noise, such as AAC, whose noise is another one then.
_SEEK_SECONDS = 60
# Channels mixed down are averaged, not added.
_NO_LOUDER = {"rematrix_maxval": "1"}
_ENDLESS = sys.maxsize
_ALL = Span(Fraction(0), Fraction(MAX_SECONDS))


@dataclass(slots=True, eq=False)
class Sound:
    """A piece of sound of one want.

    Args:
        want: index into the wants.
        start_seconds: its first sample, in exact seconds from time zero.
        samples: float32 (channels, N) in [-1, 1].
    """

    want: int
    start_seconds: Fraction
    samples: Samples


def decode_sound(
    container: Any, stream: Any, index: SoundIndex, wants: Sequence[tuple[int, Audio, Span | None]]
) -> Iterator[Sound]:
    """Yield the pieces of sound that are wanted, in order of time.

    Samples of a wanted rate lie at ``index.start_seconds + k / rate``, whatever the span; a span
    holds those with ``start <= time < end``. Where a file has a gap there is silence.

    Args:
        container: open, its packets not yet used up.
        stream: the audio.
        index: from when to when it sounds.
        wants: (index, request, span) of each.
    """
    spans = [span or _ALL for _, _, span in wants]
    begin = math.floor(min(span.start for span in spans) - index.start_seconds - _WARM_UP_SECONDS)
    end = max(span.end for span in spans) - index.start_seconds + _WARM_UP_SECONDS
    read_only(container, [stream])
    begin = begin if _seek(container, stream, index, begin) else 0
    outputs = [_Output(index, request, part, begin) for request, part in _alike(wants).items()]
    frames = decoded_sound(container, stream)
    # A packet may be long, and resamplers lag behind: what one gives early waits for the others.
    waiting: list[tuple[Fraction, int, Sound]] = []
    serial = itertools.count()
    for position, samples in placed_samples(frames, index, begin * index.rate):
        for output in outputs:
            for sound in output.take(samples):
                heapq.heappush(waiting, (sound.start_seconds, next(serial), sound))
        given = min(output.until_seconds for output in outputs)
        while waiting and waiting[0][0] < given:
            yield heapq.heappop(waiting)[2]
        if position >= end * index.rate:
            break
    for output in outputs:
        for sound in output.finish():
            heapq.heappush(waiting, (sound.start_seconds, next(serial), sound))
    while waiting:
        yield heapq.heappop(waiting)[2]


def _seek(container: Any, stream: Any, index: SoundIndex, begin: int) -> bool:
    """Go to some time before a second of sound, if that saves much and stays exact."""
    base = as_fraction(stream.time_base) or Fraction(1)
    # Other containers' clocks are too coarse to tell one sample from the next.
    exact = container.format.name.startswith("mov,") and Fraction(1, index.rate) % base == 0
    # AAC may fill bands with noise that goes on from packet to packet: a seek would change it.
    if not exact or stream.codec_context.name == "aac" or begin < _SEEK_SECONDS:
        return False
    container.seek(round((index.start + begin - _WARM_UP_SECONDS) / base), stream=stream)
    return True


def _alike(
    wants: Sequence[tuple[int, Audio, Span | None]],
) -> dict[Audio, list[tuple[int, Span | None]]]:
    groups: dict[Audio, list[tuple[int, Span | None]]] = {}
    for number, request, span in wants:
        groups.setdefault(request, []).append((number, span))
    return groups


class _Output:
    """One rate and number of channels, and the wants that ask for it."""

    def __init__(
        self,
        index: SoundIndex,
        request: Audio,
        wants: Sequence[tuple[int, Span | None]],
        begin: int,
    ) -> None:
        self._index = index
        self._rate = request.rate or index.rate
        channels = request.channels or index.channels
        # One channel is played on both sides as it is; libav would make it quieter.
        self._copies = channels if index.channels == 1 else 1
        self._channels = channels // self._copies
        layout = index.layout
        if self._channels != index.channels:
            layout = {1: "mono", 2: "stereo"}[self._channels]
        self._resampler = None
        if (self._rate, self._channels) != (index.rate, index.channels):
            self._resampler = av.AudioResampler(
                format=PACKED_FLOAT, layout=layout, rate=self._rate, options=_NO_LOUDER
            )
        # Whole seconds are whole samples at any rate.
        self._position = begin * self._rate
        parts = ((*self._samples_of(span), number) for number, span in wants)
        self._to_come = deque(sorted(parts))
        self._here: list[tuple[int, int, int]] = []

    @property
    def until_seconds(self) -> Fraction:
        """Up to when all of its sound was given, in exact seconds from time zero."""
        return self._index.start_seconds + Fraction(self._position, self._rate)

    def _samples_of(self, span: Span | None) -> tuple[int, int]:
        if span is None:
            return 0, _ENDLESS
        start, end = (
            math.ceil((time - self._index.start_seconds) * self._rate)
            for time in (span.start, span.end)
        )
        return max(start, 0), max(end, 0)

    def take(self, samples: Samples) -> Iterator[Sound]:
        if self._resampler is None:
            yield from self._give(samples)
            return
        packed = np.ascontiguousarray(samples.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format=PACKED_FLOAT, layout=self._index.layout)
        frame.sample_rate = self._index.rate
        frame.time_base = Fraction(1, self._index.rate)
        for part in self._resampler.resample(frame):
            yield from self._give(samples_of(part, self._channels))

    def finish(self) -> Iterator[Sound]:
        for part in self._resampler.resample(None) if self._resampler else ():
            yield from self._give(samples_of(part, self._channels))

    def _give(self, samples: Samples) -> Iterator[Sound]:
        first, count = self._position, samples.shape[1]
        self._position += count
        while self._to_come and self._to_come[0][0] < self._position:
            self._here.append(self._to_come.popleft())
        for start, end, number in self._here:
            low, high = max(start - first, 0), min(end - first, count)
            if low < high:
                time = self._index.start_seconds + Fraction(first + low, self._rate)
                heard = np.clip(samples[:, low:high], -1, 1)
                yield Sound(number, time, np.repeat(heard, self._copies, axis=0))
        self._here = [one for one in self._here if one[1] > self._position]
