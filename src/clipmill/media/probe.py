"""What a media file is, from one open of it: containers, codecs, exact times, whole or broken."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from clipmill.core.errors import ProcessError
from clipmill.io.stretch import Place, read_at
from clipmill.media import colors
from clipmill.media.facts import AudioFacts, Probe, VideoFacts
from clipmill.media.geometry import displayed_size
from clipmill.media.pyav import (
    as_fraction,
    describe_format,
    known_time,
    main_audio,
    main_video,
    open_media,
    video_streams,
)
from clipmill.media.timeline import NeedsWalkError, Timeline, read_timelines

_ROTATION = re.compile(r"^ +display ?matrix: rotation of (-?\d+(?:\.\d+)?)", re.M | re.I)
_SHORTFALL_SECONDS = 0.5
# Four frames with two bytes per pixel: what decoders hold at the least.
_DECODER_BYTES_PER_PIXEL = 8
_DECODER_BYTES = 4_000_000
# These say how long they are; of others libav makes an estimate from what is there.
_DECLARES_DURATION = frozenset({"matroska,webm", "avi", "flv", "asf", "wav", "flac", "aiff", "caf"})


def probe(path: Place, *, keyframes: bool = False) -> Probe:
    """Learn what a media file is from one open of it; nothing is decoded on purpose.

    Args:
        path: a local file, or a stretch of one.
        keyframes: also list when each key frame is shown, which reads the whole file.

    Raises:
        ProcessError: the file is no media, is of a kind that is not opened, has no packets at all,
            or is coded in a way that cannot be decoded here.
    """
    with open_media(path) as container:
        return probe_container(container, path, keyframes=keyframes)


def probe_unread(container: Any, path: Place) -> Probe:
    """As ``probe``, of a file already open whose packets are to be read afterwards.

    The head of most mp4s tells all; other files are opened once more.
    """
    try:
        return probe_container(container, path, may_walk=False)
    except NeedsWalkError:
        return probe(path)


def probe_container(
    container: Any,
    path: Place,
    *,
    keyframes: bool = False,
    plain: bool = False,
    may_walk: bool = True,
) -> Probe:
    """As ``probe``, of a file already open; its packets may be used up afterwards.

    Args:
        container: the open file.
        path: where it lies.
        keyframes: also list when each key frame is shown.
        plain: it is known to be neither turned nor in Dolby Vision, which takes time to tell.
        may_walk: whether packets may be used up.

    Raises:
        NeedsWalkError: they may not, but there is no other way to tell when they play.
    """
    video = main_video(container)
    first = main_audio(container)
    sounds = sorted(container.streams.audio, key=lambda stream: stream is not first)
    streams = [*([video] if video else []), *sounds]
    timelines = read_timelines(container, streams, path, keyframes=keyframes, may_walk=may_walk)
    _refuse_unusable(streams, timelines)
    # Libav's summary alone names such side data.
    summary = describe_format(container) if video and not plain else ""
    video_facts = _video_facts(video, timelines[video.index], summary) if video else None
    audio = [_audio_facts(stream, timelines[stream.index]) for stream in sounds]
    if video_facts and _is_undecodable(video_facts):
        refuse_without_memory(video_facts)
    main = (
        timelines[streams[0].index]
        if video
        else max(timelines.values(), key=lambda line: line.duration_seconds or 0)
    )
    return Probe(
        container=_container_name(container, path),
        duration_seconds=_seconds(main.duration_seconds or _declared_seconds(container)),
        start_seconds=_seconds(main.start_seconds),
        bit_rate=known_time(container.bit_rate) or None,
        integrity=_integrity(container, video_facts, timelines.values()),
        video=video_facts,
        video_stream_count=len(video_streams(container)),
        audio=audio,
        subtitle_languages=[_language(stream) for stream in container.streams.subtitles],
    )


def _refuse_unusable(streams: Sequence[Any], timelines: dict[int, Timeline]) -> None:
    if not streams:
        raise ProcessError("it holds nothing but pictures", error_class="no_streams")
    if not any(line.count for line in timelines.values()):
        broken = any(line.missing for line in timelines.values())
        raise ProcessError(
            f"it announces {len(streams)} streams, but holds no data of any",
            error_class="truncated" if broken else "no_packets",
        )
    if streams[0].codec_context is None:
        raise ProcessError(
            f"there is no decoder for its {streams[0].type}",
            error_class="unsupported_codec",
        )


def _video_facts(stream: Any, line: Timeline, summary: str) -> VideoFacts:
    context = stream.codec_context
    rotation = _rotation(summary, stream.index) if summary else 0
    ratio = as_fraction(stream.sample_aspect_ratio)
    width, height = displayed_size(context.width, context.height, ratio, rotation)
    pixels = context.format
    depth = max((part.bits for part in pixels.components), default=None) if pixels else None
    return VideoFacts(
        codec=context.codec.canonical_name,
        profile=context.profile,
        pixel_format=pixels.name if pixels else None,
        bit_depth=depth,
        width=width or None,
        height=height or None,
        coded_width=context.width or None,
        coded_height=context.height or None,
        rotation_degrees=rotation,
        sample_aspect_ratio=_seconds(ratio),
        average_frame_rate=_seconds(line.average_rate or as_fraction(stream.average_rate)),
        real_frame_rate=_seconds(as_fraction(stream.guessed_rate)),
        variable_frame_rate=line.uneven,
        frame_count=line.count,
        frame_count_source=line.source,
        keyframe_seconds=line.keyframe_seconds,
        start_pts=line.start_pts,
        duration_pts=line.duration_pts,
        time_base_numerator=line.time_base.numerator,
        time_base_denominator=line.time_base.denominator,
        duration_seconds=_seconds(line.duration_seconds),
        bit_rate=context.bit_rate or line.bit_rate,
        color_primaries=colors.PRIMARIES.get(context.color_primaries),
        color_transfer=colors.TRANSFERS.get(context.color_trc),
        color_space=colors.SPACES.get(context.colorspace),
        color_range=colors.RANGES.get(context.color_range),
        hdr=colors.hdr_kind(context, depth, dolby_vision="DOVI configuration record" in summary),
        interlaced=None if not context.field_order else context.field_order > 1,
        has_alpha=bool(pixels and any(part.is_alpha for part in pixels.components))
        or stream.metadata.get("alpha_mode") == "1",
        language=_language(stream),
    )


def _audio_facts(stream: Any, line: Timeline) -> AudioFacts:
    context = stream.codec_context
    return AudioFacts(
        codec=context.codec.canonical_name if context else "unknown",
        sample_rate=(context.sample_rate or None) if context else None,
        channels=(context.channels or None) if context else None,
        layout=context.layout.name if context and context.channels else None,
        bit_rate=(context.bit_rate if context else None) or line.bit_rate,
        language=_language(stream),
        start_seconds=_seconds(line.start_seconds),
        duration_seconds=_seconds(line.duration_seconds),
    )


def _rotation(summary: str, stream_index: int) -> int:
    """The clockwise turn that libav's summary gives for a stream, to the nearest right angle."""
    part = re.split(r"^  Stream #0:", summary, flags=re.M)[1 + stream_index]
    found = _ROTATION.search(part)
    # Libav counts counter-clockwise.
    return round(-float(found[1]) / 90) * 90 % 360 if found else 0


def _integrity(container: Any, video: VideoFacts | None, lines: Iterable[Timeline]) -> str:
    lines = list(lines)
    if any(line.missing for line in lines):
        return "truncated"
    if any(line.corrupt for line in lines):
        return "corrupt"
    declared = _declared_seconds(container)
    ends = [line.end_seconds for line in lines if line.end_seconds is not None]
    # A subtitle may outlast sound and picture.
    complete = container.format.name in _DECLARES_DURATION and not container.streams.subtitles
    if complete and declared and ends and max(ends) + _SHORTFALL_SECONDS < declared:
        return "truncated"
    if video and _is_undecodable(video):
        return "undecodable"
    return "ok"


def _is_undecodable(video: VideoFacts) -> bool:
    return video.pixel_format is None or not video.width


def refuse_without_memory(video: VideoFacts) -> None:
    """Tell a broken picture from one there was no memory for, which libav does not tell.

    Raises:
        ProcessError: a few frames of its size would not fit.
    """
    pixels = (video.coded_width or 0) * (video.coded_height or 0)
    size = max(pixels * _DECODER_BYTES_PER_PIXEL, _DECODER_BYTES)
    try:
        mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError as error:
        raise ProcessError(
            f"there is not enough memory to decode {video.coded_width}x{video.coded_height} video",
            error_class="out_of_memory",
        ) from error


def _declared_seconds(container: Any) -> float | None:
    microseconds = known_time(container.duration)
    return microseconds / 1e6 if microseconds and microseconds > 0 else None


def _container_name(container: Any, path: Place) -> str:
    name: str = container.format.name
    if name.startswith("mov,"):
        return "mov" if container.metadata.get("major_brand", "").strip() == "qt" else "mp4"
    if name.startswith("matroska"):
        return "webm" if b"webm" in read_at(path, 0, 64) else "matroska"
    return name


def _language(stream: Any) -> str | None:
    language: str | None = stream.metadata.get("language")
    return language if language and language != "und" else None


def _seconds(value: Fraction | float | None) -> float | None:
    return None if value is None else float(value)
