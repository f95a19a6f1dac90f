"""When a stream's packets play, from the container's own table or from a walk over the packets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av

from clipmill.io.stretch import Place, mapped, size_of
from clipmill.media.edit_list import PresentedEnd, presented_end
from clipmill.media.pulse import beat
from clipmill.media.pyav import as_fraction, known_time, read_only

# Gaps between frames that differ by this many ticks are rounding, not a variable frame rate.
_ROUNDING_TICKS = 2
_UNEVEN_SHARE = 0.02
_PRESENT_SHARE = 0.95


class NeedsWalkError(Exception):
    """When packets play can only be learnt by a walk over them."""


@dataclass(slots=True)
class Timeline:
    """The packets of one stream.

    Args:
        time_base: seconds per tick.
        source: ``index`` or ``packets``.
        count: packets that are shown and whose data are in the file.
        size: their bytes.
        start_pts: first timestamp in ticks, or None.
        duration_pts: duration in ticks, or None.
        average_rate: frames per second, where the container's own figure cannot be trusted.
        keyframe_seconds: when key frames are shown, from the first frame; None when not asked for.
        uneven: whether gaps between frames differ; None when they cannot be known.
        missing: whether data that the container speaks of lie beyond the end of the file.
        corrupt: whether packets could not be read.
    """

    time_base: Fraction
    source: str
    count: int = 0
    size: int = 0
    start_pts: int | None = None
    duration_pts: int | None = None
    average_rate: Fraction | None = None
    keyframe_seconds: list[float] | None = None
    uneven: bool | None = None
    missing: bool = False
    corrupt: bool = False

    @property
    def start_seconds(self) -> Fraction | None:
        """First timestamp in exact seconds."""
        return None if self.start_pts is None else self.start_pts * self.time_base

    @property
    def duration_seconds(self) -> Fraction | None:
        """Duration in exact seconds."""
        return None if self.duration_pts is None else self.duration_pts * self.time_base

    @property
    def end_seconds(self) -> Fraction | None:
        """End of the last packet in exact seconds."""
        if self.start_pts is None or self.duration_pts is None:
            return None
        return (self.start_pts + self.duration_pts) * self.time_base

    @property
    def bit_rate(self) -> int | None:
        """Average bits per second."""
        duration = self.duration_seconds
        return round(self.size * 8 / duration) if duration and self.size else None


@dataclass(slots=True)
class _Packets:
    pts: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    end: int = 0
    size: int = 0
    count: int = 0
    corrupt: bool = False
    keyframes: list[int] = field(default_factory=list)


def read_timelines(
    container: Any, streams: Sequence[Any], place: Place, *, keyframes: bool, may_walk: bool = True
) -> dict[int, Timeline]:
    """The timeline of each stream, by stream index.

    An mp4 keeps a table of all its packets in its head, so reading that is enough as long as its
    frames are evenly spaced; of anything else the packets are walked.

    Args:
        container: an open container; its packets may be used up afterwards.
        streams: what to look at.
        place: what is open.
        keyframes: whether to list key frames of videos, which needs the walk.
        may_walk: whether packets may be used up.

    Raises:
        NeedsWalkError: they may not, but there is no other way.
    """
    lines = {
        stream.index: Timeline(as_fraction(stream.time_base) or Fraction(1), "index")
        for stream in streams
    }
    is_mp4 = container.format.name.startswith("mov,")
    has_table = is_mp4 and all(stream.frames for stream in streams)
    if has_table:
        file_size = size_of(place)
        for stream in streams:
            _from_index(stream, file_size, lines[stream.index])
        walked = [s for s in streams if _needs_walk(s, lines[s.index], keyframes=keyframes)]
    else:
        walked = list(streams)
    if walked and not may_walk:
        raise NeedsWalkError
    if walked:
        _walk(container, place, walked, lines, keyframes=keyframes)
    if is_mp4 and not has_table and _ends_within_box(place):
        for line in lines.values():
            line.missing = True
    return lines


def _needs_walk(stream: Any, line: Timeline, *, keyframes: bool) -> bool:
    # The table holds decoding times; evenly decoded frames are evenly shown, and no others.
    return line.missing or (stream.type == "video" and (keyframes or line.uneven is not False))


def _from_index(stream: Any, file_size: int, line: Timeline) -> None:
    times = []
    for entry in stream.index_entries:
        size = entry.size
        if entry.pos + size > file_size:
            line.missing = True
            continue
        line.size += size
        if not entry.is_discard:
            times.append(entry.timestamp)
    line.count = len(times)
    line.start_pts = known_time(stream.start_time)
    duration = known_time(stream.duration)
    line.duration_pts = duration if duration and duration > 0 else None
    if stream.type == "video":
        line.uneven = _is_uneven(times)


def _walk(
    container: Any,
    place: Place,
    streams: Sequence[Any],
    lines: dict[int, Timeline],
    *,
    keyframes: bool,
) -> None:
    read_only(container, streams)
    seen = {stream.index: _Packets() for stream in streams}
    broken = False
    try:
        for packet in container.demux(*streams):
            beat()
            if packet.size and not packet.is_discard:
                _note(packet, seen[packet.stream_index])
    except av.error.InvalidDataError:
        broken = True
    for stream in streams:
        line, packets = lines[stream.index], seen[stream.index]
        line.source, line.count, line.size = "packets", packets.count, packets.size
        line.corrupt = broken or packets.corrupt
        _set_times(stream, packets, line, presented_end(place, stream))
        if container.format.name == "avi" and stream.type == "video":
            # Its head says how many frames there are, and each lasts a tick.
            end = (line.start_pts or 0) + (line.duration_pts or 0)
            line.missing = end < _PRESENT_SHARE * stream.frames
        if keyframes and stream.type == "video":
            first = line.start_pts or 0
            line.keyframe_seconds = [
                float((pts - first) * line.time_base) for pts in sorted(packets.keyframes)
            ]


def _note(packet: Any, packets: _Packets) -> None:
    if packet.is_corrupt:
        packets.corrupt = True
        return
    packets.count += 1
    packets.size += packet.size
    pts = known_time(packet.pts)
    if pts is None:
        return
    packets.pts.append(pts)
    packets.durations.append(packet.duration or 0)
    packets.end = max(packets.end, pts + (packet.duration or 0))
    if packet.is_keyframe:
        packets.keyframes.append(pts)


def _set_times(
    stream: Any, packets: _Packets, line: Timeline, presented: PresentedEnd | None
) -> None:
    rate = as_fraction(stream.average_rate) if stream.type == "video" else None
    if not packets.pts:
        # A raw stream has no timestamps; its frame rate, if any, is all there is.
        if rate and packets.count:
            line.duration_pts = round(packets.count / rate / line.time_base)
        return
    times = sorted(packets.pts)
    line.start_pts = times[0]
    end = packets.end
    if end <= times[-1] and len(times) > 1:
        # The last packet says no length: it lasts as long as those before it on average.
        end = times[-1] + round((times[-1] - times[0]) / (len(times) - 1))
    is_whole = stream.type == "video" and packets.count == stream.frames
    if presented and is_whole and packets.pts[-1] != times[-1]:
        duration = packets.durations[packets.pts.index(times[-1])]
        longest = max(packets.durations)
        end = presented.of_last_frame(times[-1], duration, longest, line.time_base)
    line.duration_pts = end - times[0] if end > times[0] else None
    if stream.type == "video":
        line.uneven = _is_uneven(times)
        # Libav's own average may cover one fragment, or the first frames only.
        is_mp4 = stream.container.format.name.startswith("mov,")
        if line.duration_seconds and (rate is None or line.uneven or is_mp4):
            line.average_rate = packets.count / line.duration_seconds


def _ends_within_box(place: Place) -> bool:
    """Whether the last top-level box of an mp4 is longer than the file."""
    with mapped(place) as (data, position, end):
        while position + 8 <= end:
            head = data[position : min(position + 16, end)]
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:], "big")
            if length < 8:
                # 0 means "to the end of the file"; the rest is padding or nonsense.
                return False
            position += length
    return position > end


def _is_uneven(times: list[int]) -> bool | None:
    if len(times) < 3:
        return None
    gaps = [later - earlier for earlier, later in pairwise(times)]
    typical = sorted(gaps)[len(gaps) // 2]
    # Where a frame is hardly longer than a tick, there is nothing to round.
    tolerance = _ROUNDING_TICKS if typical > 2 * _ROUNDING_TICKS else 0
    return max(gaps) - min(gaps) > max(tolerance, _UNEVEN_SHARE * typical)
