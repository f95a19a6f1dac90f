"""Clips as copies: packets of a source as they are, from a key frame on, rebased to zero."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from clipmill.core.errors import ProcessError
from clipmill.core.time import Span
from clipmill.media.check_copy import Original, check_copy
from clipmill.media.clip_writer import MadeFile
from clipmill.media.decode import MediaFile
from clipmill.media.facts import Probe
from clipmill.media.file_work import heard_within
from clipmill.media.frame_index import FrameIndex
from clipmill.media.packets import PacketSource
from clipmill.media.prepare import new_file
from clipmill.media.probe import probe
from clipmill.media.write_packets import (
    container_for,
    merged,
    timed_packets,
    write_packets,
)

# More than any codec puts between the order of decoding and that of showing.
_AHEAD_PACKETS = 64
_KEPT_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Stretch:
    """Packets of a video that can be shown by themselves.

    Args:
        first: the first packet, counted in order of decoding.
        stop: the packet after the last one.
        numbers: of the frames shown; packets of others are left out.
    """

    first: int
    stop: int
    numbers: range


def find_stretch(index: FrameIndex, span: Span) -> Stretch:
    """The packets to copy for a span.

    They begin with the key frame at or before the span's first frame. They end as soon as all
    frames of the span are there and none is missing among those shown: a few frames later at most
    where frames are not decoded in the order they are shown in.

    Args:
        index: of the source.
        span: in exact seconds.

    Raises:
        ProcessError: no frame starts within the span (``empty_span``), or there is no key frame to
            begin with (``cannot_copy``).
    """
    wanted = index.within(span)
    if not wanted:
        raise _empty(span)
    if index.ordered_by_decoder:
        raise _cannot("the file does not say in which order its frames are shown")
    keys = np.flatnonzero(index.keyframe[: wanted.start + 1])
    if not len(keys):
        # What the first frames depend on is hidden; the first key frame after them has to do.
        keys = np.flatnonzero(index.keyframe[: wanted.stop])[:1]
    if not len(keys):
        raise _cannot("there is no key frame to begin with")
    start = int(keys[-1])
    first = int(index.packet[start])
    ahead, whole = _AHEAD_PACKETS, np.empty(0, dtype=bool)
    while not whole.any():  # what lies far ahead need not be looked at
        end = int(index.packet[wanted].max()) + ahead
        numbers = index.packets.number[first:end]
        kept = np.cumsum(numbers >= start)
        latest = np.maximum.accumulate(numbers)
        whole = (kept == latest - start + 1) & (latest + 1 >= wanted.stop)
        if end >= len(index.packets.number):
            break
        ahead *= 2
    last = int(np.argmax(whole)) if whole.any() else len(numbers) - 1
    return Stretch(first, first + last + 1, range(start, int(latest[last]) + 1))


def cut_copy(
    source: PacketSource, media: MediaFile, span: Span, target: Path, *, facts: Probe, sound: bool
) -> MadeFile:
    """Write the packets of a span into a file of their own.

    Args:
        source: the packets.
        media: the same file.
        span: wanted, in exact seconds from the source's first frame.
        target: where to; its suffix names the container.
        facts: what the source is.
        sound: whether its main audio goes along.

    Raises:
        ProcessError: they cannot be copied (``cannot_copy``, ``empty_span``), the container does
            not hold the codecs (``container_mismatch``), or what was written is not what was read
            (``clip_check_failed``).
    """
    index = media.frames
    if index is None:
        raise ProcessError(
            "it holds sound alone, but video is wanted", error_class="no_video_stream"
        )
    stretch = find_stretch(index, span)
    actual = shown_span(index, stretch.numbers)
    sound = sound and media.sound is not None and heard_within(media.sound, actual) is not None
    streams = [source.video, *([source.audio] if sound and source.audio else [])]
    sounds: Iterator[Any] = iter(())
    sample = Fraction(1)
    if len(streams) > 1:
        sounds, sample = source.sound(actual, container_for(target).muxer), source.sample_seconds
    shown = _Shown(source, index, stretch)
    packets = merged(shown.timed(), index.time_base, sounds, sample)
    write_packets(target, streams, index.time_base, packets)
    original = Original(source.video, facts, media.coded_aspect_ratio)
    row = check_copy(target, original, shown.packets(), len(stretch.numbers))
    return MadeFile(new_file(target), actual, len(stretch.numbers), None, row)


def cut_sound(source: PacketSource, span: Span, target: Path) -> MadeFile:
    """Write the packets of the main audio that are heard within a span into a file of their own.

    Args:
        source: the packets.
        span: in exact seconds from the source's first frame.
        target: where to; its suffix names the container.

    Raises:
        ProcessError: the container does not hold the codec (``container_mismatch``), or there is
            no sound within the span (``empty_span``).
    """
    packets = ((0, packet) for packet in source.sound(span, container_for(target).muxer))
    first = next(packets, None)
    if first is None:
        raise _empty(span)
    write_packets(target, [source.audio], None, itertools.chain([first], packets))
    return MadeFile(new_file(target), span, 0, None, probe(target).row())


def shown_span(index: FrameIndex, numbers: range) -> Span:
    """From when the first of some frames is shown until the last of them no longer is."""
    is_last = numbers.stop >= len(index)
    end = index.end_seconds if is_last else index.seconds(numbers.stop)
    return Span(index.seconds(numbers.start), end)


class _Shown:
    """The packets of a stretch that are shown.

    Unless they are many, they are kept from writing them to comparing them with what was written.
    """

    def __init__(self, source: PacketSource, index: FrameIndex, stretch: Stretch) -> None:
        self._source = source
        self._index = index
        self._stretch = stretch
        serials = slice(stretch.first, stretch.stop)
        self._numbers = index.packets.number[serials]
        self._are_shown = self._numbers >= stretch.numbers.start
        self._are_shown &= self._numbers < stretch.numbers.stop
        self._keeps = int(index.packets.size[serials].sum()) <= _KEPT_BYTES
        self._kept: list[Any] = []

    def packets(self) -> Iterator[Any]:
        """Those packets, in order of decoding."""
        if self._keeps and not self._kept:
            self._kept = list(self._read())
        return iter(self._kept) if self._keeps else self._read()

    def timed(self) -> Iterator[Any]:
        """Yield them timed from the stretch's first frame."""
        index, numbers = self._index, self._stretch.numbers
        zero = int(index.pts[numbers.start])
        is_last = numbers.stop >= len(index)
        end = index.end_pts if is_last else int(index.pts[numbers.stop])
        pts = index.pts[self._numbers[self._are_shown]] - zero
        yield from timed_packets(self.packets(), pts, end - zero)

    def _read(self) -> Iterator[Any]:
        packets = self._source.pictures(self._index, self._stretch.first)
        return itertools.compress(packets, self._are_shown.tolist())


def _empty(span: Span) -> ProcessError:
    return ProcessError(
        f"nothing of the source begins within {span.start_seconds:g}-{span.end_seconds:g} s",
        error_class="empty_span",
    )


def _cannot(reason: str) -> ProcessError:
    return ProcessError(
        f"packets cannot be copied: {reason}; take precision exact", error_class="cannot_copy"
    )
