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


def voice(seconds: float, rate: int = 16_000) -> Array:
    """One channel of a voice that says vowels, five a second, as a detector of speech knows them.

    A glottis that hums at about 200 Hz, three formants that go from vowel to vowel, and a hiss
    between them.
    """
    random = np.random.default_rng(0)
    time = np.arange(round(seconds * rate)) / rate
    syllable = 0.22
    moments = np.arange(int(seconds / syllable) + 2) * syllable
    tune = np.interp(time, moments, 1 + 0.18 * random.uniform(-1, 1, len(moments)))
    pitch = 200 * tune * (1 - 0.1 * (time % 1.5) / 1.5)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    vowels = np.array([[730, 1090, 2440], [270, 2290, 3010], [300, 870, 2240], [530, 1840, 2480]])
    spoken = vowels[random.integers(0, len(vowels), len(moments))]
    formants = [np.interp(time, moments, spoken[:, number]) for number in range(3)]
    wave = np.zeros_like(time)
    for harmonic in range(1, 40):
        strength = sum(
            gain / (1 + ((harmonic * pitch - formant) / width) ** 2)
            for formant, gain, width in zip(formants, (1, 0.6, 0.3), (60, 90, 120), strict=True)
        )
        audible = harmonic * pitch < 0.475 * rate
        wave += audible * strength * np.sin(harmonic * phase) / harmonic**0.8
    within = time % syllable
    wave *= np.sin(np.pi * within / syllable) ** 0.6
    hiss = np.diff(random.normal(0, 0.03, len(time)), prepend=0) * (within > 0.85 * syllable)
    return (0.2 * wave / np.abs(wave).max() + hiss).astype(np.float32)


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
