"""How much text is in the picture, and how much of it was laid over it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from clipmill.core.extras import require
from clipmill.core.request import Frames
from clipmill.core.seen import Seen
from clipmill.steps.base import column
from clipmill.steps.score.frame_scores import FrameScores, ScoreMemory
from clipmill.steps.score.opencv import opencv
from clipmill.steps.score.text_in_place import Look, TextsInPlace

Array = np.ndarray[Any, Any]

_LONGEST, _SHORTEST = 2000, 32
"""Pixels of a picture's sides that rapidocr looks at; it fails over what it would round to none."""

_TEXT = pa.struct(
    [
        *((name, pa.float32()) for name in ("x", "y", "width", "height")),
        ("start_seconds", pa.float32()),
        ("end_seconds", pa.float32()),
        ("kind", pa.string()),
    ]
)


class TextStep(FrameScores):
    """Text found in a few frames a second, and which of it was laid over the picture.

    Found by the detector of PP-OCRv6 (small), which comes with rapidocr; nothing is read. Its boxes
    reach beyond the letters, as thresholds in use expect: measured, they take 1.4 times the area of
    a line that is a tenth of the picture high, and twice that of one of 2 to 3 %, the smallest that
    is found at 360 lines. What is overlay is told by what stays in place (see ``text_in_place``).
    In a single frame nothing can be told, nor in a shot that stands still of text that is there
    from its beginning to its end. Text that rolls or crawls over the picture counts as text of the
    scene, that of a screen in the scene, where it changes in place, as overlay, and large black and
    white blocks count as text. Of 193 texts drawn over moving pictures and within them none was
    told wrongly, and 27 not at all: half transparent ones coded at a low rate, subtitles of one
    second, signs that leave the picture. A frame of 640x360 takes 0.3 s of processor time.
    """

    name = "text"
    needs = (("rapidocr", "ocr"), ("onnxruntime", "ocr"))
    cost = "model"
    scores: ClassVar[Mapping[str, tuple[str, str]]] = {
        "area_share": ("share of the picture that boxes around text take", "share"),
        "box_count": ("boxes around text, about one a line", "boxes"),
    }
    further = (
        column(
            "overlay_share",
            pa.float32(),
            "mean share of the picture taken by text laid over it, such as subtitles and "
            "watermarks: it stays in place while the view moves or is cut, or comes or goes while "
            "the view stands; null where there is text and it can be told of none",
            unit="share",
        ),
        column(
            "scene_share",
            pa.float32(),
            "mean share of the picture taken by text of the scene: it is found elsewhere as the "
            "view or its bearer moves; null like overlay_share. What both lack of area_share.mean "
            "could not be told",
            unit="share",
        ),
        column(
            "texts",
            pa.list_(_TEXT),
            "each text for as long as it stays in its place: its box in shares of the picture's "
            "width and height, the first and last frame it was found in, and its kind: overlay, "
            "scene, or null",
        ),
    )

    fps: float = Field(1.0, gt=0)
    """Frames looked at per second."""
    short_side: int = Field(360, ge=64)
    """Short side of the frames that are looked at, in pixels."""
    least_score: float = Field(0.5, ge=0, le=1)
    """Score from which on the detector's boxes count, 0 to 1."""

    @property
    def wants(self) -> Frames:
        """See ``Annotate.wants``."""
        return Frames(fps=self.fps, short_side=self.short_side)

    def setup(self) -> None:
        """See ``Annotate.setup``."""
        _detector(self.least_score)

    def measure(self, memory: ScoreMemory, stretch: Seen) -> None:
        """See ``FrameScores.measure``."""
        assert stretch.frames is not None
        assert stretch.pts_seconds is not None
        texts: TextsInPlace = memory.notes.setdefault("texts", TextsInPlace())
        for pixels, pts_seconds in zip(stretch.frames, stretch.pts_seconds, strict=True):
            boxes = self._boxes(pixels)
            look = Look(opencv().cvtColor(pixels, opencv().COLOR_RGB2GRAY), boxes, pts_seconds)
            memory.add(pts_seconds, area_share=min(sum(look.shares), 1), box_count=len(boxes))
            texts.add(look)

    def conclude(self, memory: ScoreMemory) -> Mapping[str, Any]:
        """See ``FrameScores.conclude``."""
        texts = memory.notes["texts"].end()
        shares = dict.fromkeys(("overlay", "scene", None), 0.0)
        for text in texts:
            shares[text.kind] += text.share / len(memory.pts_seconds)
        told = not texts or any(text.kind for text in texts)
        return {
            "overlay_share": shares["overlay"] if told else None,
            "scene_share": shares["scene"] if told else None,
            "texts": [text.row() for text in texts],
        }

    def _boxes(self, pixels: Array) -> Array:
        """The corners of each box, ``(n, 4, 2)``, in pixels."""
        detect = _detector(self.least_score)
        fitting, scale = _fitting(pixels)
        found = detect(fitting[..., ::-1], use_det=True, use_cls=False, use_rec=False).boxes
        if found is None:
            return np.empty((0, 4, 2), np.float32)
        return np.asarray(found, np.float32) * scale


def _fitting(pixels: Array) -> tuple[Array, Array]:
    """A picture as rapidocr takes it, and what its boxes are to be multiplied by.

    It brings a long side down to 2000 pixels and the other one to a multiple of 32, which may be
    none of it: such strips are made as high as the detector needs.
    """
    height, width = pixels.shape[:2]
    shrink = min(1, _LONGEST / max(height, width))
    if round(int(min(height, width) * shrink) / _SHORTEST):
        return pixels, np.ones(2, np.float32)
    size = max(round(width * shrink), _SHORTEST), max(round(height * shrink), _SHORTEST)
    fitting = opencv().resize(pixels, size, interpolation=opencv().INTER_AREA)
    return fitting, np.array([width / size[0], height / size[1]], np.float32)


@cache
def _detector(least_score: float) -> Any:
    """The detector alone, in one thread, at the size that it is given."""
    rapidocr: Any = require("rapidocr", extra="ocr", used_by="step 'text'")
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Det.limit_type": "max",
            "Det.limit_side_len": 1 << 16,
            "Det.box_thresh": least_score,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
