"""Other containers for the same packets; sound is coded anew only where a container demands it."""

from __future__ import annotations

import heapq
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import av

from clipmill.core.errors import ProcessError
from clipmill.io.stretch import Place
from clipmill.media.channels import coded_layout
from clipmill.media.containers import AUDIO_ONLY, Container, container_of
from clipmill.media.pulse import beat
from clipmill.media.pyav import (
    as_fraction,
    create_media,
    main_audio,
    main_video,
    open_media,
    read_only,
)

_LOSSY_BIT_RATE = {"aac": 192_000, "libmp3lame": 192_000, "libopus": 160_000}
# Tags that say what a stream is; ``alpha_mode`` marks a WebM whose pixels may be transparent.
_KEPT_TAGS = frozenset({"language", "alpha_mode"})
_MAX_TIMESCALE = 2**31


def remux(
    source: Place,
    target: Path,
    *,
    extension: str,
    streams: Literal["all", "audio"] = "all",
    audio_source: Place | None = None,
) -> None:
    """Write the packets of a file into another container, timestamps and bytes as they are.

    The main video and every audio stream are taken, or the main audio alone; subtitles, cover art
    and tags other than the language are left behind. The same input gives the same bytes.

    Args:
        source: a local media file, or a stretch of one.
        target: where to.
        extension: the container wanted, such as ``mp4``, ``mkv``, ``webm`` or ``m4a``.
        streams: ``all``, or ``audio`` for the main audio stream only.
        audio_source: take the sound from this file instead.

    Raises:
        ProcessError: the container does not hold these codecs (``container_mismatch``), or the
            source cannot be read.
    """
    kind = container_of(extension)
    with ExitStack() as stack:
        picture = stack.enter_context(open_media(source))
        sound = stack.enter_context(open_media(audio_source)) if audio_source else picture
        chosen = _choose(picture, sound, streams)
        for stream in chosen:
            refuse_mismatch(stream, kind, extension)
        bases = [as_fraction(stream.time_base) for stream in chosen]
        options = {**kind.options, **exact_start(kind.muxer, [base for base in bases if base])}
        writer = stack.enter_context(create_media(target, kind.muxer, options))
        outputs = {id(stream): copy_stream(writer, stream) for stream in chosen}
        inputs = {id(stream.container): stream.container for stream in chosen}
        packets = [
            _packets(reader, [s for s in chosen if s.container is reader])
            for reader in inputs.values()
        ]
        last: dict[int, int] = {}
        for _, packet in heapq.merge(*packets, key=itemgetter(0)):
            output = outputs[id(packet.stream)]
            _make_dts_rise(packet, last, id(packet.stream))
            packet.stream = output
            writer.mux_one(packet)


def transcode_audio(source: Path, target: Path, *, extension: str) -> None:
    """Code the main audio of a file anew, in the codec that is natural for a container.

    Args:
        source: a local media file.
        target: where to.
        extension: the container wanted, such as ``m4a``, ``mp3``, ``flac``, ``wav`` or ``opus``.

    Raises:
        ProcessError: there is no sound, or it cannot be decoded.
    """
    kind = container_of(extension)
    with open_media(source) as reader:
        stream = main_audio(reader)
        if stream is None or stream.codec_context is None:
            raise ProcessError("it has no sound that can be decoded", error_class="no_audio_stream")
        with create_media(target, kind.muxer, dict(kind.options)) as writer:
            encoder = _add_encoder(writer, stream, str(kind.encoder))
            resampler = av.AudioResampler(
                format=encoder.format, layout=encoder.layout, rate=encoder.rate
            )
            for frame in _decoded(reader, stream):
                for even in resampler.resample(frame):
                    writer.mux(encoder.encode(even))
            for even in resampler.resample(None):
                writer.mux(encoder.encode(even))
            writer.mux(encoder.encode(None))


def _decoded(reader: Any, stream: Any) -> Iterator[Any]:
    """Yield the frames of one stream; a packet that cannot be decoded costs only itself."""
    read_only(reader, [stream])
    first_error: av.FFmpegError | None = None
    count = 0
    for packet in reader.demux(stream):
        beat()
        try:
            frames = packet.decode()
        except av.error.InvalidDataError as error:
            first_error = first_error or error
            continue
        count += len(frames)
        yield from frames
    if first_error and not count:
        raise first_error


def _choose(picture: Any, sound: Any, streams: str) -> list[Any]:
    if streams == "audio":
        return [stream for stream in [main_audio(sound)] if stream]
    video = main_video(picture)
    return [*([video] if video else []), *sound.streams.audio]


def refuse_mismatch(stream: Any, kind: Container, extension: str) -> None:
    """Check that a stream's packets can be written into a container as they are.

    Raises:
        ProcessError: they cannot (``unsupported_codec``, ``container_mismatch``).
    """
    context = stream.codec_context
    if context is None:
        raise ProcessError(
            f"the {stream.type} is in a codec that is not known here, so it cannot be put into "
            f"{extension}; keep such files: {_as_it_came(stream.type, extension)}",
            error_class="unsupported_codec",
        )
    codec = context.codec.canonical_name
    holds = kind.holds_video if stream.type == "video" else kind.holds_audio
    if not holds(codec):
        raise mismatch(codec, stream.type, extension)


def exact_start(muxer: str, time_bases: Sequence[Fraction]) -> dict[str, str]:
    """Options that keep the first timestamp of every stream as it is.

    Args:
        muxer: libav's name of the container format.
        time_bases: of the streams, in seconds per tick.
    """
    if muxer in ("matroska", "webm"):
        # Else everything is shifted when sound starts before zero, as AAC does.
        return {"avoid_negative_ts": "disabled"}
    if muxer in ("mp4", "mov", "ipod"):
        # An mp4 writes starts in units of its own; these must divide those of the streams.
        units = math.lcm(*(base.denominator for base in time_bases))
        return {"movie_timescale": str(units)} if units < _MAX_TIMESCALE else {}
    return {}


def mismatch(codec: str, media: str, extension: str) -> ProcessError:
    """The error for a codec that a container does not hold, with what to ask for instead."""
    return ProcessError(
        f"{codec} {media} cannot be put into {extension} without coding it anew; to keep every "
        f"file as it came: {_as_it_came(media, extension)}"
        + ("; mkv holds it, too" if extension != "mkv" and _mkv_holds(codec) else ""),
        error_class="container_mismatch",
    )


def _as_it_came(media: str, extension: str) -> str:
    """What to give so that files are not put into other containers."""
    modality = "audio" if media == "audio" and extension in AUDIO_ONLY else "video"
    return (
        f"--encode-formats {modality}=original, in recipes encode_formats: {{{modality}: original}}"
    )


def _mkv_holds(codec: str) -> bool:
    with av.open(os.devnull, "w", format="matroska") as writer:
        return codec in writer.supported_codecs


def copy_stream(writer: Any, stream: Any) -> Any:
    """Add a stream for packets of another file's stream, to be written as they are.

    Args:
        writer: the open output.
        stream: of the open input.

    Raises:
        ProcessError: the container does not hold the codec (``container_mismatch``).
    """
    try:
        output = writer.add_stream_from_template(stream, opaque=True)
    except ValueError as error:  # PyAV knows more of what a container holds than our table
        extension = Path(writer.name).suffix.removeprefix(".")
        raise mismatch(stream.codec_context.name, stream.type, extension) from error
    if stream.type == "video" and stream.average_rate:
        output.codec_context.framerate = stream.average_rate
    if stream.type == "video" and stream.sample_aspect_ratio:
        # A container may tell another shape of pixels than the codec's own headers do.
        output.codec_context.sample_aspect_ratio = stream.sample_aspect_ratio
    output.metadata.update({k: v for k, v in stream.metadata.items() if k in _KEPT_TAGS})
    output.disposition = stream.disposition
    return output


def _packets(reader: Any, streams: list[Any]) -> Iterator[tuple[Fraction, Any]]:
    """Yield (decoding time in seconds, packet) of these streams alone."""
    read_only(reader, streams)
    for packet in reader.demux(*streams):
        beat()
        if not packet.size:
            continue
        when = packet.dts if packet.dts is not None else packet.pts
        if when is None:
            raise ProcessError(
                "the packets have no timestamps (a raw stream); keep such files: "
                + _as_it_came("video", ""),
                error_class="container_mismatch",
            )
        packet.dts = when
        yield when * (as_fraction(packet.time_base) or Fraction(1)), packet


def _make_dts_rise(packet: Any, last: dict[int, int], stream: int) -> None:
    """Repair decoding times that stand still or go back, which no muxer takes."""
    if stream in last and packet.dts <= last[stream]:
        packet.dts = last[stream] + 1
    if packet.pts is None or packet.pts < packet.dts:
        packet.pts = packet.dts
    last[stream] = packet.dts


def _add_encoder(writer: Any, stream: Any, name: str) -> Any:
    source = stream.codec_context
    codec = av.Codec(name, "w")
    rate = _nearest_rate(codec.audio_rates or [source.sample_rate], source.sample_rate)
    options = {"flags": "+bitexact"}
    if name in _LOSSY_BIT_RATE:
        options["b"] = str(_LOSSY_BIT_RATE[name])
    output = writer.add_stream(name, rate=rate, options=options)
    if codec.audio_formats:
        output.codec_context.format = codec.audio_formats[0]
    layout = coded_layout(name, source.layout.name, source.channels)
    output.codec_context.layout = layout or "stereo"
    output.codec_context.thread_count = 1
    output.metadata.update({k: v for k, v in stream.metadata.items() if k in _KEPT_TAGS})
    return output.codec_context


def _nearest_rate(rates: list[int], wanted: int) -> int:
    """The highest rate that invents nothing, or else the lowest there is."""
    return max((rate for rate in rates if rate <= wanted), default=min(rates))
