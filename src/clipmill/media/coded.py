"""Coded packets as they are, without what containers add to them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import av

from clipmill.core.seen import CodedPacket
from clipmill.core.time import Span
from clipmill.media.frame_index import FrameIndex
from clipmill.media.h264 import split_stream
from clipmill.media.pulse import beat
from clipmill.media.pyav import main_audio, main_video, read_only
from clipmill.media.sound_index import SoundIndex

# Parameter sets, delimiters and filler (H.264, table 7-1; H.265, table 7-1).
_H264_ASIDE = frozenset({7, 8, 9, 12})
_HEVC_ASIDE = frozenset({32, 33, 34, 35, 38})
_ADTS_HEADER, _ADTS_CHECKED_HEADER = 7, 9


def read_coded(
    container: Any,
    frames: FrameIndex | None,
    sound: SoundIndex | None,
    spans: Sequence[Span],
) -> Iterator[tuple[int, CodedPacket]]:
    """Yield the packets of spans, each with the number of its span, in the order of the file.

    Args:
        container: just opened.
        frames: of its main video, or None.
        sound: of its main audio, or None.
        spans: which packets are a span's, ``core.request.Packets`` says.
    """
    whole = [number for number, span in enumerate(spans) if _has_all(span, frames, sound)]
    parts: dict[int, range] = {}
    if frames is not None and not frames.ordered_by_decoder:
        found = ((number, frames.within(span)) for number, span in enumerate(spans))
        parts = {number: part for number, part in found if number not in whole}
    kinds: dict[int, Literal["video", "audio"]] = {}
    video, audio = main_video(container), main_audio(container)
    if frames is not None and video is not None:
        kinds[video.index] = "video"
    if sound is not None and audio is not None and whole:
        kinds[audio.index] = "audio"
    streams = [stream for stream in container.streams if stream.index in kinds]
    read_only(container, streams)
    strip = {stream.index: stripper(stream) for stream in streams}
    serial = itertools.count()
    for packet in _packets(container, streams):
        kind, takers = kinds[packet.stream_index], whole
        if kind == "video" and frames is not None:
            shown = int(frames.packets.number[next(serial)])
            takers = whole + [number for number, part in parts.items() if shown in part]
        if takers:
            coded = CodedPacket(kind, strip[packet.stream_index](bytes(packet)))
            yield from ((number, coded) for number in takers)


def stripper(stream: Any) -> Callable[[bytes], bytes]:
    """What takes from a stream's packets that which only its container adds.

    Args:
        stream: of an open file.
    """
    codec, extra = stream.codec_context.codec.canonical_name, stream.codec_context.extradata or b""
    if codec == "aac":
        return _without_adts
    if codec not in ("h264", "hevc"):
        return lambda data: data
    # An mp4's description of the stream begins with its version, 1; others with a start code.
    has_lengths, place = extra[:1] == b"\1", 4 if codec == "h264" else 21
    length_size = (extra[place] & 3) + 1 if has_lengths and len(extra) > place else 0

    def strip(data: bytes) -> bytes:
        units = _by_length(data, length_size) if length_size else _by_start_code(data)
        if codec == "h264":
            return b"".join(unit for unit in units if unit[0] & 31 not in _H264_ASIDE)
        return b"".join(unit for unit in units if unit[0] >> 1 & 63 not in _HEVC_ASIDE)

    return strip


def _has_all(span: Span, frames: FrameIndex | None, sound: SoundIndex | None) -> bool:
    """Whether a span has every frame; of sound alone, all of that."""
    if frames is not None:
        return len(frames.within(span)) == len(frames)
    return sound is None or (span.start <= sound.start_seconds and sound.end_seconds <= span.end)


def _packets(container: Any, streams: list[Any]) -> Iterator[Any]:
    """Those with data; of a broken file as many as can be read."""
    try:
        for packet in container.demux(*streams):
            beat()
            if packet.size:
                yield packet
    except av.error.InvalidDataError:
        pass


def _by_length(data: bytes, length_size: int) -> Iterator[bytes]:
    position = 0
    while position + length_size < len(data):
        begin = position + length_size
        position = begin + int.from_bytes(data[position:begin], "big")
        if unit := data[begin:position]:
            yield unit


def _by_start_code(data: bytes) -> Iterator[bytes]:
    # A unit never ends with a zero; those that follow it belong to the next start code.
    return (unit for part in split_stream(data) if (unit := part.rstrip(b"\0")))


def _without_adts(data: bytes) -> bytes:
    """AAC without the header that streams have in front of each frame (ISO/IEC 13818-7, 6.2)."""
    if len(data) < _ADTS_HEADER or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return data
    return data[_ADTS_HEADER if data[1] & 1 else _ADTS_CHECKED_HEADER :]
