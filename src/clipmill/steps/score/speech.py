"""How much of a sample's sound is speech."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from clipmill.core.extras import require
from clipmill.core.request import Audio
from clipmill.core.seen import Seen
from clipmill.steps.base import InStretches, column
from clipmill.steps.score.frame_scores import STATISTICS, statistics

Array = np.ndarray[Any, Any]

_RATE = 16_000
_WINDOW = 512
_WINDOWS_PER_SECOND = _RATE / _WINDOW
# Windows that are judged in one go; with the next ones the detector starts anew.
_AT_ONCE = 600 * _RATE // _WINDOW


class SpeechStep(InStretches):
    """Share of speech, by the Silero voice activity detector that comes with faster-whisper.

    Measured with a made voice: all of it is found down to -64 dBFS and in noise as loud as itself,
    half of it over a chord as loud, a tenth over one 10 dB louder, and less than half where it goes
    on without any pause.
    """

    name = "speech"
    needs = (("faster_whisper", "asr"),)
    wants = Audio(rate=_RATE, channels=1)
    columns = pa.schema(
        [
            column(
                "share",
                pa.float32(),
                "share of windows of 32 ms that are taken for speech: whose probability reaches "
                "threshold",
                unit="share",
            ),
            column(
                "probability",
                STATISTICS,
                "probability of speech, meant over each second of the sound",
                unit="probability",
            ),
        ]
    )

    threshold: float = Field(0.5, ge=0, le=1)
    """Probability from which on a window counts as speech."""

    def setup(self) -> None:
        """See ``Annotate.setup``."""
        _detector()

    def begin(self, key: str, row: Mapping[str, Any], duration_seconds: float) -> _Heard:
        """See ``InStretches.begin``."""
        return _Heard()

    def see(self, memory: _Heard, stretch: Seen) -> None:
        """See ``InStretches.see``."""
        if stretch.audio is not None:
            memory.push(stretch.audio[0])

    def end(self, memory: _Heard) -> Mapping[str, Any]:
        """See ``InStretches.end``."""
        probabilities = memory.end()
        seconds = np.arange(len(probabilities)) // _WINDOWS_PER_SECOND
        starts = np.flatnonzero(np.diff(seconds, prepend=-1))
        counts = np.diff([*starts, len(probabilities)])
        return {
            "share": np.mean(probabilities >= self.threshold),
            "probability": statistics((np.add.reduceat(probabilities, starts) / counts).tolist()),
        }


class _Heard:
    """Sound that was not judged yet, and the probabilities of what was."""

    def __init__(self) -> None:
        self._rest = np.empty(0, np.float32)
        self._probabilities: list[Array] = []

    def push(self, samples: Array) -> None:
        self._rest = np.concatenate([self._rest, samples])
        while len(self._rest) >= _AT_ONCE * _WINDOW:
            self._judge(self._rest[: _AT_ONCE * _WINDOW])
            self._rest = self._rest[_AT_ONCE * _WINDOW :]

    def end(self) -> Array:
        """The probability of each window; a last one is filled up with silence."""
        if len(self._rest):
            self._judge(np.pad(self._rest, (0, -len(self._rest) % _WINDOW)))
        return np.concatenate(self._probabilities)

    def _judge(self, samples: Array) -> None:
        said = _detector()(samples.copy())  # which it may change
        self._probabilities.append(np.asarray(said, np.float64).ravel())


@cache
def _detector() -> Any:
    vad: Any = require("faster_whisper.vad", extra="asr", used_by="step 'speech'")
    return vad.get_vad_model()
