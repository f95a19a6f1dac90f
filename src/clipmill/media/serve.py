"""Decoded frames given to those who want them, each look made once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from clipmill.core.request import Frames
from clipmill.media.choose import Choice
from clipmill.media.deinterlace import Deinterlacer
from clipmill.media.scale import Scaler


class Consumer:
    """One want for frames, and how far it has been served.

    Args:
        want: its index.
        request: which frames, and how they should look.
        choice: the frames that the request means.
    """

    def __init__(self, want: int, request: Frames, choice: Choice) -> None:
        self.want = want
        self.request = request
        self.choice = choice
        self._served = 0

    def take(self, number: int, following: int, *, keyframe: bool) -> int:
        """How many times a frame counts.

        Args:
            number: the frame's.
            keyframe: whether it is one.
            following: of the next frame that could be decoded, until which this one is shown.
        """
        choice, repeat = self.choice, 0
        if number not in choice.frames or (choice.keyframes_only and not keyframe):
            return 0
        stands_in = choice.by_time or self.request.nearest
        while self._served < len(choice.numbers):
            wanted = int(choice.numbers[self._served])
            if wanted >= following:
                break
            if stands_in or wanted == number:
                repeat += int(choice.repeats[self._served])
            self._served += 1
        return repeat


class Audience:
    """Those whose spans are under way, of many that come one after the other.

    Args:
        consumers: of one decode.
    """

    def __init__(self, consumers: Sequence[Consumer]) -> None:
        in_time = sorted(consumers, key=lambda one: one.choice.frames.start)
        self._to_come = deque(one for one in in_time if one.choice.frames)
        self._here: list[Consumer] = []

    def at(self, number: int) -> list[Consumer]:
        """The consumers whose span holds a frame; numbers must rise from call to call."""
        here = [one for one in self._here if number in one.choice.frames]
        while self._to_come and self._to_come[0].choice.frames.start <= number:
            here.append(self._to_come.popleft())
        self._here = sorted(here, key=lambda one: one.want)
        return self._here


class Looks:
    """Makes each distinct look of a frame once, for all who ask for it.

    Args:
        ratio: width of a stored pixel divided by its height; None for square ones.
    """

    def __init__(self, ratio: Fraction | None) -> None:
        self._ratio = ratio
        self._deinterlacer = Deinterlacer()
        self._scalers: dict[tuple[Any, ...], Scaler] = {}

    def of(self, before: Any | None, frame: Any, after: Any | None) -> Callable[[Frames], Any]:
        """What makes a frame look as a request wants it.

        Args:
            before: the frame before it, if it was decoded.
            frame: as decoded.
            after: the frame after it, if it was decoded.
        """
        made: dict[tuple[Any, ...], Any] = {}
        # No other frame needs its neighbours, which are large.
        around = (before, after) if frame.interlaced_frame else (None, None)

        def look(request: Frames) -> Any:
            key = (
                *(request.crop, request.cover, request.short_side, request.size),
                request.pixel_format,
            )
            if key not in made:
                if () not in made:
                    made[()] = self._deinterlacer.whole(around[0], frame, around[1])
                if key not in self._scalers:
                    self._scalers[key] = Scaler(request, self._ratio)
                made[key] = self._scalers[key].scale(made[()])
            return made[key]

        return look
