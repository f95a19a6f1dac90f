"""Packets of a source as they are: from any of its frames on, and the sound of any stretch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from operator import attrgetter
from typing import Any, Self

import av

from clipmill.core.time import Span
from clipmill.media.decode import MediaFile
from clipmill.media.frame_index import FrameIndex
from clipmill.media.kept_packets import KeptPackets
from clipmill.media.pulse import beat
from clipmill.media.pyav import (
    as_fraction,
    as_rational,
    known_time,
    main_audio,
    main_video,
    open_media,
    read_only,
)

_SEEK_BACK_SECONDS = Fraction(1)
# Decoders of these need the packet before to get a packet right; an edit list hides it.
_NEEDS_RUN_UP = frozenset({"aac", "mp3", "mp3float", "opus", "libopus", "vorbis"})
_HIDES = frozenset({"mp4", "mov", "ipod"})
_SIZE = attrgetter("size")


class PacketSource:
    """The packets of a file's main video and main audio, as a context manager.

    What the open file has kept is taken from there. Else each stream is read by itself, so that
    seeking for one leaves the other where it is.

    Args:
        media: the open file.

    Attributes:
        video: its main video; None when there is none.
        audio: its main audio; None when there is none that can be decoded.
    """

    video: Any
    audio: Any

    def __init__(self, media: MediaFile) -> None:
        self._path = media.path
        self._kept = {
            index: KeptPackets(packets) for index, packets in (media.packets or {}).items()
        }
        self._zero = Fraction(0)
        if media.frames is not None:
            self._zero = media.frames.first_pts * media.frames.time_base
        elif media.sound is not None:
            self._zero = media.sound.start
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._pictures = self._stack.enter_context(open_media(self._path, unseen=True))
        self._sounds = self._pictures
        if not self._kept:
            self._sounds = self._stack.enter_context(open_media(self._path, unseen=True))
        self.video, audio = main_video(self._pictures), main_audio(self._sounds)
        self.audio = audio if audio is not None and audio.codec_context is not None else None
        if not self._kept:
            read_only(self._pictures, [self.video])
            read_only(self._sounds, [self.audio])
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    @property
    def sample_seconds(self) -> Fraction:
        """How long a sample of the sound lasts."""
        return Fraction(1, self.audio.codec_context.sample_rate)

    def pictures(self, index: FrameIndex, serial: int) -> Iterator[Any]:
        """The packets of the video from one on.

        Args:
            index: of the same file.
            serial: the first packet, counted in order of decoding.
        """
        if self._kept:
            return self._kept[self.video.index].since(serial)
        table = index.packets
        wanted = int(table.pts[serial]), int(table.size[serial])
        for back in (Fraction(0), _SEEK_BACK_SECONDS):
            _seek(self._pictures, self.video, wanted[0] - round(back / index.time_base))
            packets = self._pictures.demux(self.video)
            for packet in packets if back else itertools.islice(packets, 1):
                beat()
                if packet.size == wanted[1] and packet.pts == wanted[0]:
                    return itertools.chain([packet], filter(_SIZE, packets))
        # Not every file can be sought in.
        self._pictures.seek(0)
        packets = self._pictures.demux(self.video)
        return itertools.islice(filter(_SIZE, packets), serial, None)

    def sound(self, span: Span, muxer: str) -> Iterator[Any]:
        """Yield the packets of the audio that are heard within a span, timed in samples.

        Args:
            span: in exact seconds from the source's first frame; its start is time 0 of the
                packets.
            muxer: what they are written with; where it can hide sound before the start, the
                packet that reaches into the span comes along, with its run-up.
        """
        if self.audio is None:
            return
        base, sample = as_fraction(self.audio.time_base) or Fraction(1), self.sample_seconds
        start = self._zero + span.start
        # Samples are the finer measure: an AVI counts sound by the packet. Whole numbers are
        # quicker than fractions: a sample is tick * scale / unit - first / unit.
        unit = math.lcm((base / sample).denominator, (start / sample).denominator)
        scale, first = 2 * int(base / sample * unit), 2 * int(start / sample * unit) - unit
        unit *= 2
        end = math.ceil(span.duration / sample)
        run_up = 2 if self.audio.codec_context.name in _NEEDS_RUN_UP else 1
        early: list[Any] = []
        time_base = as_rational(sample)
        for packet in self._sound_since(int((start - _SEEK_BACK_SECONDS / 2) // base)):
            ticks = packet.pts
            if ticks is None or not packet.size:
                continue
            pts = (ticks * scale - first) // unit
            if pts >= end:
                return
            packet.duration = ((packet.duration or 0) * scale + unit // 2) // unit
            packet.pts = packet.dts = pts
            packet.time_base = time_base
            if pts < 0:
                beat()
                early = [*early, packet][-run_up:]
                continue
            yield from early if muxer in _HIDES else ()
            early = []
            yield packet

    def _sound_since(self, ticks: int) -> Iterator[Any]:
        """The packets of the audio from a time on, or from a little before it."""
        if self._kept:
            return self._kept[self.audio.index].since_ticks(_not_before(self.audio, ticks))
        _seek(self._sounds, self.audio, ticks)
        packets: Iterator[Any] = self._sounds.demux(self.audio)
        return packets


def _seek(container: Any, stream: Any, ticks: int) -> None:
    """Go to a key frame at or before a time; to the start where there is none."""
    try:
        container.seek(_not_before(stream, ticks), stream=stream)
    except av.FFmpegError:
        container.seek(0)


def _not_before(stream: Any, ticks: int) -> int:
    """A time, or the stream's start if that is later."""
    return max(ticks, known_time(stream.start_time) or 0)
