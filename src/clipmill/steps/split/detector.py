"""What a cut is, and what every detector of cuts keeps to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clipmill.core.config import Config
from clipmill.core.request import Frames

if TYPE_CHECKING:
    from clipmill.media.decode import Picture

GROUP = "clipmill.detectors"
"""Entry point group by which detectors are known."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The first frame of a new scene.

    Args:
        number: of the frame in order of showing, 0 for the source's first.
        pts: the frame's timestamp as in the file, in ticks.
        seconds: exact time from the source's first frame.
        score: what the detector measured there, in its own unit.
        seam: content distance (0 to 255) of the frames a little before and after the cut; None
            where it was not asked for.
    """

    number: int
    pts: int
    seconds: Fraction
    score: float
    seam: float | None = None


class DetectorOptions(Config):
    """Settings that all detectors share."""

    min_scene_frames: int = Field(15, ge=0)
    """Fewest frames between two cuts, counted at the stream's nominal rate; 0 for no such rule."""


class Detector(ABC):
    """Finds cuts while pictures go by; one object sees one source, in order and once.

    Args:
        options: an instance of the detector's own ``Options``.
        frame_rate: the stream's nominal rate in frames/s, which scene lengths are counted by.
        fast: decide on small pictures alone, which may differ a little from full-size ones.
    """

    Options: ClassVar[type[DetectorOptions]] = DetectorOptions
    needs: ClassVar[tuple[tuple[str, str], ...]] = (("cv2", "scenes"),)
    """Optional modules it looks with, each with the extra of clipmill that brings it."""
    wants: ClassVar[Frames] = Frames()

    def __init__(self, options: DetectorOptions, frame_rate: Fraction, *, fast: bool) -> None:
        self.options = options
        self.frame_rate = frame_rate
        self.fast = fast

    @abstractmethod
    def push(self, picture: Picture) -> list[Cut]:
        """Look at the next picture; gives the cuts that are certain now, in order of time."""

    def finish(self) -> list[Cut]:
        """The cuts that the end of the source makes certain."""
        return []

    @property
    @abstractmethod
    def decided_seconds(self) -> Fraction:
        """No cut that is still to come lies before this time, in seconds from the first frame."""


def cut_at(picture: Picture, score: float) -> Cut:
    """The cut that a scene starting with this picture makes."""
    return Cut(picture.number, picture.pts, picture.seconds, score)
