"""From when to when a source sounds."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from clipmill.media.clock import MISSING, astray, known_times
from clipmill.media.pyav import as_fraction, decode_packet

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
        self._pts, self._durations = array("q"), array("q")
        self._length = 0

    def add(self, packet: Any) -> None:
        """Note one packet; those without data are none."""
        duration, pts = packet.duration or 0, packet.pts
        self._length += duration
        if pts is not None:
            self._pts.append(pts)
            self._durations.append(duration)
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
        pts, durations = known_times(np.array(self._pts)), np.array(self._durations)
        durations, pts = durations[pts != MISSING], pts[pts != MISSING]
        begin = first.pts if first.pts is not None else int(min(pts, default=0))
        start = begin * self._time_base
        end = self._end(pts, durations) * self._time_base
        return SoundIndex(
            rate=first.sample_rate,
            channels=len(first.layout.channels),
            layout=first.layout.name,
            start_seconds=start - zero if zero is not None else Fraction(0),
            duration_seconds=max(end - start, Fraction(first.samples, first.sample_rate)),
            start=start,
            time_base=self._time_base,
        )

    def _end(self, pts: np.ndarray[Any, Any], durations: np.ndarray[Any, Any]) -> int:
        """Where sound ends in ticks; where the clock jumps back, what follows goes on."""
        right = ~astray(pts, self._time_base)
        pts, durations = pts[right], durations[right]
        if not len(pts):
            return self._length
        back = np.flatnonzero(np.diff(pts) < -round(1 / self._time_base)) + 1
        for start in back:
            pts[start:] += pts[start - 1] + durations[start - 1] - pts[start]
        return int((pts + durations).max())
