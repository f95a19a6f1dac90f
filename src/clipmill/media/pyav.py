"""The one place that opens media with PyAV: what is allowed, what is exact, what errors mean.

PyAV 18 and 19 differ (fractions became a type of their own, ``metadata_errors`` went away); only
this module knows. Everything libav raises while a file is open leaves here as ``ProcessError``.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.logging
import av.rational
import av.subtitles.stream  # else PyAV does so at the first open, when memory may be short already

from clipmill.core.errors import ProcessError
from clipmill.io.stretch import Place, Stretch, file_of, read_at
from clipmill.media.sample_tables import refuse_impossible_tables
from clipmill.media.sniff import HEAD_BYTES, sniff

MAX_PIXELS = 8192 * 8192

# What may be opened. Playlists (hls, dash, concat), network and device demuxers, lavfi and image
# sequences are left out: they make libav open other files and hosts on behalf of the data.
ALLOWED_DEMUXERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,av1,obu,ivf,flv,asf,mxf,nut,rm,dv,gif,"
    "apng,ogg,mp3,wav,w64,flac,aac,ac3,eac3,aiff,au,caf,amr,amrnb,amrwb,ape,wv,tta"
)
# Libav log lines that say more than the error code does: phrase -> error class.
_MEANINGS = (
    ("not on whitelist", "forbidden_container"),
    ("Not detecting m3u8/hls", "forbidden_container"),
    ("moov atom not found", "truncated"),
    ("File ended prematurely", "truncated"),
)
_FORBIDDEN = "a playlist, picture, subtitle or text file is not opened as media"
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT)
_MP4_BOXES = (b"ftyp", b"mdat", b"moov", b"free", b"skip", b"wide", b"styp")
_MAX_MICROSECONDS = 2**62
# For the first two streams; what others there are is looked at.
_UNSEEN: dict[str, Any] = {"stream_options": [{"skip_frame": "all"}] * 2}
# Not even their decoders are set up.
_UNDECODED: dict[str, Any] = {"stream_options": [{"codec_whitelist": "none"}] * 2}
# The head of a file that was written here tells all; libav need not read on to learn more.
_BRIEF = {"probesize": "4096", "fpsprobesize": "0", "analyzeduration": "0"}


@contextmanager
def open_media(
    place: Place, *, unseen: bool = False, undecoded: bool = False, made_here: bool = False
) -> Iterator[Any]:
    """Open a local media file for reading, as a context manager yielding PyAV's container.

    Codec threads are off: parallel work is spread over files, and codec threads have deadlocked.

    Args:
        place: a local file or a stretch of one; URLs, playlists and devices are not opened.
        unseen: do without decoding its first pictures, which takes most of the time; libav then
            may not know their pixel format.
        undecoded: do without asking decoders anything, which takes most of the rest; only what
            the container tells is known then.
        made_here: it was just written by ``create_media``, so that its head can be relied on.

    Raises:
        ProcessError: the file cannot be read as media, now or while the context lasts.
    """
    name = libav_name(place)
    protocols = "file,subfile" if isinstance(place, Stretch) else "file"
    # Libav calls it an error that a decoder is not to be had.
    with translated_errors(place, level=av.logging.FATAL if undecoded else av.logging.ERROR):
        # Libav says what is wrong with anything that is no file.
        if not made_here and os.path.isfile(file_of(place)):
            refuse_impossible_tables(place)
        options = {
            "protocol_whitelist": protocols,
            "format_whitelist": ALLOWED_DEMUXERS,
            "max_pixels": str(MAX_PIXELS),
            **(_BRIEF if made_here else {}),
        }
        choices = _UNDECODED if undecoded else _UNSEEN if unseen else {}
        with _open(name, options, choices) as container:
            _check_streams(container)
            yield container


def _open(name: str, options: dict[str, str], choices: dict[str, Any]) -> Any:
    if choices:
        try:
            return av.open(name, options=options, **choices, **_METADATA_ARGUMENTS)
        except ValueError as error:
            if type(error) is not ValueError:
                raise
            # FLV and MPEG program streams tell of their streams in what would be left unread.
    return av.open(name, options=options, **_METADATA_ARGUMENTS)


def libav_name(place: Place) -> str:
    """What libav is to open."""
    # An absolute path cannot be taken for a protocol such as ``concat:``.
    path = os.path.abspath(file_of(place))
    if isinstance(place, Stretch):
        return f"subfile,,start,{place.offset},end,{place.offset + place.size},,:{path}"
    return path


def create_media(path: Path, muxer: str, options: dict[str, str] | None = None) -> Any:
    """Open a local file for writing; no dates, versions or random numbers get into it.

    Args:
        path: where to.
        muxer: libav's name of the container format.
        options: for the muxer.
    """
    return av.open(
        os.path.abspath(path),
        "w",
        format=muxer,
        container_options={"fflags": "+bitexact", **(options or {})},
    )


@contextmanager
def translated_errors(
    place: Place, *, writing: bool = False, level: int = av.logging.ERROR
) -> Iterator[None]:
    """Turn what libav raises inside the context into ``ProcessError``, with its own last words.

    Args:
        place: the file in question.
        writing: whether it is being made, rather than read.
        level: how grave words must be to be taken down, as libav counts it.
    """
    previous = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(level)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as logs:
            try:
                yield
            except (av.FFmpegError, UnicodeDecodeError) as error:
                code = getattr(error, "errno", None)
                if code in _DISK_TROUBLE:
                    # No fault of this file: it ends the run, not the sample.
                    raise OSError(code, os.strerror(code)) from error
                messages = [message.strip() for _, _, message in logs]
                if writing:
                    raise _encode_failed(error, messages) from error
                raise _translate(error, place, messages) from error
    finally:
        av.logging.set_level(previous[0])
        av.logging.set_skip_repeated(previous[1])


def describe_format(container: Any) -> str:
    """Libav's own summary of an open file, which alone names side data such as the rotation."""
    previous_level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        return str(container.dumps_format())
    finally:
        av.logging.set_level(previous_level)


def as_fraction(value: Any) -> Fraction | None:
    """An exact number from libav's rational of either PyAV version; None when unknown."""
    if value is None or not value.denominator or not value.numerator:
        return None
    return Fraction(value.numerator, value.denominator)


def as_rational(value: Fraction) -> Any:
    """An exact number as PyAV's own type, which packets take in a third of the time."""
    return av.rational.AVRational(value.numerator, value.denominator)


def known_time(ticks: int | None) -> int | None:
    """A timestamp, or None when it is missing or a broken file's nonsense."""
    return ticks if ticks is not None and abs(ticks) < _MAX_MICROSECONDS else None


def video_streams(container: Any) -> list[Any]:
    """Moving pictures only: cover art and thumbnails are not videos."""
    still = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & still]


def main_video(container: Any) -> Any | None:
    """The video meant when one is meant: the default one, then the largest, then the first."""
    return max(video_streams(container), key=_video_rank, default=None)


def main_audio(container: Any) -> Any | None:
    """The audio meant when one is meant: the default one, then the first."""
    return max(container.streams.audio, key=_is_default, default=None)


def decoder_for(stream: Any) -> Any:
    """The codec context that decodes a video; the usual ones of VP8 and VP9 know no alpha."""
    context = stream.codec_context
    name = _ALPHA_DECODERS.get(context.codec.canonical_name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return context
    decoder = av.CodecContext.create(name, "r")
    _restrain(decoder)
    return decoder


def decode_packet(decoder: Any, packet: Any | None) -> tuple[list[Any], av.FFmpegError | None]:
    """A packet's frames, or none and what is wrong: a damaged packet costs only itself.

    Args:
        decoder: a codec context.
        packet: None for the frames that the decoder still holds.

    Raises:
        av.FFmpegError: there was not enough memory, which is no fault of the packet.
    """
    try:
        return decoder.decode(packet), None
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        return [], error


def read_only(container: Any, streams: Sequence[Any]) -> None:
    """Leave all other streams unread, which a demuxer then does not even get from disk."""
    for stream in container.streams:
        keep = stream in streams
        stream.discard = av.stream.Discard.default if keep else av.stream.Discard.all


def _video_rank(stream: Any) -> tuple[bool, int]:
    context = stream.codec_context
    return _is_default(stream), context.width * context.height if context else 0


def _is_default(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.default)


def _check_streams(container: Any) -> None:
    if not container.streams.video and not container.streams.audio:
        raise ProcessError("it holds neither video nor audio", error_class="no_streams")
    for stream in container.streams:
        context = stream.codec_context
        if context is None:
            continue
        _restrain(context)
        if stream.type != "video":
            continue
        if context.width * context.height > MAX_PIXELS:
            raise ProcessError(
                f"it is {context.width}x{context.height}, more than the "
                f"{MAX_PIXELS} pixels that are decoded",
                error_class="too_many_pixels",
            )


def _restrain(context: Any) -> None:
    context.thread_type = "NONE"
    context.thread_count = 1
    if context.type == "video":
        context.options = {"max_pixels": str(MAX_PIXELS)}


def _translate(error: Exception, place: Place, messages: list[str]) -> ProcessError:
    error_class = "unreadable"
    if isinstance(error, av.error.MemoryError):
        error_class = "out_of_memory"
    elif isinstance(error, av.error.DecoderNotFoundError):
        error_class = "unsupported_codec"
    for phrase, meaning in _MEANINGS:
        if any(phrase in message for message in messages):
            error_class = meaning
    if error_class == "truncated" and not _is_mp4(place) and "moov" in messages[-1]:
        # Libav took it for an mp4 by its name alone.
        error_class, messages = "unreadable", ["it is not a media file"]
    reason = getattr(error, "strerror", None) or str(error)
    words = "; ".join(dict.fromkeys(messages[-3:]))
    if error_class == "forbidden_container":
        # Libav took it for something by its name, perhaps.
        is_known = sniff(read_at(place, 0, HEAD_BYTES)).kind not in ("unknown", "empty")
        reason, words = (_FORBIDDEN if is_known else "it is not a media file"), ""
        error_class = error_class if is_known else "unreadable"
    return ProcessError(
        f"it cannot be read as video or audio: {reason}" + f" ({words})" * bool(words),
        error_class=error_class,
    )


def _encode_failed(error: Exception, messages: list[str]) -> ProcessError:
    reason = getattr(error, "strerror", None) or str(error)
    words = "; ".join(dict.fromkeys(messages[-3:]))
    return ProcessError(
        f"it cannot be written: {reason}" + f" ({words})" * bool(words),
        error_class="encode_failed",
    )


def _is_mp4(place: Place) -> bool:
    return read_at(place, 4, 4) in _MP4_BOXES


# Tags in other encodings than UTF-8 must not make a file unreadable; PyAV 19 sees to it itself.
_METADATA_ARGUMENTS: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)
