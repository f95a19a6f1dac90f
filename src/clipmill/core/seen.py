"""What a step is shown of one sample, and what it makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

CellStatus = Literal["success", "absent", "failed"]


@dataclass(frozen=True, slots=True)
class CodedPacket:
    """What a decoder is given at once.

    Args:
        kind: ``video`` or ``audio``.
        data: of H.264 and HEVC the slices and messages without start codes or lengths, and
            without parameter sets, delimiters and filler, which containers keep in ways of their
            own; of AAC without ADTS header.
    """

    kind: Literal["video", "audio"]
    data: bytes


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Seen:
    """A sample as a step sees it: its frames or its sound, or a stretch of them, and its row.

    Args:
        key: the sample's.
        row: the columns that the step ``reads``; None where the row has no value.
        duration_seconds: length of the sample, in seconds.
        frames: uint8 ``(T, H, W, 3)`` RGB in [0, 255], or ``(T, H, W)`` where ``gray`` was wanted;
            None where no frames were wanted.
        pts_seconds: float64 ``(T,)``, when each frame is shown, in seconds from the sample's start.
        frame_numbers: int64 ``(T,)``, each frame's place in its source in order of showing; that of
            a neighbour is one more.
        repeats: int64 ``(T,)``, at how many of the wanted times each frame is shown; at least 1.
        audio: float32 ``(channels, N)`` in [-1, 1]; None where no sound was wanted.
        audio_rate: samples/s of each channel.
        audio_start_seconds: when the first sample of ``audio`` sounds, from the sample's start.
        packets: in order of decoding; None where none were wanted.
    """

    key: str
    row: Mapping[str, Any] = field(default_factory=dict)
    duration_seconds: float
    frames: npt.NDArray[np.uint8] | None = None
    pts_seconds: npt.NDArray[np.float64] | None = None
    frame_numbers: npt.NDArray[np.int64] | None = None
    repeats: npt.NDArray[np.int64] | None = None
    audio: npt.NDArray[np.float32] | None = None
    audio_rate: int | None = None
    audio_start_seconds: float = 0.0
    packets: Sequence[CodedPacket] | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """What one step says of one sample.

    Args:
        status: ``success``; ``absent`` where the sample has nothing of what the step looks at, such
            as sound; or ``failed``.
        values: by column of the step; empty unless it succeeded.
        error_class: short snake_case class that failures are counted by.
        error_message: the real first cause.
        seconds: processor time the step took for it.
    """

    status: CellStatus
    values: Mapping[str, Any] = field(default_factory=dict)
    error_class: str | None = None
    error_message: str | None = None
    seconds: float = 0.0
