"""The decoder's frames in order of showing, each with its number, decoding as little as needed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from itertools import chain
from typing import Any

import av
import numpy as np

from clipmill.core.errors import ProcessError
from clipmill.media.clock import MISSING
from clipmill.media.frame_index import FrameIndex
from clipmill.media.plan import Stretch, earlier, plan
from clipmill.media.pulse import beat
from clipmill.media.pyav import decode_packet, decoder_for, main_video, read_only

# Decoders that leave out a frame no other needs before they decode it, and are none the worse.
_SKIPS_UNNEEDED = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vp8"})
# Containers whose seek lands on the packets that the index knows.
_SEEKABLE = ("mov,", "matroska")
# Reading on costs a few microseconds a packet, a seek some hundred.
_SEEK_PACKETS = 200
_UNKNOWN = np.iinfo(np.int64).max
# How often decoding is begun one key frame earlier when the first frame wanted does not come.
_EARLIER_STARTS = 2


class VideoReader:
    """Decodes the main video of one file.

    Args:
        open_container: opens the file.
        container: the file as opened once already; its packets may be used up.
        index: the video's frames.

    Attributes:
        stream: the video, of the container in use.
    """

    def __init__(
        self, open_container: Callable[[], Any], container: Any, index: FrameIndex
    ) -> None:
        self._open = open_container
        self._index = index
        self._loop_filter = True
        self._first_error: av.FFmpegError | None = None
        self._seeks = True
        self._key_frames_lie: bool | None = None
        self._use(container)

    @property
    def is_interlaced(self) -> bool:
        """Whether the file says that frames hold two fields of different moments."""
        return bool(self.stream.codec_context.field_order > 1)

    def frames(
        self,
        wanted: np.ndarray[Any, Any],
        spare: np.ndarray[Any, Any],
        *,
        loop_filter: bool,
        after: int = -1,
    ) -> Iterator[tuple[int, Any]]:
        """Yield (number, ``av.VideoFrame``) in order of showing; others than the wanted come too.

        A damaged packet costs only itself.

        Args:
            wanted: int64 (N,), numbers of frames, rising.
            spare: bool (frames,), which may be left out if no other frame needs them.
            loop_filter: False to decode without, which is cheaper and not exact.
            after: number of a frame that another reader gave; only later ones are given.

        Raises:
            av.FFmpegError: nothing at all could be decoded.
            ProcessError: likewise, and libav did not say why.
        """
        if loop_filter != self._loop_filter:
            self._loop_filter = loop_filter
            self._open_anew()
        self._first_error = None
        skippable = np.ones(len(self._index.packets.number), dtype=bool)
        skippable[self._index.packet[~spare]] = False
        if not self._can_skip():
            skippable[:] = False
        shown = after
        for number, frame in self._run(wanted, skippable):
            if number > shown:  # a damaged file may tell out of turn
                shown = number
                frame.pts = int(self._index.pts[number])
                frame.time_base = self._index.time_base
                yield number, frame
            if number > wanted[-1]:
                return
        if shown < 0:
            raise self._first_error or ProcessError(
                "none of the frames that were asked for could be decoded", error_class="unreadable"
            )

    def _open_anew(self) -> None:
        self._container.close()
        self._use(self._open())

    def _use(self, container: Any) -> None:
        self._container = container
        stream: Any = main_video(container)
        self.stream, self._decoder = stream, decoder_for(stream)
        if not self._loop_filter:
            self._decoder.options = {**self._decoder.options, "skip_loop_filter": "all"}
        self._place = _UNKNOWN
        read_only(container, [self.stream])
        self._demuxed: Iterator[Any] = container.demux(self.stream)

    def _can_skip(self) -> bool:
        packets = self._index.packets
        codec = self._decoder.codec.canonical_name
        ordered = self._index.ordered_by_decoder
        return codec in _SKIPS_UNNEEDED and not packets.temporal_layers and not ordered

    def _run(
        self, wanted: np.ndarray[Any, Any], skippable: np.ndarray[Any, Any]
    ) -> Iterator[tuple[int, Any]]:
        stretches = plan(self._index, wanted)
        for stretch in stretches:
            if self._key_frames_lie:
                whole = Stretch(0, stretches[-1].last, int(wanted[0]))
                yield from self._decode(whole, skippable)
                return
            yield from self._stretch(stretch, skippable)

    def _stretch(
        self, stretch: Stretch, skippable: np.ndarray[Any, Any]
    ) -> Iterator[tuple[int, Any]]:
        """Decode one stretch, from earlier on if the first frame that is wanted does not come.

        Once, even from the file's start: when that helps, what the file calls key frames are none.
        """
        attempts = [stretch]
        for _ in range(_EARLIER_STARTS):
            attempts.append(earlier(self._index, attempts[-1]))
        if self._key_frames_lie is None:
            attempts.append(stretch._replace(first=0))
        for attempt in attempts:
            frames = self._decode(attempt, skippable)
            first = next(frames, None)
            came = first is not None and _comes_in_time(first, attempt)
            if came or attempt is attempts[-1]:
                break
            frames.close()
        if not attempt.first and stretch.first:
            self._key_frames_lie = came
        if first:
            yield first
            yield from frames

    def _decode(
        self, stretch: Stretch, skippable: np.ndarray[Any, Any]
    ) -> Generator[tuple[int, Any], None, None]:
        index, times = self._index, self._index.packets.time
        packets = self._packets(stretch)
        first = next(packets)  # which may have opened the file anew
        decoder = self._decoder
        if decoder.is_open:
            decoder.flush_buffers()
        decoder.skip_frame = "DEFAULT"
        # What is shown before the key frame that decoding began at was decoded without its like.
        begin = times[stretch.first] if stretch.first else times.min()
        count, skips = 0, False
        for packet in chain([first], packets):
            if packet and skippable[packet.pts] != skips:
                skips = not skips
                decoder.skip_frame = "NONREF" if skips else "DEFAULT"
            frames, error = decode_packet(decoder, packet)
            self._first_error = self._first_error or error
            for frame in frames:
                serial, count = frame.pts, count + 1
                if serial is None or times[serial] < begin:
                    continue
                # The order of a decoder's output is the order of showing, whatever the file says.
                ordered = index.ordered_by_decoder
                number = count - 1 if ordered else int(index.packets.number[serial])
                if 0 <= number < len(index):
                    yield number, frame

    def _packets(self, stretch: Stretch) -> Iterator[Any]:
        """Yield a stretch's packets, each bearing its place for a timestamp, and None to end."""
        self._go_to(stretch.first)
        try:
            for packet in self._demuxed:
                beat()
                if not packet.size:  # an empty one would end the decoder's work
                    continue
                serial = packet.pts = self._place
                self._place = serial + 1
                if serial >= stretch.first:
                    yield packet
                if serial >= stretch.last:
                    break
        except av.error.InvalidDataError:
            self._place = len(self._index.packets.number)  # as the index knows
        yield None

    def _go_to(self, first: int) -> None:
        """Make the next packet the one at a place, or one before it."""
        seekable = self._seeks and self._container.format.name.startswith(_SEEKABLE)
        near = self._place + _SEEK_PACKETS if seekable else len(self._index.packets.number)
        if self._place <= first < near:
            return
        before = self._place
        if not (seekable and self._seek(first)):
            self._open_anew()
            self._place = 0
        # Without a table of key frames a seek may lead to the start, time and again.
        self._seeks = self._seeks and not self._place < before <= first

    def _seek(self, first: int) -> bool:
        """Seek to a packet or one before it; False when it is not known where that led."""
        packets = self._index.packets
        if packets.pts[first] == MISSING:
            return False
        self._container.seek(int(packets.pts[first]), stream=self.stream)
        demuxed = self._container.demux(self.stream)
        packet = next((packet for packet in demuxed if packet.size), None)
        if packet is None or packet.pts is None:
            return False
        same = (packets.pts == packet.pts) & (packets.size == packet.size)
        found = np.flatnonzero(same)
        if len(found) != 1 or found[0] > first:
            return False
        self._place, self._demuxed = int(found[0]), chain([packet], demuxed)
        return True


def _comes_in_time(first: tuple[int, Any], stretch: Stretch) -> bool:
    """Whether a decode began with the key frame that it should, or at least early enough."""
    number, frame = first
    is_key = frame.key_frame or not stretch.first or frame.pts != stretch.first
    return number <= stretch.wanted and is_key
