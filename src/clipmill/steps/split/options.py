"""The settings of the split step: what ends a clip, and which clips are kept."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from clipmill.core import registry
from clipmill.core.config import parse_config
from clipmill.core.errors import RecipeError
from clipmill.core.time import parse_seconds
from clipmill.steps.split.detector import GROUP, Detector, DetectorOptions
from clipmill.steps.step import Split

RULES = ("column", "cuts", "keyframes", "stride", "subtitles", "whole")
"""Ways of splitting that look at no picture."""
_OF_CLIPS = (
    "min_seconds",
    "max_seconds",
    "trim_start_seconds",
    "trim_end_seconds",
    "merge_below",
    "longest_only",
)


def _as_number(seconds: Fraction) -> float | int:
    return seconds.numerator if seconds.denominator == 1 else float(seconds)


Seconds = Annotated[
    Fraction,
    BeforeValidator(parse_seconds),
    PlainSerializer(_as_number, return_type=float | int),
]


class SplitOptions(Split):
    """How a source is split into clips."""

    name: ClassVar[str] = "split"

    detector: str = "content"
    """What ends a clip: a detector of cuts (content, adaptive, threshold, histogram, hash,
    transition, or one that another package brings), or stride (fixed lengths), keyframes, column
    (the spans of each row's clips), cuts (those that keep_whole found in an earlier run), subtitles
    (one clip per line, which becomes its caption), or whole."""
    detector_options: dict[str, Any] = Field(default_factory=dict)
    """Settings of the detector itself, such as threshold or min_scene_frames."""
    min_seconds: Seconds = Fraction(0)
    """Shorter clips are left out, in seconds."""
    max_seconds: Seconds | None = None
    """Longest clip, in seconds; see max_strategy for scenes that are longer."""
    max_strategy: Literal["all", "first", "drop"] = "all"
    """Of a scene that is too long, keep all pieces of max_seconds, the first one, or none."""
    trim_start_seconds: Seconds = Fraction(0)
    """Cut off the start of every scene, in seconds."""
    trim_end_seconds: Seconds = Fraction(0)
    """Cut off the end of every scene, in seconds."""
    merge_below: float | None = Field(None, ge=0, le=255)
    """Join neighbouring scenes whose pictures differ by less than this on both sides of the cut
    (mean change of a pixel, 0 to 255): flashes and jumps part them, but they belong together."""
    longest_only: bool = False
    """Keep only the longest scene of each source."""
    keep_whole: bool = False
    """Find the cuts and keep them in the column cuts, but leave every source whole."""
    stride_seconds: Seconds | None = None
    """With stride: a clip starts every so many seconds, and lasts max_seconds or else as long."""
    frame_rates: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Detect at these frame rates (frames/s) as well, which shows slow transitions; the cuts are
    kept as columns."""
    fast: bool = False
    """Decode and look less exactly: nearly the same cuts at a half to a third of the cost."""
    max_clips: int = Field(100_000, ge=1)
    """A source that gives more clips than this is a failure."""

    @model_validator(mode="after")
    def _fits_together(self) -> SplitOptions:
        if self.max_seconds is not None and not 0 < self.max_seconds >= self.min_seconds:
            raise ValueError("max_seconds must be greater than zero and not below min_seconds")
        if self.detector == "stride" and self.stride_seconds is None:
            raise ValueError("the detector stride needs stride_seconds: how long clips are to be")
        if self.detector != "stride" and self.stride_seconds is not None:
            raise ValueError(f"stride_seconds goes with the detector stride, not {self.detector}")
        if self.stride_seconds is not None and self.stride_seconds <= 0:
            raise ValueError("stride_seconds must be greater than zero")
        if self.detector in RULES and (self.detector_options or self.frame_rates):
            raise ValueError(f"detector_options and frame_rates do not go with {self.detector}")
        if self.detector in RULES and self.merge_below is not None:
            raise ValueError(
                f"merge_below does not go with {self.detector}, which sees no pictures"
            )
        if self.keep_whole and (useless := [name for name in _OF_CLIPS if getattr(self, name)]):
            raise ValueError(f"keep_whole makes no clips, so {useless[0]} has no effect")
        if self.keep_whole and self.detector in RULES and self.detector != "whole":
            raise ValueError(f"keep_whole does not go with {self.detector}, which finds no cuts")
        return self

    @cached_property
    def looks(self) -> bool:
        """Whether pictures are looked at."""
        return self.detector not in RULES

    def detector_type(self) -> type[Detector]:
        """The detector's class.

        Raises:
            RecipeError: nothing has that name.
        """
        known = registry.names(GROUP)
        if self.detector not in known:
            advice = registry.nearest(self.detector, sorted([*known, *RULES]))
            raise RecipeError(f"There is no detector named {self.detector!r}. {advice}")
        kind: type[Detector] = registry.load(GROUP, self.detector)
        return kind

    def parsed_detector_options(self) -> DetectorOptions:
        """The detector's settings, checked against its own model.

        Raises:
            RecipeError: a setting is unknown or wrong, or the detector is.
        """
        options: Mapping[str, Any] = self.detector_options
        return parse_config(self.detector_type().Options, options, "detector_options")
