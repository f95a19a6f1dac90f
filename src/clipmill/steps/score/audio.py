"""How the sound of a sample is: loudness, peaks, silence, clipping."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from clipmill.core.request import Audio
from clipmill.core.seen import Seen
from clipmill.steps.base import InStretches, column
from clipmill.steps.score.frame_scores import STATISTICS, statistics
from clipmill.steps.score.loudness import LoudnessMeter, block_samples
from clipmill.steps.score.peaks import ClippingMeter, PeakMeter

Array = np.ndarray[Any, Any]

_FLOOR_DB = -120.0


class AudioStep(InStretches):
    """Loudness, peaks, silence and clipping of the sound, at its own rate."""

    name = "audio"

    silence_dbfs: float = Field(-60.0, le=0)
    """Level up to which a tenth of a second counts as silent, in dBFS."""

    @property
    def columns(self) -> pa.Schema:
        """See ``Annotate.columns``."""
        return pa.schema(
            [
                column(
                    "loudness_lufs",
                    pa.float32(),
                    "integrated loudness (ITU-R BS.1770-4, EBU R 128): -23 is broadcast, about -14 "
                    "what streaming services play at; null for less than 0.4 s above -70 LUFS",
                    unit="LUFS",
                ),
                column(
                    "loudness_range_lu",
                    pa.float32(),
                    "loudness range (EBU Tech 3342): of loudness over 3 s, from its 10th to its "
                    "95th percentile; null for less than 3 s above -70 LUFS",
                    unit="LU",
                ),
                column(
                    "true_peak_dbtp",
                    pa.float32(),
                    "greatest value between samples too, at four times the rate (BS.1770-4, annex "
                    f"2); at least {_FLOOR_DB:.0f}",
                    unit="dBTP",
                ),
                column(
                    "peak_dbfs",
                    pa.float32(),
                    f"greatest sample; at least {_FLOOR_DB:.0f}",
                    unit="dBFS",
                ),
                column(
                    "level",
                    STATISTICS,
                    "root mean square of each tenth of a second over all channels; at least "
                    f"{_FLOOR_DB:.0f}",
                    unit="dBFS",
                ),
                column(
                    "silence_share",
                    pa.float32(),
                    "share of tenths of a second whose level is not above silence_dbfs",
                    unit="share",
                ),
                column(
                    "clipping_share",
                    pa.float32(),
                    "share of samples in runs of three or more at full scale; sound that was made "
                    "quieter after it was clipped has none",
                    unit="share",
                ),
            ]
        )

    @property
    def wants(self) -> Audio:
        """See ``Annotate.wants``."""
        return Audio()

    def begin(self, key: str, row: Mapping[str, Any], duration_seconds: float) -> list[_Meters]:
        """See ``InStretches.begin``."""
        return []

    def see(self, memory: list[_Meters], stretch: Seen) -> None:
        """See ``InStretches.see``."""
        if stretch.audio is None or stretch.audio_rate is None:
            return
        if not memory:
            memory.append(_Meters(stretch.audio_rate, len(stretch.audio)))
        memory[0].push(stretch.audio)

    def end(self, memory: list[_Meters]) -> Mapping[str, Any]:
        """See ``InStretches.end``."""
        return memory[0].end(self.silence_dbfs)


class _Meters:
    """All that is measured of one sound, which comes in pieces."""

    def __init__(self, rate: int, channels: int) -> None:
        self._block = block_samples(rate)
        self._loudness = LoudnessMeter(rate, channels)
        self._peaks, self._clipping = PeakMeter(channels), ClippingMeter(channels)
        self._rest = np.zeros((channels, 0), np.float32)
        self._levels: list[float] = []
        self._count = 0

    def push(self, samples: Array) -> None:
        self._count += samples.size
        self._peaks.push(samples)
        self._clipping.push(samples)
        joined = np.concatenate([self._rest, samples], axis=1)
        whole = joined.shape[1] // self._block * self._block
        blocks, self._rest = joined[:, :whole], joined[:, whole:]
        self._loudness.push(blocks)
        power = np.square(blocks).reshape(len(blocks), -1, self._block).mean(axis=(0, 2))
        self._levels += [_decibels(math.sqrt(one)) for one in power.tolist()]

    def end(self, silence_dbfs: float) -> dict[str, Any]:
        self._peaks.end()
        # What is left over counts as a block if it is most of one, or all there is.
        if not self._levels or self._rest.shape[1] >= self._block / 2:
            self._levels.append(_decibels(math.sqrt(np.square(self._rest).mean())))
        silent = np.count_nonzero(np.array(self._levels) <= silence_dbfs)
        return {
            "loudness_lufs": self._loudness.integrated(),
            "loudness_range_lu": self._loudness.range(),
            "true_peak_dbtp": _decibels(self._peaks.true_peak),
            "peak_dbfs": _decibels(self._peaks.sample_peak),
            "level": statistics(self._levels),
            "silence_share": silent / len(self._levels),
            "clipping_share": self._clipping.clipped / self._count,
        }


def _decibels(amplitude: float) -> float:
    """An amplitude in decibels of full scale."""
    return max(_FLOOR_DB, 20 * math.log10(amplitude)) if amplitude > 0 else _FLOOR_DB
