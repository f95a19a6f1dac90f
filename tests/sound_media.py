"""Sound whose loudness, peaks and silence are known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

Array = np.ndarray[Any, Any]
RATE = 48_000


def sine(
    decibels: float, seconds: float, *, hertz: float = 1000, rate: int = RATE, degrees: float = 0
) -> Array:
    """One channel of a sine whose peak is at a level in dBFS, float32 ``(N,)``."""
    time = np.arange(round(seconds * rate)) / rate
    wave = np.sin(2 * np.pi * hertz * time + np.radians(degrees))
    return (10 ** (decibels / 20) * wave).astype(np.float32)


def stereo(*parts: Array) -> Array:
    """Parts one after the other, the same on both sides."""
    return np.tile(np.concatenate(parts), (2, 1))


def write_sound(
    path: Path,
    samples: Array,
    *,
    rate: int = RATE,
    codec: str = "pcm_f32le",
    layout: str | None = None,
) -> Path:
    """Encode ``(channels, N)``.

    Args:
        path: where to; its suffix chooses the container.
        samples: in [-1, 1], written as float32.
        rate: samples/s.
        codec: libav's name of the encoder.
        layout: libav's name; mono or stereo by default.
    """
    layout = layout or {1: "mono", 2: "stereo"}[len(samples)]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, layout=layout)
        form = stream.codec_context.format.name
        resampler = av.AudioResampler(format=form, layout=layout, rate=rate)
        packed = np.ascontiguousarray(samples.T, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for part in resampler.resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path
