"""When a track of an mp4 ends by its edit list, which libav reads and does not tell."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from clipmill.io.stretch import Place, mapped
from clipmill.media.sample_tables import boxes

# A last frame that is shown for much longer than any other is a wrong list, or a file cut short.
_LONGEST = 2


@dataclass(frozen=True, slots=True)
class PresentedEnd:
    """Where the presentation of a track ends.

    Args:
        seconds: by the clock of the file.
        precision_seconds: how much it may be off, being rounded.
    """

    seconds: Fraction
    precision_seconds: Fraction

    def of_last_frame(self, pts: int, duration: int, longest: int, time_base: Fraction) -> int:
        """Where the last frame shown ends, in ticks.

        An mp4 has durations in the order of decoding. The last frame shown is often not decoded
        last, and then its duration is what passes until another frame is decoded.

        Args:
            pts: when it is shown, in ticks.
            duration: its duration by the table, in ticks.
            longest: the longest duration of any, in ticks.
            time_base: seconds per tick.
        """
        told = pts + duration
        if abs(told * time_base - self.seconds) <= self.precision_seconds:
            return told  # exact, where the list is rounded
        end = round(self.seconds / time_base)
        return end if pts < end <= pts + _LONGEST * longest else told


def presented_end(place: Place, stream: Any) -> PresentedEnd | None:
    """Where a stream ends by the edit list of its track; None when there is no such list.

    See ISO/IEC 14496-12, 8.2.2 (``mvhd``), 8.3.2 (``tkhd``) and 8.6.6 (``elst``).

    Args:
        place: the open file.
        stream: of an open container.
    """
    if not stream.container.format.name.startswith("mov,") or not stream.frames:
        return None
    timescale, track, ticks = 0, 0, 0
    with mapped(place) as (data, first, last):
        for kind, start, end in boxes(data, first, last):
            if kind == b"mvhd":
                timescale = _number(data, start + (20 if data[start] else 12), 4)
            elif kind == b"tkhd":
                track = _number(data, start + (20 if data[start] else 12), 4)
            elif kind == b"edts" and track == stream.id:
                lists = (one for one in boxes(data, start, end) if one[0] == b"elst")
                ticks = sum(_total_ticks(data, start, end) for _, start, end in lists)
    if not timescale or not ticks:
        return None
    return PresentedEnd(Fraction(ticks, timescale), Fraction(1, timescale))


def _total_ticks(data: mmap.mmap, start: int, end: int) -> int:
    width, size = (8, 20) if data[start] else (4, 12)
    entries = range(start + 8, end - size + 1, size)
    return sum(_number(data, entry, width) for entry in entries)


def _number(data: mmap.mmap, position: int, size: int) -> int:
    return int.from_bytes(data[position : position + size], "big")
