"""How far sound goes: its peaks, between samples too, and where it runs against full scale."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_CLIPPED_RUN = 3
# The last but one level of 16 bits: below it, full scale was not reached.
_FULL_SCALE = 32766 / 32768
# How many samples on each side a point between two is worked out of.
_REACH = 8
_PIECE = 512


def _sinc(place: float) -> Array:
    """Weights of the samples around a point that lies this share of a step after one of them."""
    distances = np.arange(1 - _REACH, 1 + _REACH) - place
    taps: Array = np.sinc(distances) * np.cos(np.pi * distances / (2 * _REACH + 1)) ** 2
    taps = taps / taps.sum()
    return taps.astype(np.float32)


# Four points a step, the first of which is the sample itself.
_BETWEEN = [_sinc(place) for place in (0.25, 0.5, 0.75)]
_MOST_GAIN = float(max(np.abs(taps).sum() for taps in _BETWEEN))


class PeakMeter:
    """Peaks of a sound that comes in pieces, 0 to 1 or, between samples, above.

    Args:
        channels: how many.

    Attributes:
        sample_peak: the greatest sample.
        true_peak: the greatest of the sound at four times its rate (BS.1770-4, annex 2), which is
            worked out with a windowed sinc of 16 samples.
    """

    def __init__(self, channels: int) -> None:
        self.sample_peak = 0.0
        self.true_peak = 0.0
        self._before = np.zeros((channels, 2 * _REACH - 1), np.float32)

    def push(self, samples: Array) -> None:
        """Take the next samples, float32 ``(channels, N)``."""
        self.sample_peak = max(self.sample_peak, float(np.abs(samples).max(initial=0)))
        self.true_peak = max(self.true_peak, self.sample_peak)
        joined = np.concatenate([self._before, samples], axis=1)
        self._before = joined[:, 1 - 2 * _REACH :]
        for channel in joined:
            self.true_peak = max(self.true_peak, self._between(channel))

    def end(self) -> None:
        """After the last sample there is silence."""
        self.push(np.zeros_like(self._before))

    def _between(self, samples: Array) -> float:
        """The greatest value between samples, if it is greater than what is known."""
        length = _PIECE + 2 * _REACH - 1
        padded = np.pad(samples, (0, -(len(samples) - length) % _PIECE))
        padded = np.pad(padded, (0, max(0, length - len(padded))))
        pieces = np.lib.stride_tricks.sliding_window_view(padded, length)[::_PIECE]
        # There can be more between samples only where they are great themselves.
        pieces = pieces[np.abs(pieces).max(axis=1) * _MOST_GAIN > self.true_peak]
        greatest = 0.0
        for taps in _BETWEEN:
            values = np.zeros((len(pieces), _PIECE), np.float32)
            for place, tap in enumerate(taps):
                values += tap * pieces[:, place : place + _PIECE]
            greatest = max(greatest, float(np.abs(values).max(initial=0)))
        return greatest


class ClippingMeter:
    """Counts samples in runs of three and more at full scale, in a sound that comes in pieces.

    Args:
        channels: how many.
    """

    def __init__(self, channels: int) -> None:
        self._counted = 0
        self._open = [0] * channels

    @property
    def clipped(self) -> int:
        """How many samples there were in such runs, of all channels."""
        return self._counted + sum(run for run in self._open if run >= _CLIPPED_RUN)

    def push(self, samples: Array) -> None:
        """Take the next samples, float32 ``(channels, N)``."""
        for channel, is_full in enumerate(np.abs(samples) >= _FULL_SCALE):
            if not (self._open[channel] or is_full.any()):
                continue
            edges = np.flatnonzero(np.diff(is_full, prepend=False, append=False))
            runs = (edges[1::2] - edges[::2]).tolist()
            if self._open[channel] and len(is_full):
                runs = _continued(self._open[channel], runs, goes_on=bool(is_full[0]))
            self._open[channel] = runs.pop() if len(is_full) and is_full[-1] else 0
            self._counted += sum(run for run in runs if run >= _CLIPPED_RUN)


def _continued(run: int, runs: list[int], *, goes_on: bool) -> list[int]:
    return [run + runs[0], *runs[1:]] if goes_on else [run, *runs]
