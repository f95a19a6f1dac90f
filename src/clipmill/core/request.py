"""What a step wants to see or hear of a span: declared here, carried out by the one decode."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from clipmill.core.time import Span

PixelFormat = Literal["rgb24", "gray", "yuv420p"]
DecoderName = Literal["pyav", "torchcodec"]
"""What decodes pictures: PyAV any, torchcodec those in RGB of common files; see ``media``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Frames of a span: which ones, and how they should look.

    Which: at most one of ``fps``, ``every_nth``, ``count``, ``keyframes`` and ``at``; none of them
    means every frame. Frames are chosen by the time they are shown at: the frame at a time is the
    last one that starts at or before it, or the span's first frame. Containers round times to a
    millisecond; a frame that starts later by less than that counts as starting in time.

    Args:
        fps: one frame for each of the times ``start + k / fps`` within the span, in frames/s. A
            frame that is shown at several of them comes once, with its ``repeat``.
        every_nth: the span's first frame and every n-th after it.
        count: this many frames, at the middles of as many equal parts of the span.
        keyframes: the key frames within the span.
        at: the frames shown at these times, in seconds from the span's start, ascending.
        burst: each frame that is chosen comes with those right after it, this many in all, as far
            as the span has them: 2 gives pairs of neighbours.
        short_side: scale so that the shorter side has this many pixels, the other one in
            proportion, rounded to the nearest even number.
        size: scale to exactly (width, height) in pixels.
        crop: ``(x, y, width, height)`` in pixels of the picture as displayed, cut out
            before scaling.
        cover: with ``size``, cut off what is too wide or too high for it, rather than distort:
            ``(x, y)`` from 0 to 1 tells where what is kept lies, ``(0.5, 0.5)`` in the middle.
        pixel_format: ``rgb24`` gives uint8 ``(H, W, 3)``, ``gray`` the luma as uint8 ``(H, W)`` in
            full range, ``yuv420p`` limited-range planes as uint8 ``(H * 3 / 2, W)``, whose sides
            are even: odd ones that are asked for grow by one, and an odd picture that is not
            scaled loses its last line or column.
        nearest: a neighbouring frame does as well, so frames that others do not depend on may be
            skipped undecoded.
        loop_filter: False where small errors within blocks do no harm: the decoder may leave out
            its loop filter, which drifts until the next key frame.

    Raises:
        ValueError: the choices contradict each other or are not positive.
    """

    fps: float | Fraction | None = None
    every_nth: int | None = None
    count: int | None = None
    keyframes: bool = False
    at: tuple[float | Fraction, ...] | None = None
    burst: int = 1
    short_side: int | None = None
    size: tuple[int, int] | None = None
    crop: tuple[int, int, int, int] | None = None
    cover: tuple[float, float] | None = None
    pixel_format: PixelFormat = "rgb24"
    nearest: bool = False
    loop_filter: bool = True

    def __post_init__(self) -> None:
        choices = (self.fps, self.every_nth, self.count, self.at)
        if sum(choice is not None for choice in choices) + self.keyframes > 1:
            raise ValueError("give only one of fps, every_nth, count, keyframes and at")
        if self.short_side is not None and self.size is not None:
            raise ValueError("give short_side or size, not both")
        if self.cover is not None and (
            self.size is None or not all(0 <= part <= 1 for part in self.cover)
        ):
            raise ValueError("cover goes with size, and is two numbers from 0 to 1")
        sizes = (self.short_side, *(self.size or ()))
        numbers = (self.fps, self.every_nth, self.count, self.burst, *sizes)
        if any(number is not None and not 0 < number < math.inf for number in numbers):
            raise ValueError("rates, counts and sizes must be finite and greater than zero")
        if self.burst > 1 and (self.keyframes or self.nearest):
            raise ValueError(
                "a burst is of neighbours, so it goes with neither keyframes nor nearest"
            )
        if self.at is not None and (any(time < 0 for time in self.at) or _falls(self.at)):
            raise ValueError("times must be ascending and not before the span's start")

    @property
    def is_for_any_decoder(self) -> bool:
        """Whether it is content with RGB, which is all that some decoders give."""
        return self.pixel_format == "rgb24" and self.loop_filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """Sound of a span, as float32 ``(channels, N)`` in [-1, 1].

    Args:
        rate: samples per second of each channel; None for the source's.
        channels: 1 or 2, mixed down where there are more; None for the source's.

    Raises:
        ValueError: the rate is not positive, or there would be neither one channel nor two.
    """

    rate: int | None = None
    channels: int | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and self.rate <= 0:
            raise ValueError("the rate must be greater than zero")
        if self.channels not in (None, 1, 2):
            raise ValueError("sound is given in 1 or 2 channels, or in as many as the source has")


@dataclass(frozen=True, slots=True)
class Packets:
    """Coded packets of a span, without what only their container adds to them; nothing is decoded.

    Of the video those whose frames start within the span, in order of decoding, where the file
    tells which these are. Sound comes with a span that has every frame of the source: its packets
    end where they will, so that no other span has packets of its own.
    """


Request = Frames | Audio | Packets


@dataclass(frozen=True, slots=True)
class Want:
    """One consumer's wish: a request and the span of the source it is about.

    Args:
        request: frames or sound.
        span: in seconds from the source's first frame; None for all of the source.
    """

    request: Frames | Audio
    span: Span | None = None


def _falls(times: tuple[float | Fraction, ...]) -> bool:
    return any(later < earlier for earlier, later in pairwise(times))
