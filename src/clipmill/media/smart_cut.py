"""Clips to the frame that are mostly copies: only the frames at their edges are coded anew.

The edges are coded with parameter sets of their own numbers, which live beside the source's in one
``avcC`` box, so that each picture refers to the sets it was coded with.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from clipmill.core.errors import ProcessError
from clipmill.core.request import Frames, Want
from clipmill.core.time import Span
from clipmill.core.words import counted
from clipmill.media.check import Promise, Thumbnail, check_file, thumbnail
from clipmill.media.clip_writer import MadeFile
from clipmill.media.cut_copy import shown_span
from clipmill.media.encoders import X264_REPEATABLE
from clipmill.media.facts import Probe
from clipmill.media.file_work import heard_within
from clipmill.media.frame_index import FrameIndex
from clipmill.media.h264 import (
    DecoderConfiguration,
    begins_anew,
    split_stream,
    with_lengths,
)
from clipmill.media.packets import PacketSource
from clipmill.media.prepare import new_file
from clipmill.media.sound_index import SoundIndex
from clipmill.media.write_packets import (
    container_for,
    merged,
    timed_packets,
    write_packets,
)

_ENCODER = "libx264"
# As good as the source to the eye, since the edges stand beside it.
_CRF = "18"
_PROFILES = {"Constrained Baseline": "baseline", "Baseline": "baseline", "Main": "main",
             "High": "high"}  # fmt: skip
_MAX_ID = 31
_LOOK_AHEAD_KEYS = 4


class CannotMixError(Exception):
    """A clip cannot be made of copied and coded parts; its message says why."""


@dataclass(slots=True)
class Edge:
    """Frames at one end of a clip that are coded anew.

    Args:
        numbers: of the frames.
        units: of each packet, the NAL units; packets and frames come in the same order.
        sets: parameter sets that they are coded with.
        thumbnails: of the first and the last frame.
        encoder: while they are being coded.
        last: the last frame that went into it.
        fed: how many have been.
    """

    numbers: range
    units: list[list[bytes]] = field(default_factory=list)
    sets: tuple[bytes, ...] = ()
    thumbnails: list[Thumbnail] = field(default_factory=list)
    encoder: Any = None
    last: Any = None
    fed: int = 0


@dataclass(slots=True)
class SmartPlan:
    """Which frames of a clip are coded, which copied, which coded again.

    Args:
        head: coded anew, up to the first key frame.
        copied: their packets are copied.
        first: the first of these packets, counted in order of decoding.
        stop: the packet after the last of them.
        tail: coded anew, after the last place where no copied frame is missing.
        set_id: the number of the parameter sets that edges are coded with.
    """

    head: Edge
    copied: range
    first: int
    stop: int
    tail: Edge
    set_id: int

    @property
    def edges(self) -> list[Edge]:
        """Those that hold frames."""
        return [edge for edge in (self.head, self.tail) if edge.numbers]

    def wants(self, index: FrameIndex) -> list[Want]:
        """What must be decoded for the edges, one want each."""
        return [Want(Frames(), shown_span(index, edge.numbers)) for edge in self.edges]


def plan_smart(
    source: PacketSource, index: FrameIndex, span: Span, facts: Probe, target: Path
) -> SmartPlan:
    """Divide a clip into what is copied and what is coded.

    Raises:
        CannotMixError: the source's pictures cannot stand beside coded ones, or nothing of the
            span can be copied.
    """
    configuration = _refuse_unsuited(source, index, facts, target)
    wanted = index.within(span)
    if not wanted:
        raise CannotMixError("there is no frame in it")
    keys = np.flatnonzero(index.keyframe[wanted.start : wanted.stop])[:_LOOK_AHEAD_KEYS]
    for key in (wanted.start + int(key) for key in keys):
        first = int(index.packet[key])
        packet = next(source.pictures(index, first), None)
        if packet is not None and begins_anew(bytes(packet), configuration.length_size):
            break
    else:
        raise CannotMixError("no group of pictures begins in it")
    numbers = index.packets.number[first:]
    kept = np.cumsum(numbers >= key)
    latest = np.maximum.accumulate(numbers)
    whole = np.flatnonzero((kept == latest - key + 1) & (latest < wanted.stop))
    if not len(whole):
        raise CannotMixError("none of its frames can be shown without later ones")
    last = int(whole[-1])
    copied = range(key, int(latest[last]) + 1)
    set_id = next(n for n in range(1, _MAX_ID + 2) if n not in configuration.ids)
    if set_id > _MAX_ID:
        raise CannotMixError("it has no number left for parameter sets")
    return SmartPlan(
        Edge(range(wanted.start, key)),
        copied,
        first,
        first + last + 1,
        Edge(range(copied.stop, wanted.stop)),
        set_id,
    )


def code_edge(plan: SmartPlan, edge: Edge, source: PacketSource, frame: Any) -> None:
    """Code one more frame of an edge.

    Args:
        plan: of the clip.
        edge: the part of it.
        source: whose profile, level and shape of pixels are kept.
        frame: PyAV's, as stored in the source; None when there are no more.
    """
    if edge.encoder is None:
        edge.encoder = _encoder(source, frame, plan.set_id)
        edge.thumbnails = [thumbnail(frame)]
    if frame is not None:
        edge.last = frame
        frame.pict_type = av.video.frame.PictureType.NONE
        edge.fed += 1
        with _timed(frame, edge.fed, edge.encoder.time_base):
            packets = edge.encoder.encode(frame)
    else:
        packets = edge.encoder.encode(None)
    edge.units += [split_stream(bytes(packet)) for packet in packets]
    if frame is None:
        edge.sets = tuple(split_stream(bytes(edge.encoder.extradata)))
        edge.thumbnails.append(thumbnail(edge.last))
        edge.encoder = edge.last = None


def cut_smart(
    source: PacketSource,
    index: FrameIndex,
    plan: SmartPlan,
    target: Path,
    *,
    sound: SoundIndex | None,
) -> MadeFile:
    """Put the copied and the coded parts of a clip together.

    Args:
        source: the packets.
        index: of the same file.
        plan: of the clip, its edges coded.
        target: where to; its suffix names the container.
        sound: of the main audio, when that goes along.

    Raises:
        CannotMixError: not every frame of the edges could be decoded.
        ProcessError: libav cannot write it (``encode_failed``), or it does not read back as it
            should (``clip_check_failed``).
    """
    if any(len(edge.units) != len(edge.numbers) for edge in plan.edges):
        raise CannotMixError("some of its frames cannot be decoded")
    numbers = range(plan.head.numbers.start, plan.tail.numbers.stop)
    actual = shown_span(index, numbers)
    heard = sound and heard_within(sound, actual)
    streams = [source.video, *([source.audio] if heard and source.audio else [])]
    configuration = DecoderConfiguration.read(bytes(source.video.codec_context.extradata))
    assert configuration is not None
    extradata = configuration.write()
    for edge in plan.edges[:1]:
        sps, pps = ([unit for unit in edge.sets if unit[0] & 31 == kind] for kind in (7, 8))
        extradata = configuration.with_sets(sps, pps).write()
    sounds, sample = iter(()), Fraction(1)
    if len(streams) > 1:
        sounds = source.sound(actual, container_for(target).muxer)
        sample = source.sample_seconds
    pictures = _pictures(source, index, plan, configuration.length_size)
    packets = merged(pictures, index.time_base, sounds, sample)
    write_packets(target, streams, index.time_base, packets, extradata=extradata)
    promise = Promise(
        frame_count=len(numbers),
        seconds=actual.duration,
        last_seconds=index.seconds(numbers[-1]) - actual.start,
        sound_seconds=None,
        thumbnails=(
            plan.head.thumbnails[0] if plan.head.numbers else None,
            plan.tail.thumbnails[1] if plan.tail.numbers else None,
        ),
        decodes_all=True,
    )
    try:
        row = check_file(target, promise)
    except ProcessError:
        target.unlink(missing_ok=True)
        raise
    coded = len(plan.head.numbers) + len(plan.tail.numbers)
    note = f"{counted(len(plan.copied), 'frame')} copied, {coded} coded anew"
    encoder = _ENCODER if coded else None
    return MadeFile(new_file(target), actual, len(numbers), encoder, row, notes=(note,))


@contextmanager
def _timed(frame: Any, pts: int, time_base: Fraction) -> Iterator[None]:
    """Give a frame a time of our own for a while: others may be using it too."""
    before = frame.pts, frame.time_base
    frame.pts, frame.time_base = pts, time_base
    try:
        yield
    finally:
        frame.pts, frame.time_base = before


def _refuse_unsuited(
    source: PacketSource, index: FrameIndex, facts: Probe, target: Path
) -> DecoderConfiguration:
    """What the source's decoder is told, if its pictures can stand beside coded ones."""
    video = facts.video
    if video is None or video.codec != "h264":
        raise CannotMixError("its video is not H.264")
    if video.pixel_format != "yuv420p" or video.interlaced or video.profile not in _PROFILES:
        raise CannotMixError(f"its H.264 is {video.profile}, {video.pixel_format}")
    if index.ordered_by_decoder or (index.packets.number < 0).any():
        raise CannotMixError("the order of its frames is not plain")
    data = bytes(source.video.codec_context.extradata or b"")
    configuration = DecoderConfiguration.read(data)
    if configuration is None:
        raise CannotMixError("its parameter sets are not kept apart")
    kind = container_for(target)
    codec = facts.audio[0].codec if facts.audio else None
    if not kind.holds_video("h264") or (codec and not kind.holds_audio(codec)):
        raise CannotMixError(f"{target.suffix[1:]} does not hold its codecs")
    return configuration


def _encoder(source: PacketSource, frame: Any, set_id: int) -> Any:
    like = source.video.codec_context
    context: Any = av.CodecContext.create(_ENCODER, "w")
    context.width, context.height, context.pix_fmt = frame.width, frame.height, "yuv420p"
    context.time_base = Fraction(1, 25)
    context.framerate = 25
    context.sample_aspect_ratio = source.video.sample_aspect_ratio or Fraction(1)
    context.thread_count = 1
    context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
    context.colorspace, context.color_range = frame.colorspace, frame.color_range
    context.options = {
        "flags": "+bitexact+global_header",
        "preset": "veryfast",
        "crf": _CRF,
        "profile": _PROFILES[like.profile],
        # Without B-frames, packets come in the order of frames.
        "bf": "0",
        "x264-params": f"{X264_REPEATABLE}:sps-id={set_id}",
    }
    return context


def _pictures(
    source: PacketSource, index: FrameIndex, plan: SmartPlan, length_size: int
) -> Iterator[Any]:
    """Yield the packets of all parts, timed from the clip's first frame."""
    shown = index.packets.number[plan.first : plan.stop]
    kept = (shown >= plan.copied.start) & (shown < plan.copied.stop)
    order = np.concatenate(
        [np.asarray(plan.head.numbers), shown[kept], np.asarray(plan.tail.numbers)]
    ).astype(np.int64)
    zero, stop = int(index.pts[plan.head.numbers.start]), plan.tail.numbers.stop
    end = index.end_pts if stop >= len(index) else int(index.pts[stop])
    copies = itertools.compress(source.pictures(index, plan.first), kept.tolist())
    coded = (_coded(edge, length_size, index.time_base) for edge in (plan.head, plan.tail))
    packets = itertools.chain(next(coded), copies, next(coded))
    return timed_packets(packets, index.pts[order] - zero, end - zero)


def _coded(edge: Edge, length_size: int, time_base: Fraction) -> Iterator[Any]:
    for number, units in enumerate(edge.units):
        packet: Any = av.Packet(with_lengths(units, length_size))
        packet.time_base = time_base
        packet.is_keyframe = number == 0 or begins_anew(bytes(packet), length_size)
        yield packet
