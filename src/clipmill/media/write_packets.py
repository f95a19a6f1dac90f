"""Packets of other files, as they are, into a file of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from clipmill.media.containers import Container, container_of
from clipmill.media.pyav import as_fraction, create_media, translated_errors
from clipmill.media.remux import copy_stream, exact_start, refuse_mismatch


def write_packets(
    target: Path,
    streams: Sequence[Any],
    time_base: Fraction | None,
    packets: Iterable[tuple[int, Any]],
) -> None:
    """Write packets of other files' streams, as they are.

    Args:
        target: where to; its suffix names the container. Nothing is left there on failure.
        streams: what the packets are of.
        time_base: of the video's packets, in seconds per tick; None for sound alone.
        packets: (which of the streams, packet), in order of decoding.

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
                for output, packet in packets:
                    packet.stream = outputs[output]
                    writer.mux_one(packet)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def container_for(target: Path) -> Container:
    """The container that a file's suffix names.

    Raises:
        ProcessError: nothing is known under it (``container_mismatch``).
    """
    return container_of(target.suffix.removeprefix("."))


def decoding_time(packet: tuple[int, Any]) -> Fraction:
    """When a (stream, packet) pair is decoded, in seconds, to merge streams by."""
    time_base = as_fraction(packet[1].time_base) or Fraction(1)
    return Fraction(packet[1].dts) * time_base
