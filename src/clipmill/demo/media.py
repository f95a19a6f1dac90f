"""Synthetic video and audio: small, deterministic, and every frame carries its own number.

The number is painted as a grid of large black and white blocks, so it can be read back after
any compression; a frame that was lost, repeated or swapped is noticed by its number alone.
"""

from __future__ import annotations

import heapq
import math
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import av
import numpy as np

GRID_COLUMNS = 4
GRID_ROWS = 4
NUMBER_BITS = 12
PARITY_BITS = 2
MAX_FRAME_NUMBER = 2**NUMBER_BITS - 1
AUDIO_RATE = 48_000

# Fast, single-threaded settings: the same bytes on every run.
_ENCODER_OPTIONS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast", "crf": "23"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:info=0:pools=none"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "20", "b": "500k"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "0"},
    "libsvtav1": {"preset": "9", "crf": "40", "svtav1-params": "lp=1"},
    "mpeg4": {"b": "800k"},
    "mpeg2video": {"b": "800k"},
}
_HDR_TRANSFER = {"hdr10": 16, "hlg": 18}
_BT2020_PRIMARIES = 9
_BT2020_MATRIX = 9


class VideoOptions(TypedDict, total=False):
    """What makes a synthetic video unusual; every entry may be left out.

    Args:
        gop: frames from one key frame to the next.
        frame_times: when each frame is shown, in seconds; replaces ``seconds`` and ``fps``
            and makes the frame rate variable.
        start_seconds: the first timestamp of every stream.
        rotation_degrees: counter-clockwise display rotation written as metadata.
        sample_aspect_ratio: width of a pixel divided by its height.
        pixel_format: libav's name, such as ``yuv444p`` or ``yuva420p``.
        hdr: tag the stream as BT.2020 10 bit with the PQ or HLG transfer.
        first_number: number painted on the first frame.
        codec_options: passed to the encoder.
        container_options: passed to the muxer, such as ``{"movflags": "+faststart"}``.
    """

    gop: int
    frame_times: Sequence[Fraction | float]
    start_seconds: Fraction | float
    rotation_degrees: int
    sample_aspect_ratio: Fraction
    pixel_format: str
    hdr: Literal["hdr10", "hlg"]
    first_number: int
    codec_options: dict[str, str]
    container_options: dict[str, str]


def paint_frame_number(number: int, width: int, height: int) -> np.ndarray[Any, Any]:
    """Paint one RGB picture of shape (height, width, 3) that carries ``number``.

    Raises:
        ValueError: the number does not fit into the grid.
    """
    if not 0 <= number <= MAX_FRAME_NUMBER:
        raise ValueError(f"frame number {number} is outside 0..{MAX_FRAME_NUMBER}")
    cells = np.array(_cells(number), dtype=bool).reshape(GRID_ROWS, GRID_COLUMNS)
    rows = np.arange(height) * GRID_ROWS // height
    columns = np.arange(width) * GRID_COLUMNS // width
    # White blocks drift through pale tints, so that the picture is in colour and moves.
    tint = [228 + round(24 * math.sin(number / 9 + phase)) for phase in (0, 2, 4)]
    picture = np.full((height, width, 3), 12, dtype=np.uint8)
    picture[cells[np.ix_(rows, columns)]] = tint
    return picture


def read_frame_number(rgb: np.ndarray[Any, Any]) -> int:
    """Read the number painted on a decoded picture.

    Args:
        rgb: uint8 array of shape (height, width, 3), upright; any size.

    Raises:
        ValueError: the picture carries no readable number.
    """
    height, width = rgb.shape[:2]
    bits = []
    for row in range(GRID_ROWS):
        for column in range(GRID_COLUMNS):
            # The middle half of a block is clear of what compression does to its edges.
            top, left = (4 * row + 1) * height, (4 * column + 1) * width
            block = rgb[
                top // 16 : max(top // 16 + 1, (top + 2 * height) // 16),
                left // 16 : max(left // 16 + 1, (left + 2 * width) // 16),
            ]
            bits.append(bool(block.mean() > 120))
    number = sum(bit << place for place, bit in enumerate(bits[1 : 1 + NUMBER_BITS]))
    if bits != _cells(number):
        raise ValueError(f"no frame number can be read from this {width}x{height} picture")
    return number


def _cells(number: int) -> list[bool]:
    """White corner, the number, its parity (count of set bits modulo 4), black corner."""
    bits = [bool(number >> place & 1) for place in range(NUMBER_BITS)]
    ones = sum(bits) % 2**PARITY_BITS
    return [True, *bits, *(bool(ones >> place & 1) for place in range(PARITY_BITS)), False]


def make_video(  # the shape of a video has this many sides
    path: Path,
    *,
    seconds: float = 2.0,
    fps: int | Fraction = 10,
    width: int = 128,
    height: int = 96,
    codec: str = "libx264",
    audio: str | None = "aac",
    **options: Unpack[VideoOptions],
) -> Path:
    """Write a video whose frames carry their own numbers.

    Args:
        path: where to; its suffix chooses the container.
        seconds: how long, in seconds.
        fps: frames in a second.
        width: coded width in pixels.
        height: coded height in pixels.
        codec: libav's name of the video encoder.
        audio: libav's name of the audio encoder; None for a silent file.
        options: see ``VideoOptions``.

    Returns:
        ``path``.
    """
    times = [_exact(time) for time in options.get("frame_times", ())]
    times = times or [Fraction(n) / Fraction(fps) for n in range(round(seconds * fps))]
    length = max(_exact(seconds), times[-1])
    start = _exact(options.get("start_seconds", 0))
    ticks = math.lcm(Fraction(fps).numerator, *(t.denominator for t in [start, *times]))
    time_base = Fraction(1, ticks)
    first = options.get("first_number", 0)
    with _create(path, options.get("container_options", {})) as container:
        stream = _add_video_stream(container, codec, fps, (width, height), options)
        stream.codec_context.time_base = time_base
        pictures = (
            (time, stream, _picture(stream, first + index, round((time + start) / time_base)))
            for index, time in enumerate(times)
        )
        sounds: Iterator[tuple[Fraction, Any, Any]] = iter(())
        if audio:
            sound = _add_audio_stream(container, audio)
            sounds = ((time, sound, frame) for time, frame in _tone(length, start=start))
        for _, target, frame in heapq.merge(pictures, sounds, key=itemgetter(0)):
            container.mux(target.encode(frame))
        for target in container.streams:
            container.mux(target.encode(None))
    return path


def make_audio(path: Path, *, seconds: float = 2.0, codec: str = "aac", channels: int = 2) -> Path:
    """Write a tone that rises by a step every half second.

    Args:
        path: where to; its suffix chooses the container.
        seconds: how long, in seconds.
        codec: libav's name of the audio encoder.
        channels: 1 or 2.

    Returns:
        ``path``.
    """
    with _create(path, {}) as container:
        stream = _add_audio_stream(container, codec, channels)
        for _, frame in _tone(_exact(seconds), channels=channels):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def sample_set(folder: Path) -> list[Path]:
    """Write one small file per common pairing of codecs and container; a few seconds of work."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        make_video(folder / "h264.mp4", seconds=3),
        make_video(folder / "hevc.mp4", seconds=2, codec="libx265"),
        make_video(folder / "vp9.webm", seconds=2, codec="libvpx-vp9", audio="libopus"),
        make_video(folder / "vp8.webm", seconds=2, codec="libvpx", audio="libopus"),
        make_video(folder / "av1.mp4", seconds=2, codec="libsvtav1"),
        make_video(folder / "av1.mkv", seconds=2, codec="libsvtav1", audio="libopus"),
        make_video(folder / "mpeg4.avi", seconds=2, codec="mpeg4", audio="libmp3lame"),
        make_video(folder / "broadcast.ts", seconds=2),
        make_video(folder / "long.mp4", seconds=20, fps=12),
        make_video(folder / "silent.mp4", seconds=2, audio=None),
        make_audio(folder / "tone.m4a"),
        make_audio(folder / "tone.mp3", codec="libmp3lame"),
    ]


def _exact(seconds: Fraction | float) -> Fraction:
    return Fraction(str(seconds))


def _create(path: Path, container_options: dict[str, str]) -> Any:
    # Without this flag muxers write dates and version numbers, and no two runs agree.
    options = {"fflags": "+bitexact", **container_options}
    form = {".m4a": "ipod", ".ts": "mpegts", ".mka": "matroska"}.get(path.suffix)
    return av.open(str(path), "w", format=form, container_options=options)


def _add_video_stream(
    container: Any,
    codec: str,
    fps: int | Fraction,
    size: tuple[int, int],
    options: VideoOptions,
) -> Any:
    # SVT-AV1 greets on stderr, past libav's log, unless its own variable asks for errors only.
    os.environ.setdefault("SVT_LOG", "1")
    encoder_options = {"flags": "+bitexact", **_ENCODER_OPTIONS.get(codec, {})}
    encoder_options |= options.get("codec_options", {})
    stream = container.add_stream(codec, rate=fps, options=encoder_options)
    context = stream.codec_context
    context.width, context.height = size
    context.pix_fmt = options.get("pixel_format", "yuv420p")
    context.thread_count = 1
    if "gop" in options:
        context.gop_size = options["gop"]
        # And not wherever the encoder sees a new scene.
        context.options = {**context.options, "sc_threshold": "0"}
    if "sample_aspect_ratio" in options:
        context.sample_aspect_ratio = options["sample_aspect_ratio"]
    if "hdr" in options:
        context.pix_fmt = options.get("pixel_format", "yuv420p10le")
        context.color_primaries = _BT2020_PRIMARIES
        context.color_trc = _HDR_TRANSFER[options["hdr"]]
        context.colorspace = _BT2020_MATRIX
    if "rotation_degrees" in options:
        stream.set_display_rotation(options["rotation_degrees"])
    return stream


def _add_audio_stream(container: Any, codec: str, channels: int = 2) -> Any:
    stream = container.add_stream(codec, rate=AUDIO_RATE, options={"flags": "+bitexact"})
    stream.codec_context.layout = "stereo" if channels == 2 else "mono"
    return stream


def _picture(stream: Any, number: int, pts: int) -> Any:
    context = stream.codec_context
    pixels = paint_frame_number(number, context.width, context.height)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame = frame.reformat(format=context.pix_fmt, threads=1)
    frame.pts, frame.time_base = pts, context.time_base
    return frame


def _tone(
    seconds: Fraction, *, channels: int = 2, start: Fraction = Fraction(0)
) -> Iterator[tuple[Fraction, Any]]:
    """Yield (seconds from the beginning, audio frame) of a stepwise rising sine."""
    total = round(seconds * AUDIO_RATE)
    for first in range(0, total, AUDIO_RATE // 2):
        count = min(AUDIO_RATE // 2, total - first)
        pitch = 220 * 2 ** ((2 * first // AUDIO_RATE) % 12 / 12)
        wave = 0.25 * np.sin(2 * np.pi * pitch * np.arange(count) / AUDIO_RATE)
        samples = np.tile(wave.astype(np.float32), (channels, 1))
        layout = "stereo" if channels == 2 else "mono"
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = AUDIO_RATE
        frame.pts = first + round(start * AUDIO_RATE)
        frame.time_base = Fraction(1, AUDIO_RATE)
        yield Fraction(first, AUDIO_RATE), frame
