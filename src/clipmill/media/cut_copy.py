"""Clips as copies: packets of a source as they are, from a key frame on, rebased to zero."""

from __future__ import annotations

import itertools
import mmap
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from clipmill.core.errors import ProcessError
from clipmill.core.time import Span
from clipmill.media.clip_writer import MadeFile
from clipmill.media.decode import MediaFile
from clipmill.media.facts import Probe
from clipmill.media.file_work import heard_within
from clipmill.media.frame_index import FrameIndex
from clipmill.media.h264 import is_refresh
from clipmill.media.packets import PacketSource
from clipmill.media.prepare import new_file
from clipmill.media.probe import probe, probe_container
from clipmill.media.pyav import decode_packet, open_media
from clipmill.media.write_packets import (
    container_for,
    merged,
    timed_packets,
    write_packets,
)


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
    numbers = index.packets.number[first:]
    kept = np.cumsum(numbers >= start)
    latest = np.maximum.accumulate(numbers)
    whole = (kept == latest - start + 1) & (latest + 1 >= wanted.stop)
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
    digest, is_sure = 0, None

    def packets() -> Iterator[tuple[int, Any]]:
        nonlocal digest, is_sure
        muxer = container_for(target).muxer
        sounds = source.sound(actual, muxer)
        pictures = _pictures(source, index, stretch)
        sample = source.sample_seconds if len(streams) > 1 else Fraction(1)
        heard = sounds if len(streams) > 1 else ()
        for output, packet in merged(pictures, index.time_base, heard, sample):
            if output == 0:
                digest = zlib.crc32(packet, digest)
                is_sure = _begins_surely(source.video, packet) if is_sure is None else is_sure
            yield output, packet

    write_packets(target, streams, index.time_base, packets())
    expected = None if _is_rewritten(source.video) else digest
    row = _check(target, len(stretch.numbers), expected, facts, must_decode=not is_sure)
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


def _pictures(source: PacketSource, index: FrameIndex, stretch: Stretch) -> Iterator[Any]:
    """Yield the packets of a stretch that are shown, timed from its first frame."""
    numbers = stretch.numbers
    shown = index.packets.number[stretch.first : stretch.stop]
    kept = (shown >= numbers.start) & (shown < numbers.stop)
    zero = int(index.pts[numbers.start])
    is_last = numbers.stop >= len(index)
    end = index.end_pts if is_last else int(index.pts[numbers.stop])
    packets = itertools.compress(source.pictures(index, stretch.first), kept.tolist())
    return timed_packets(packets, index.pts[shown[kept]] - zero, end - zero)


def _is_rewritten(video: Any) -> bool:
    """Whether a muxer changes how packets are written, as of a broadcast's H.264."""
    context = video.codec_context
    with_start_codes = not bytes(context.extradata or b"").startswith(b"\1")
    return context.name in ("h264", "hevc") and with_start_codes


def _begins_surely(video: Any, packet: Any) -> bool:
    """Whether a key frame is one, without decoding it.

    Of H.264 containers also call those so from which on the picture refreshes little by little.
    """
    context = video.codec_context
    return context.name != "h264" or is_refresh(bytes(packet), bytes(context.extradata or b""))


def _check(
    path: Path, frame_count: int, digest: int | None, source: Probe, *, must_decode: bool
) -> dict[str, Any]:
    """Read a copy again: every packet is there, byte for byte; most need not be decoded."""
    with open_media(path, unseen=True, made_here=True) as container:
        count, seen = _count_packets(container, path)
        container.seek(0)
        facts = probe_container(container, path)
        if must_decode:
            container.seek(0)
            _refuse_late_picture(container.streams.video[0])
    if count != frame_count or digest not in (None, seen):
        raise ProcessError(
            f"the clip was made but holds {count} frames, which are not the {frame_count} of "
            "the source",
            error_class="clip_check_failed",
        )
    return _with_pixels(facts, source).row()


def _refuse_late_picture(video: Any) -> None:
    """Fail unless the first picture comes out of a decoder that begins with its packet."""
    first: int | None = None
    frames: list[Any] = []
    for packet in video.container.demux(video):
        first = packet.pts if first is None else first
        frames, _ = decode_packet(video.codec_context, packet if packet.size else None)
        if frames:
            break
    if not frames or frames[0].pts != first:
        raise _cannot("its key frame shows nothing without the frames before it")


def _count_packets(container: Any, path: Path) -> tuple[int, int]:
    """How many packets the video of a file holds whole, and the checksum of their bytes."""
    video = container.streams.video[0]
    count = seen = 0
    if container.format.name.startswith("mov,"):
        # Its table tells where every packet lies, which is a third of the work of demuxing.
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for entry in video.index_entries:
                start, size = entry.pos, entry.size
                if size and start + size <= len(data):
                    count += 1
                    seen = zlib.crc32(data[start : start + size], seen)
        return count, seen
    for packet in container.demux(video):
        if packet.size:
            count += 1
            seen = zlib.crc32(packet, seen)
    return count, seen


def _with_pixels(facts: Probe, source: Probe) -> Probe:
    """What only a decoder could tell of a copy is what it told of the source."""
    if facts.video is None or source.video is None or facts.video.pixel_format is not None:
        return facts
    names = ["pixel_format", "bit_depth", "has_alpha", "hdr"]
    names += ["color_primaries", "color_transfer", "color_space", "color_range"]
    seen: Mapping[str, Any] = {name: getattr(source.video, name) for name in names}
    integrity = "ok" if facts.integrity == "undecodable" else facts.integrity
    return replace(facts, video=replace(facts.video, **seen), integrity=integrity)


def _empty(span: Span) -> ProcessError:
    return ProcessError(
        f"nothing of the source begins within {span.start_seconds:g}-{span.end_seconds:g} s",
        error_class="empty_span",
    )


def _cannot(reason: str) -> ProcessError:
    return ProcessError(
        f"packets cannot be copied: {reason}; take precision exact", error_class="cannot_copy"
    )
