"""Decoded sound as one row of samples, placed by counting and by the file's clock."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, pairwise
from typing import Any

import av
import numpy as np

from clipmill.media.pulse import beat
from clipmill.media.pyav import decode_packet
from clipmill.media.sound_index import SoundIndex

Samples = np.ndarray[Any, Any]
# A clock that differs from the count of samples by less is rounding and jitter, not a gap.
_TOLERANCE_SECONDS = 0.02
# One that falls back by more, or runs ahead by more than the longest silence, begins anew.
_JUMP_SECONDS = 1
_MAX_GAP_SECONDS = 3600
_BLOCK_SECONDS = 1
_PIECE_SECONDS = 0.25
# Interleaved: PyAV 18 crashes on frames of eight or more planes.
PACKED_FLOAT = "flt"


def placed_samples(
    frames: Iterator[Any], index: SoundIndex, begin: int
) -> Iterator[tuple[int, Samples]]:
    """Yield (position after them, float32 (channels, N)), without gaps or overlaps.

    Args:
        frames: decoded, perhaps from somewhat before.
        index: from when to when it sounds.
        begin: position of the first sample to yield, counted from the source's first.
    """
    parts: list[Samples] = []
    count = position = 0
    for position, samples in _placed(frames, index, begin):
        parts.append(samples)
        count += samples.shape[1]
        # Larger pieces cost less than decoders' own.
        if count >= index.rate * _PIECE_SECONDS:
            yield position, np.concatenate(parts, axis=1)
            parts, count = [], 0
    if parts:
        yield position, np.concatenate(parts, axis=1)


def _placed(frames: Iterator[Any], index: SoundIndex, begin: int) -> Iterator[tuple[int, Samples]]:
    # Whole numbers: exact, and a fraction costs as much as decoding.
    samples_per_tick = index.time_base * index.rate
    multiplier, divisor = samples_per_tick.numerator, samples_per_tick.denominator
    offset = round(index.start * index.rate)
    position, moved = (None if begin else 0), 0
    to_float: dict[tuple[str, str, int], Any] = {}
    for frame, following in pairwise(chain(frames, [None])):
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind not in to_float:
            to_float[kind] = av.AudioResampler(
                format=PACKED_FLOAT, layout=index.layout, rate=index.rate
            )
        if frame.pts is not None:
            place = frame.pts * multiplier // divisor - offset
            position = place if position is None else position
            late = place + moved - position
            is_late = late > _TOLERANCE_SECONDS * index.rate
            jumps = not -_JUMP_SECONDS * index.rate <= late <= _MAX_GAP_SECONDS * index.rate
            differs = (is_late or jumps) and not _goes_astray(frame, following, index)
            if differs and jumps:
                moved -= late
            elif differs:
                for count in _blocks(late, index.rate * _BLOCK_SECONDS):
                    position += count
                    yield position, np.zeros((index.channels, count), dtype=np.float32)
        for part in to_float[kind].resample(frame):
            samples = samples_of(part, index.channels)
            skipped = max(begin - (position or 0), 0)
            position = (position or 0) + samples.shape[1]
            if position > begin:
                yield position, samples[:, skipped:]


def _goes_astray(frame: Any, following: Any | None, index: SoundIndex) -> bool:
    """Whether the frame after it does not follow on: then its own time is a damaged file's."""
    if following is None or following.pts is None:
        return False
    length = Fraction(frame.samples, frame.sample_rate)
    step = (following.pts - frame.pts) * index.time_base
    return bool(abs(step - length) > _JUMP_SECONDS)


def samples_of(frame: Any, channels: int) -> Samples:
    """A frame's samples as (channels, N)."""
    samples: Samples = frame.to_ndarray().reshape(-1, channels).T
    return samples


def _blocks(total: int, size: int) -> Iterator[int]:
    for first in range(0, total, size):
        yield min(size, total - first)


def decoded_sound(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the frames of one stream; a packet that cannot be decoded costs only itself."""
    decoder = stream.codec_context
    try:
        for packet in container.demux(stream):
            beat()
            if packet.size:  # an empty one would end the decoder's work
                yield from decode_packet(decoder, packet)[0]
    except av.error.InvalidDataError:
        pass  # a truncated file ends there
    yield from decode_packet(decoder, None)[0]
