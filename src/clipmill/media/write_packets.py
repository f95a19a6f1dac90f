"""Packets of other files, as they are, into a file of their own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from clipmill.core.errors import ProcessError
from clipmill.media.containers import Container, container_of
from clipmill.media.pulse import beat
from clipmill.media.pyav import create_media, translated_errors
from clipmill.media.remux import copy_stream, exact_start, refuse_mismatch


def write_packets(
    target: Path,
    streams: Sequence[Any],
    time_base: Fraction | None,
    packets: Iterable[tuple[int, Any]],
    *,
    extradata: bytes | None = None,
) -> None:
    """Write packets of other files' streams, as they are.

    Args:
        target: where to; its suffix names the container. Nothing is left there on failure.
        streams: what the packets are of.
        time_base: of the video's packets, in seconds per tick; None for sound alone.
        packets: (which of the streams, packet), in order of decoding.
        extradata: what the first stream's decoder is told, when that is not the source's.

    Raises:
        ProcessError: the container does not hold the codecs (``container_mismatch``), or libav
            cannot write it (``encode_failed``).
    """
    kind = container_for(target)
    bases = [time_base] if time_base else []
    for stream in streams:
        refuse_mismatch(stream, kind, target.suffix.removeprefix("."))
        if stream.type == "audio":
            bases.append(Fraction(1, stream.codec_context.sample_rate))
    try:
        with translated_errors(target, writing=True):
            options = {**kind.options, **exact_start(kind.muxer, bases)}
            with create_media(target, kind.muxer, options) as writer:
                outputs = [copy_stream(writer, stream) for stream in streams]
                if extradata is not None:
                    outputs[0].codec_context.extradata = extradata
                for output, packet in packets:
                    beat()
                    packet.stream = outputs[output]
                    writer.mux_one(packet)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def timed_packets(packets: Iterable[Any], pts: np.ndarray[Any, Any], end: int) -> Iterator[Any]:
    """Yield a video's packets with times of their own.

    Decoding times are the latest possible ones; the source's may be missing.

    Args:
        packets: in order of decoding.
        pts: int64, when each is shown, in ticks from the clip's first frame.
        end: when the last picture stops being shown, in ticks.

    Raises:
        ProcessError: there are fewer packets than times (``cannot_copy``).
    """
    dts = np.sort(pts)
    dts -= max(int((dts - pts).max()), 0)
    left, last = len(pts), int(pts.max())
    for packet, pts_ticks, dts_ticks in zip(packets, pts.tolist(), dts.tolist(), strict=False):
        packet.pts, packet.dts = pts_ticks, dts_ticks
        left -= 1
        if pts_ticks == last:
            packet.duration = end - last  # by it an edit list is made
        if not left:
            # An mp4 lasts as long as its packets in order of decoding do.
            packet.duration = max(end - int(dts[-1] - dts[0]), 1)
        yield packet
    if left:
        raise ProcessError(
            "packets cannot be copied: the file ends within the clip", error_class="cannot_copy"
        )


def container_for(target: Path) -> Container:
    """The container that a file's suffix names.

    Raises:
        ProcessError: nothing is known under it (``container_mismatch``).
    """
    return container_of(target.suffix.removeprefix("."))


def merged(
    pictures: Iterable[Any], time_base: Fraction, sounds: Iterable[Any], sample_seconds: Fraction
) -> Iterator[tuple[int, Any]]:
    """Yield (0, packet of the video) and (1, packet of the audio), in order of decoding.

    Args:
        pictures: packets in order of decoding.
        time_base: of theirs, in seconds per tick.
        sounds: packets in order of decoding.
        sample_seconds: per tick of theirs.
    """
    ticks, samples = float(time_base), float(sample_seconds)
    sounds = iter(sounds)
    sound = next(sounds, None)
    due = math.inf if sound is None else sound.dts * samples
    for picture in pictures:
        seconds = picture.dts * ticks
        while due < seconds:
            yield 1, sound
            sound = next(sounds, None)
            due = math.inf if sound is None else sound.dts * samples
        yield 0, picture
    while sound is not None:
        yield 1, sound
        sound = next(sounds, None)
