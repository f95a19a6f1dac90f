"""The two motion scores of Hugging Face's video-dataset-scripts, for what was written for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from clipmill.core.request import Frames
from clipmill.core.seen import Seen
from clipmill.steps.base import InStretches, column
from clipmill.steps.score.opencv import NEEDS, opencv

Array = np.ndarray[Any, Any]

_FLOW_WIDTH = 16
_CORNERS = {"maxCorners": 50, "qualityLevel": 0.3, "minDistance": 7, "blockSize": 7}
_SEARCH = {"winSize": (15, 15), "maxLevel": 2}
_LINE_WIDTH = 2
_SEED = 0


@dataclass(slots=True)
class _Memory:
    """What was seen so far.

    Args:
        last: the key frame before, gray.
        flows: mean of both components of the flow of each pair.
        corners: those still followed, float32 ``(N, 1, 2)``; None before the first frame.
        tracks: where they went, drawn on black.
    """

    last: Array | None = None
    flows: list[float] = field(default_factory=list)
    corners: Array | None = None
    tracks: Array | None = None


class MotionLegacyStep(InStretches):
    """The columns motion_fb and motion_lk as video-dataset-scripts compute them, for parity.

    Both compare key frames, of which a short clip often has one, so that nothing moves; use
    ``motion`` for anything new. ``motion_fb``: Farneback's flow between neighbouring key frames in
    full size, each averaged down to 16 pixels across, then the mean of both signed components over
    all pairs. ``motion_lk``: up to 50 corners of the first key frame are followed by Lucas and
    Kanade's method, their ways drawn as coloured lines on black; the mean of that drawing. As
    there, red and blue are taken for each other. Unlike there, colours are the same each time, and
    corners that are lost or were never there are no error.
    """

    name = "motion_legacy"
    needs = NEEDS
    cost = "decode"

    @property
    def columns(self) -> pa.Schema:
        """See ``Annotate.columns``."""
        return pa.schema(
            [
                column(
                    "motion_fb",
                    pa.float32(),
                    "mean signed flow between key frames",
                    unit="pixels per key frame",
                    exported="motion_fb",
                ),
                column(
                    "motion_lk",
                    pa.float32(),
                    "mean brightness of the ways of corners, drawn on black",
                    unit="levels",
                    exported="motion_lk",
                ),
            ]
        )

    @property
    def wants(self) -> Frames:
        """See ``Annotate.wants``."""
        return Frames(keyframes=True)

    def begin(self, key: str, row: Mapping[str, Any], duration_seconds: float) -> _Memory:
        """See ``InStretches.begin``."""
        return _Memory()

    def see(self, memory: _Memory, stretch: Seen) -> None:
        """See ``InStretches.see``."""
        assert stretch.frames is not None
        cv2 = opencv()
        for pixels in stretch.frames:
            gray = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
            if memory.last is None or memory.last.shape != gray.shape:
                memory.corners = cv2.goodFeaturesToTrack(gray, mask=None, **_CORNERS)
                memory.tracks = np.zeros_like(pixels)
            else:
                memory.flows.append(_mean_flow(memory.last, gray))
                _follow(memory, gray)
            memory.last = gray

    def end(self, memory: _Memory) -> Mapping[str, Any]:
        """See ``InStretches.end``."""
        drawn = memory.tracks
        return {
            # One key frame is compared with the first frame there, which it is.
            "motion_fb": float(np.mean(memory.flows)) if memory.flows else 0.0,
            "motion_lk": 0.0 if drawn is None else float(drawn.mean()),
        }


def _mean_flow(before: Array, after: Array) -> float:
    cv2 = opencv()
    flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    height, width = before.shape
    size = (_FLOW_WIDTH, max(1, round(height * _FLOW_WIDTH / width)))
    return float(cv2.resize(flow, size, interpolation=cv2.INTER_AREA).mean())


def _follow(memory: _Memory, gray: Array) -> None:
    """Draw how corners went from one key frame to the next; those that are lost stay behind."""
    cv2 = opencv()
    if memory.corners is None or not len(memory.corners):
        return
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.03)
    found, status, _ = cv2.calcOpticalFlowPyrLK(
        memory.last, gray, memory.corners, None, criteria=criteria, **_SEARCH
    )
    kept = status.ravel() == 1
    colors = np.random.default_rng(_SEED).integers(0, 255, (len(kept), 3))
    pairs = zip(memory.corners[kept], found[kept], strict=True)
    for ((begin,), (end,)), color in zip(pairs, colors, strict=False):
        points = (tuple(map(int, point)) for point in (end, begin))
        cv2.line(memory.tracks, *points, color.tolist(), _LINE_WIDTH)
    memory.corners = found[kept].reshape(-1, 1, 2)
