"""From when to when a source sounds."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from clipmill.media.pyav import as_fraction, decode_packet, known_time

# Packets that a decoder may swallow before the first sound: a broken start, or a bit reservoir.
_MAX_SILENT_PACKETS = 64


@dataclass(frozen=True, slots=True)
class SoundIndex:
    """The main audio of a source.

    Args:
        rate: samples per second of each channel.
        channels: how many.
        layout: libav's name of their arrangement, such as ``stereo``.
        start_seconds: first sample, in exact seconds from time zero; negative where sound begins
            before the first frame is shown.
        duration_seconds: how long, as the packets say.
        start: first sample by the file's own clock, in exact seconds.
        time_base: seconds per tick of that clock.
    """

    rate: int
    channels: int
    layout: str
    start_seconds: Fraction
    duration_seconds: Fraction
    start: Fraction
    time_base: Fraction

    @property
    def end_seconds(self) -> Fraction:
        """Where sound ends, in exact seconds from time zero."""
        return self.start_seconds + self.duration_seconds


class SoundIndexBuilder:
    """Takes an audio stream's packets in the order of the file and makes the index.

    The first of them are decoded: only the decoder knows how many samples of its start-up it drops.

    Args:
        stream: the audio.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._time_base = as_fraction(stream.time_base) or Fraction(1)
        self._first: Any = None
        self._tries = 0
        self._start: int | None = None
        self._end: int | None = None
        self._length = self._moved = 0
        self._second = round(1 / self._time_base)

    def add(self, packet: Any) -> None:
        """Note one packet; those without data are none."""
        duration, pts = packet.duration or 0, known_time(packet.pts)
        self._length += duration
        if pts is not None:
            if self._end is not None and pts + self._moved < self._end - self._second:
                self._moved = self._end - pts  # the clock jumped back, as in joined broadcasts
            pts += self._moved
            self._start = pts if self._start is None else min(self._start, pts)
            end = pts + duration
            self._end = end if self._end is None else max(self._end, end)
        if self._first is None and self._tries < _MAX_SILENT_PACKETS:
            self._tries += 1
            frames, _ = decode_packet(self._stream.codec_context, packet)
            self._first = frames[0] if frames else None

    def finish(self, zero: Fraction | None) -> SoundIndex | None:
        """The index; None when nothing could be decoded.

        Args:
            zero: time zero by the file's own clock in seconds; None for the first sample.
        """
        first = self._first
        if first is None or not first.sample_rate:
            return None
        pts = first.pts if first.pts is not None else self._start
        start = (pts or 0) * self._time_base
        end = (self._end or self._length) * self._time_base
        return SoundIndex(
            rate=first.sample_rate,
            channels=len(first.layout.channels),
            layout=first.layout.name,
            start_seconds=start - zero if zero is not None else Fraction(0),
            duration_seconds=max(end - start, Fraction(first.samples, first.sample_rate)),
            start=start,
            time_base=self._time_base,
        )
