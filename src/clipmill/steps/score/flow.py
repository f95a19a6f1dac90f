"""Dense optical flow, as arrays that are kept, in video2dataset's terms."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from clipmill.core.request import Frames
from clipmill.core.seen import Seen
from clipmill.steps.base import Annotate, column
from clipmill.steps.score.opencv import NEEDS, opencv
from clipmill.steps.score.raft import RAFT, raft

Array = np.ndarray[Any, Any]

_RAFT_LEAST_SIDE = 128
"""Its features are an eighth as large, and correlated at four scales."""


class FlowStep(Annotate):
    """Dense flow between the frames that are looked at: an .npy in a column, with its means.

    The array is what video2dataset's stage ``optical_flow`` writes as ``<key>.npy``, and becomes
    that member in exports with ``--columns flow``: ``(T - 1, H, W, 2)``, in pixels of the size
    looked at, x first, between each frame and the next one at ``fps``. The columns after it bear
    that stage's names, in exports too. Unlike there, luma is luma: red and blue are not taken for
    each other. RAFT (Teed and Deng 2020) takes its pictures at the size its weights are for, and
    its flow is brought back to the size looked at; it needs the extra ``raft``.
    """

    name = "flow"
    needs = NEEDS
    cost = "heavy"

    detector: Literal["cv2", "raft"] = "cv2"
    """How flow is found: `cv2`, Farneback's algorithm; or `raft`, a network."""
    weights: str = RAFT
    """Of raft: a local ONNX file, or one on the hub as `hf://OWNER/NAME@REVISION/FILE`."""
    fps: float = Field(2.0, gt=0)
    """Frames that are looked at, in frames/s."""
    resize: int = Field(16, ge=2)
    """Short side of the frames that are looked at, in pixels; for raft at least 128, better 360."""
    dtype: Literal["fp16", "fp32"] = "fp16"
    """Precision of the array."""

    @model_validator(mode="after")
    def _is_large_enough(self) -> Self:
        if self.detector == "raft" and self.resize < _RAFT_LEAST_SIDE:
            raise ValueError(
                f"raft sees nothing in pictures of {self.resize} pixels; say resize=360, or at "
                f"least {_RAFT_LEAST_SIDE}"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """See ``Annotate.identity``; no weights where none are used."""
        unused = {"weights"} if self.detector != "raft" else set()
        return self.model_dump(mode="json", exclude=unused)

    def setup(self) -> None:
        """See ``Annotate.setup``."""
        if self.detector == "raft":
            raft(self.weights)

    @property
    def columns(self) -> pa.Schema:
        """See ``Annotate.columns``."""
        pixels = "pixels of the size looked at"
        return pa.schema(
            [
                column(
                    "npy",
                    pa.large_binary(),
                    "the flow as bytes of an .npy file: (T - 1, H, W, 2), x first",
                    unit=pixels,
                ),
                _as_there(
                    "mean_optical_flow_magnitude",
                    pa.float32(),
                    "mean length of all of the flow; null with fewer than two frames",
                    pixels,
                ),
                _as_there(
                    "mean_optical_flow_magnitude_per_frame",
                    pa.list_(pa.float32()),
                    "mean length of the flow from each frame to the next",
                    pixels,
                ),
                _as_there("optical_flow_fps", pa.float32(), "frames looked at", "frames/s"),
                _as_there(
                    "optical_flow_downsample_size",
                    pa.list_(pa.int32()),
                    "height and width looked at",
                    "pixels",
                ),
                _as_there(
                    "optical_flow_dtype", pa.string(), "precision of the array: fp16 or fp32"
                ),
            ]
        )

    @property
    def wants(self) -> Frames:
        """See ``Annotate.wants``."""
        color: Literal["rgb24", "gray"] = "rgb24" if self.detector == "raft" else "gray"
        return Frames(fps=self.fps, short_side=self.resize, pixel_format=color)

    def annotate(self, batch: Sequence[Seen]) -> Sequence[Mapping[str, Any]]:
        """See ``Annotate.annotate``."""
        return [self._flow_of(seen) for seen in batch]

    def _flow_of(self, seen: Seen) -> Mapping[str, Any]:
        assert seen.frames is not None
        assert seen.repeats is not None
        # A frame that is shown at several of the times does not move from one to the next.
        frames = np.repeat(seen.frames, seen.repeats, axis=0)
        find = raft(self.weights).flow if self.detector == "raft" else _farneback
        flow = np.zeros((len(frames) - 1, *frames.shape[1:3], 2), np.float32)
        for number in range(len(flow)):
            flow[number] = find(frames[number], frames[number + 1])
        lengths = np.hypot(flow[..., 0], flow[..., 1]).mean(axis=(1, 2))
        return {
            "npy": _npy(flow.astype(np.float16 if self.dtype == "fp16" else np.float32)),
            "mean_optical_flow_magnitude": lengths.mean() if len(lengths) else None,
            "mean_optical_flow_magnitude_per_frame": lengths,
            "optical_flow_fps": self.fps,
            "optical_flow_downsample_size": frames.shape[1:3],
            "optical_flow_dtype": self.dtype,
        }


def _farneback(before: Array, after: Array) -> Array:
    flow: Array = opencv().calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    return flow


def _as_there(name: str, kind: pa.DataType, description: str, unit: str = "") -> pa.Field[Any]:
    """A column that keeps video2dataset's name in exports."""
    return column(name, kind, description, unit=unit, exported=name)


def _npy(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
