"""Which frames a video holds and when each is shown, learnt from one walk over its packets."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from clipmill.core.time import ROUNDED_SECONDS, Span
from clipmill.media.clock import MISSING, astray, forward, known_times
from clipmill.media.edit_list import PresentedEnd
from clipmill.media.pyav import as_fraction

# What a stream without any times is taken to have, as libav does.
_UNKNOWN_RATE = Fraction(25)
_VP8_SHOWN = 0x10
_BLOCK = 1 << 14


@dataclass(frozen=True, slots=True, eq=False)
class FrameIndex:
    """Every frame of one video in order of showing; nothing was decoded to learn it.

    Frames that an edit list or a discard flag hides are left out, and so are those whose data lie
    beyond the end of a truncated file.

    Args:
        pts: int64 (frames,), when each frame is shown, in ticks. Where a file's clock jumps back,
            what follows goes on where the part before it ends.
        keyframe: bool (frames,), whether each frame can be decoded without others.
        time_base: seconds per tick.
        end_pts: where the last frame ends, exclusive, in ticks.
        packet: int64 (frames,), each frame's packet, counted in order of decoding.
        packets: what is known of each packet, in order of decoding.
        ordered_by_decoder: the file does not say in which order its frames are shown; the
            decoder's order is theirs, and such a file is decoded from its start.
    """

    pts: np.ndarray[Any, Any]
    keyframe: np.ndarray[Any, Any]
    time_base: Fraction
    end_pts: int
    packet: np.ndarray[Any, Any]
    packets: Packets
    ordered_by_decoder: bool

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def first_pts(self) -> int:
        """When the first frame is shown, in ticks: time zero of the source."""
        return int(self.pts[0])

    @property
    def end_seconds(self) -> Fraction:
        """Where the last frame ends, in exact seconds from time zero."""
        return (self.end_pts - self.first_pts) * self.time_base

    def seconds(self, number: int) -> Fraction:
        """When a frame is shown, in exact seconds from time zero."""
        # Asked at every frame: twice as fast as multiplying by a fraction.
        base = self.time_base
        ticks = int(self.pts[number]) - int(self.pts[0])
        return Fraction(ticks * base.numerator, base.denominator)

    def duration(self, number: int) -> int:
        """How long a frame is shown, in ticks."""
        after = self.pts[number + 1] if number + 1 < len(self) else self.end_pts
        return int(after - self.pts[number])

    @property
    def leeway(self) -> Fraction:
        """By less than this a frame may be said to start or end later than it does, in seconds.

        It counts for files of any kind, since packets keep rounded times wherever they are moved.
        """
        return min(ROUNDED_SECONDS, self.end_seconds / len(self) / 4)

    def at(self, time: Fraction) -> int:
        """The number of the last frame that starts at or before a time, or 0.

        One that is said to start later, but not by the leeway, is taken to start there.
        """
        ticks = self.first_pts - -(time + self.leeway) // self.time_base
        return max(int(np.searchsorted(self.pts, ticks)) - 1, 0)

    def count_times(self, start: Fraction, end: Fraction, rate: Fraction) -> int:
        """How many of the times ``start + k / rate`` lie before an end that may be rounded up.

        The first one does as long as the end comes after the start.
        """
        count = -((start + self.leeway - end) * rate // 1)
        return max(int(count), 1) if end > start else 0

    def within(self, span: Span) -> range:
        """The numbers of the frames that start within a span, whose ends may be rounded."""
        return range(self._starting(span.start), self._starting(span.end))

    def _starting(self, time: Fraction) -> int:
        """The number of the first frame that starts at a time or later, or earlier by the leeway.

        What starts at the very time is meant before what starts within the leeway of it.
        """
        ticks = self.first_pts + -(-time // self.time_base)
        number = int(np.searchsorted(self.pts, ticks))
        if number > 0 and not (number < len(self) and self.seconds(number) == time):
            number -= time - self.seconds(number - 1) < self.leeway
        return number


@dataclass(frozen=True, slots=True, eq=False)
class Packets:
    """The packets of one video in order of decoding, as int64 and bool arrays.

    Args:
        number: the number of the frame each packet holds, -1 where none is shown.
        keyframe: whether decoding can begin there.
        time: when each is shown or would be, in ticks, as ``FrameIndex.pts``.
        pts: as in the file, in ticks; the least int64 when missing.
        size: bytes.
        temporal_layers: frames that seem to be needed by no other may be needed by those of a
            higher layer.
    """

    number: np.ndarray[Any, Any]
    keyframe: np.ndarray[Any, Any]
    time: np.ndarray[Any, Any]
    pts: np.ndarray[Any, Any]
    size: np.ndarray[Any, Any]
    temporal_layers: bool


class IndexBuilder:
    """Takes a video's packets in the order of the file and makes the index.

    Args:
        stream: the video.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._time_base = as_fraction(stream.time_base) or Fraction(1)
        codec = stream.codec_context.codec.canonical_name
        self._is_vp8, self._is_hevc = codec == "vp8", codec == "hevc"
        self._has_layers = False
        self._last: Any = None
        self._rows: list[tuple[int, int, int, int, bool, bool]] = []
        self._blocks: list[np.ndarray[Any, Any]] = []

    def add(self, packet: Any) -> None:
        """Note one packet; those without data are none."""
        if len(self._rows) == _BLOCK:
            self._pack()
        shown = not packet.is_discard
        if self._is_vp8 and shown:
            shown = bool(memoryview(packet)[0] & _VP8_SHOWN)
        if self._is_hevc and not self._has_layers:
            self._has_layers = _temporal_layer(memoryview(packet)) > 0
        pts, dts = packet.pts, packet.dts
        self._rows.append(
            (
                MISSING if pts is None else pts,
                MISSING if dts is None else dts,
                packet.duration or 0,
                packet.size,
                packet.is_keyframe,
                shown,
            )
        )
        self._last = packet

    def _pack(self) -> None:
        # Tuples of a day-long video would take a gigabyte.
        block = np.array(self._rows, dtype=np.int64).reshape(-1, 6)
        block[:, :2] = known_times(block[:, :2])
        self._blocks.append(block)
        self._rows.clear()

    def finish(self, presented: PresentedEnd | None = None) -> FrameIndex | None:
        """The index; None when no frame is shown.

        Args:
            presented: where the file says that it ends.
        """
        if self._last is not None and self._last.is_corrupt:
            # The end of a truncated file; one amid others is often whole.
            self._rows[-1] = (*self._rows[-1][:-1], False)
        self._pack()
        raw_pts, dts, duration, size, keyframe, shown = np.concatenate(self._blocks).T
        keyframe, shown = keyframe.astype(bool), shown.astype(bool)
        if not shown.any():
            return None
        pts, is_timed = self._times(raw_pts, dts)
        if is_timed:
            second = round(1 / self._time_base)
            pts = forward(pts, duration, keyframe & shown, second)
        serials = np.flatnonzero(shown)
        serials = serials[np.argsort(pts[serials], kind="stable")]
        number = np.full(len(shown), -1, dtype=np.int64)
        number[serials] = np.arange(len(serials))
        packets = Packets(number, keyframe, pts, raw_pts, size, self._has_layers)
        pts = pts[serials]
        end = _end(pts, int(duration[serials[-1]]))
        is_whole = len(shown) == self._stream.frames
        if presented and is_whole and serials[-1] != serials.max():
            last = int(pts[-1])
            end = presented.of_last_frame(last, end - last, int(duration.max()), self._time_base)
        return FrameIndex(
            pts=pts,
            keyframe=keyframe[serials],
            time_base=self._time_base,
            end_pts=end,
            packet=serials,
            packets=packets,
            ordered_by_decoder=not is_timed or self._tells_no_order(serials, pts),
        )

    def _times(
        self, pts: np.ndarray[Any, Any], dts: np.ndarray[Any, Any]
    ) -> tuple[np.ndarray[Any, Any], bool]:
        """Every packet's time, and whether the file gave any."""
        pts = np.where(pts == MISSING, dts, pts)
        known = (pts != MISSING) & ~astray(pts, self._time_base)
        if known.all():
            return pts, True
        rate = as_fraction(self._stream.average_rate) or _UNKNOWN_RATE
        order = np.arange(len(pts))
        # Exact as long as a frame lasts whole ticks, which raw streams' time bases see to.
        even = np.array([round(n / rate / self._time_base) for n in range(len(pts))], np.int64)
        if not known.any():
            return even, False
        before = np.maximum.accumulate(np.where(known, order, -1))
        after = np.flatnonzero(known)[0]
        anchor = np.where(before < 0, after, before)
        return np.where(known, pts, pts[anchor] + even[order] - even[anchor]), True

    def _tells_no_order(self, serials: np.ndarray[Any, Any], pts: np.ndarray[Any, Any]) -> bool:
        """Whether times are made up, so that they do not tell the order of showing.

        An AVI has no times of showing, an MPEG program stream has them for some frames; libav
        makes up the others, in the order of decoding or some of them twice.
        """
        if (np.diff(pts) == 0).any():
            return True
        is_avi = self._stream.container.format.name == "avi"
        reorders = bool(self._stream.codec_context.has_b_frames)
        return is_avi and reorders and bool((np.diff(serials) > 0).all())


def _temporal_layer(data: memoryview) -> int:
    """The layer of an HEVC packet, from the header of its first unit (H.265, 7.3.1.2)."""
    # Both a start code and a length take three or four bytes.
    header = 3 if bytes(data[:3]) == b"\0\0\1" else 4
    return max((data[header + 1] & 7) - 1, 0) if len(data) > header + 1 else 0


def _end(pts: np.ndarray[Any, Any], last_duration: int) -> int:
    if last_duration > 0 or len(pts) < 2:
        return int(pts[-1]) + max(last_duration, 1)
    # The last packet says no length: it lasts as long as those before it on average.
    return int(pts[-1]) + max(round(int(pts[-1] - pts[0]) / (len(pts) - 1)), 1)
