"""Loudness as broadcasters measure it: ITU-R BS.1770-4, EBU R 128 and EBU Tech 3342."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

BLOCKS_PER_SECOND = 10
_GATING_BLOCKS = 4
_SHORT_TERM_BLOCKS = 30
_ABSOLUTE_GATE = -70.0
_OFFSET = -0.691
# Blocks that are filtered at once, besides one that warms the filter up: after a tenth of a second
# it has forgotten all but a billionth.
_AT_ONCE = 9
# Weights of channels in libav's order, by their number: sound from the sides and from behind counts
# for more, and the channel of low frequencies for nothing.
_SURROUND = 1.41
_WEIGHTS = {
    4: (1, 1, _SURROUND, _SURROUND),
    5: (1, 1, 1, _SURROUND, _SURROUND),
    6: (1, 1, 1, 0, _SURROUND, _SURROUND),
    7: (1, 1, 1, 0, _SURROUND, _SURROUND, _SURROUND),
    8: (1, 1, 1, 0, _SURROUND, _SURROUND, _SURROUND, _SURROUND),
}


def block_samples(rate: int) -> int:
    """Samples of a block of 100 ms, rounded."""
    return max(1, round(rate / BLOCKS_PER_SECOND))


class LoudnessMeter:
    """Loudness of a sound that comes in pieces.

    Args:
        rate: samples/s.
        channels: how many; more than two are taken for those of the usual surround layout.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._rate = rate
        self._weights = np.array(_WEIGHTS.get(channels, (1,) * channels), np.float64)
        self._history = np.zeros((channels, block_samples(rate)), np.float32)
        self._powers: list[Array] = []

    def push(self, samples: Array) -> None:
        """Take the next samples, float32 ``(channels, N)``, of a whole number of blocks."""
        length = self._history.shape[1]
        for start in range(0, samples.shape[1], _AT_ONCE * length):
            piece = samples[:, start : start + _AT_ONCE * length]
            joined = np.concatenate([self._history, piece], axis=1)
            response = _k_response(self._rate, joined.shape[1])
            # What wraps around falls upon the history, whose own sound is not wanted.
            heard = np.fft.irfft(np.fft.rfft(joined) * response, joined.shape[1])[:, length:]
            power = np.square(heard).reshape(len(heard), -1, length).mean(axis=2)
            self._powers.append(self._weights @ power)
            self._history = piece[:, -length:]

    def integrated(self) -> float | None:
        """Loudness of the whole in LUFS; None where nothing, or too little, is above -70 LUFS.

        Blocks of 400 ms, of which each begins 100 ms after the one before, count if they are above
        -70 LUFS and not more than 10 LU below the mean of those that are.
        """
        powers = self._over(_GATING_BLOCKS)
        powers = powers[_lufs(powers) > _ABSOLUTE_GATE]
        if not len(powers):
            return None
        powers = powers[_lufs(powers) > _lufs(powers.mean()) - 10]
        return float(_lufs(powers.mean()))

    def range(self) -> float | None:
        """Loudness range in LU (EBU Tech 3342); None for less than 3 s that are above -70 LUFS.

        From the 10th to the 95th percentile of loudness over 3 s, taken ten times a second, of what
        is above -70 LUFS and not more than 20 LU below the mean of that.
        """
        powers = self._over(_SHORT_TERM_BLOCKS)
        powers = powers[_lufs(powers) > _ABSOLUTE_GATE]
        if not len(powers):
            return None
        loudness = _lufs(powers[_lufs(powers) > _lufs(powers.mean()) - 20])
        low, high = np.percentile(loudness, [10, 95])
        return float(high - low)

    def _over(self, blocks: int) -> Array:
        """Mean power of every so many blocks in a row."""
        powers = np.concatenate(self._powers) if self._powers else np.empty(0)
        if len(powers) < blocks:
            return np.empty(0)
        windows: Array = np.lib.stride_tricks.sliding_window_view(powers, blocks).mean(axis=1)
        return windows


def _lufs(power: Any) -> Any:
    with np.errstate(divide="ignore"):
        return _OFFSET + 10 * np.log10(power)


@lru_cache(maxsize=16)
def _k_response(rate: int, size: int) -> Array:
    """What the two filters of BS.1770 do to each frequency of a transform, complex64."""
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    response: Any = 1
    for above, below in k_weighting(rate):
        response = response * (np.polyval(above[::-1], z) / np.polyval(below[::-1], z))
    return np.asarray(response, np.complex64)


def k_weighting(rate: int) -> list[tuple[Array, Array]]:
    """Coefficients of the two filters, numerator and denominator each, for any rate.

    BS.1770 lists them for 48,000 samples/s; these are the analogue filters behind the list, a shelf
    that lifts by 4 dB from 1.7 kHz on and a high pass at 38 Hz, as De Man worked them out
    ("Evaluation of Implementations of the EBU R128 Loudness Measurement", 2018).

    Args:
        rate: samples/s.
    """
    tangent, quality = math.tan(math.pi * 1681.974450955533 / rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    square, damping = tangent * tangent, tangent / quality
    scale = 1 + damping + square
    lift = [high + band * damping + square, 2 * (square - high), high - band * damping + square]
    rest = np.array([scale, 2 * (square - 1), 1 - damping + square]) / scale
    shelf = np.array(lift) / scale, rest

    tangent, quality = math.tan(math.pi * 38.13547087602444 / rate), 0.5003270373238773
    square, damping = tangent * tangent, tangent / quality
    scale = 1 + damping + square
    rest = np.array([scale, 2 * (square - 1), 1 - damping + square]) / scale
    return [shelf, (np.array([1.0, -2.0, 1.0]), rest)]
