"""How much moves in a sample: all, the camera, what moves besides; and what stands still."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from clipmill.core.request import Frames
from clipmill.core.seen import Seen
from clipmill.steps.base import column
from clipmill.steps.score.camera import CameraMove
from clipmill.steps.score.frame_scores import FrameScores, ScoreMemory
from clipmill.steps.score.opencv import NEEDS, opencv
from clipmill.steps.score.stillness import Freezes, repeats_of

Array = np.ndarray[Any, Any]

# Five frames in a row show every frame that is repeated once or twice, with a change on both sides.
_BURST = 5
# So many lines give a rank correlation of 0.96 with Farneback's flow in full size between the same
# frames, at a seventeenth of its cost for the whole step; see bench/README.md.
_SHORT_SIDE = 64
_FARNEBACK = {
    "pyr_scale": 0.5,
    "levels": 3,
    "winsize": 15,
    "iterations": 2,
    "poly_n": 5,
    "poly_sigma": 1.1,
    "flags": 0,
}
_SPEED = "short sides/s"


@dataclass(frozen=True, slots=True)
class _Shown:
    picture: Array
    seconds: float
    number: int


@dataclass(slots=True)
class _Notes:
    """What is kept of a sample from stretch to stretch.

    Args:
        freezes: adds up how long the picture stood still.
        row: frames that follow each other, of which the first may begin a burst.
        views: of each burst how fast the view moved, as a complex number.
        repeated: of each burst that is not still, the share of frames that are repeated.
    """

    freezes: Freezes
    row: list[_Shown] = field(default_factory=list)
    views: list[complex] = field(default_factory=list)
    repeated: list[float] = field(default_factory=list)


class MotionStep(FrameScores):
    """Motion of the picture, of the camera and of things, per second; freezes and repeated frames.

    Twice a second five neighbouring frames are looked at in gray, 64 lines along the short side.
    Farneback's flow ("Two-frame motion estimation based on polynomial expansion", 2003) between
    two of them, divided by the time between them and by the short side, does not depend on size or
    frame rate. Where frames are repeated (12 frames/s shown at 24), it is taken between two that
    differ, over the time that each is shown. A picture that does not change is measured from the
    first to the last of the five, which shows slow motion. A hard cut between two frames counts as
    motion: split first. Frames repeated more than twice in a row (12 frames/s shown at 60) read as
    hardly any motion, and pictures without texture, or blurred ones, as less than there is. So do
    speeds above a tenth of the short side from frame to frame (3 short sides/s at 30 frames/s): at
    8 short sides/s a sixth is measured.

    The camera's part is a similarity fitted to the flow where there is texture, such that things
    with a motion of their own do not count. Its signs say where the view goes: ``pan_x`` is
    positive to the right (what is seen goes to the left), ``pan_y`` down, ``zoom`` closer (0.1:
    things grow by a factor of e^0.1 in a second), ``roll`` clockwise. A camera that moves sideways
    looks like one that turns.
    """

    name = "motion"
    needs = NEEDS
    leading = "motion"
    scores: ClassVar[Mapping[str, tuple[str, str]]] = {
        "motion": ("mean length of the flow, camera and things together", _SPEED),
        "subject": ("mean length of what is left of the flow without the camera's part", _SPEED),
        "pan_x": ("speed of the view to the right", _SPEED),
        "pan_y": ("speed of the view downwards", _SPEED),
        "zoom": ("relative growth of what is seen", "1/s"),
        "roll": ("turning of the camera, clockwise", "degrees/s"),
    }
    further = (
        column(
            "shake",
            pa.float32(),
            "how unsteady the view is: spread of its speed from one look to the next, beyond what "
            "a steady change of speed explains; null for fewer than three looks",
            unit=_SPEED,
        ),
        column(
            "freeze_share",
            pa.float32(),
            "share of the time in which the picture stands still for a look to the next at least; "
            "freezes of two looks' distance are always found",
            unit="share",
        ),
        column(
            "duplicate_share",
            pa.float32(),
            "share of frames, where something moves, that show the one before again: 0.5 for 12 "
            "frames/s shown at 24; null where nothing moves",
            unit="share",
        ),
    )

    fps: float = Field(2.0, gt=0)
    """Looks per second; each takes five neighbouring frames."""

    @property
    def wants(self) -> Frames:
        """See ``Annotate.wants``."""
        return Frames(fps=self.fps, burst=_BURST, short_side=_SHORT_SIDE, pixel_format="gray")

    def measure(self, memory: ScoreMemory, stretch: Seen) -> None:
        """See ``FrameScores.measure``."""
        assert stretch.frames is not None
        assert stretch.pts_seconds is not None
        assert stretch.frame_numbers is not None
        notes = memory.notes.setdefault("motion", _Notes(Freezes(1 / self.fps)))
        for picture, seconds, number in zip(
            stretch.frames, stretch.pts_seconds, stretch.frame_numbers, strict=True
        ):
            shown = _Shown(picture, float(seconds), int(number))
            follows = bool(notes.row) and notes.row[-1].number + 1 == shown.number
            notes.freezes.add(picture, shown.seconds, follows=follows)
            if not follows:
                self._look_at_all(memory, notes)
            notes.row.append(shown)
            if len(notes.row) == _BURST:
                self._look(memory, notes)

    def conclude(self, memory: ScoreMemory) -> Mapping[str, Any]:
        """See ``FrameScores.conclude``."""
        notes: _Notes = memory.notes["motion"]
        self._look_at_all(memory, notes)
        notes.freezes.end(memory.duration_seconds)
        return {
            "shake": _shake(notes.views),
            "freeze_share": min(1.0, notes.freezes.seconds / memory.duration_seconds),
            "duplicate_share": np.mean(notes.repeated) if notes.repeated else None,
        }

    def _look_at_all(self, memory: ScoreMemory, notes: _Notes) -> None:
        """What is left of frames in a row, once no further one follows."""
        while len(notes.row) > 1:
            self._look(memory, notes)
        notes.row.clear()

    def _look(self, memory: ScoreMemory, notes: _Notes) -> None:
        """Measure the burst that the first frame of the row begins, if it does, and drop it."""
        burst = list(notes.row)
        del notes.row[0]
        if not _is_chosen(burst[0].seconds, burst[1].seconds, self.fps):
            return
        before, after, seconds, repeated = _pair(burst)
        flow = opencv().calcOpticalFlowFarneback(before, after, None, **_FARNEBACK)
        move = CameraMove.of(flow, before)
        length = np.hypot(flow[..., 0], flow[..., 1]).mean() / min(before.shape)
        memory.add(
            burst[0].seconds,
            motion=length / seconds,
            subject=move.subject / seconds,
            pan_x=move.right / seconds,
            pan_y=move.down / seconds,
            zoom=move.zoom / seconds,
            roll=math.degrees(move.roll) / seconds,
        )
        notes.views.append(complex(move.right, move.down) / seconds)
        if repeated is not None:
            notes.repeated.append(repeated)


def _is_chosen(begin: float, end: float, fps: float) -> bool:
    """Whether a frame is shown at one of the times k / fps, as ``Frames.fps`` chooses."""
    nearest = math.ceil(begin * fps - 1e-6)
    return nearest < end * fps - 1e-6


def _pair(burst: Sequence[_Shown]) -> tuple[Array, Array, float, float | None]:
    """Two pictures to compare, the time from one to the other, and the share of frames repeated.

    The time is that between changes of the picture: of five frames the first of which may be a
    repeat, as long as the picture stands between two changes; of two changes that is not seen, so
    the longest stand is taken; where there are more than two, their mean. The share is None where
    nothing changes.
    """
    pictures = [shown.picture for shown in burst]
    times = [shown.seconds for shown in burst]
    repeats = repeats_of(pictures)
    changes = [place for place, repeat in enumerate(repeats, 1) if not repeat]
    if not changes:
        return pictures[0], pictures[-1], times[-1] - times[0], None
    here = changes[0]
    if len(changes) == len(repeats):
        return pictures[0], pictures[1], times[1] - times[0], 0.0
    frame_seconds = (times[-1] - times[0]) / len(repeats)
    counts = [end - begin for begin, end in pairwise([0, *changes, len(burst)])]
    whole = counts[1:-1]
    stands = sum(counts) / len(counts) if len(whole) > 1 else max(whole or counts)
    return pictures[here - 1], pictures[here], stands * frame_seconds, 1 - 1 / stands


def _shake(views: Sequence[complex]) -> float | None:
    """Spread of the view's speed, from the median of its second differences.

    For a speed that is steady but for normal noise of spread s in both directions, the second
    difference has a spread of s sqrt(6), and its length a median of s sqrt(6) sqrt(2 ln 2).
    """
    if len(views) < 3:
        return None
    bends = np.abs(np.diff(views, 2))
    return float(np.median(bends)) / math.sqrt(12 * math.log(2))
