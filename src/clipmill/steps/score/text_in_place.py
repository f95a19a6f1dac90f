"""Which texts stay in their place, and what that tells: overlay, or text of the scene.

Text is followed from look to look by its own edges, and the view by those of all that is no text:

- stays in place while the view has moved or was cut since it was first seen: overlay;
- has left its place, little by little or at once, and is found elsewhere: scene;
- comes or goes while the view stands, and what is around it too: overlay;
- else it cannot be told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from clipmill.steps.score.opencv import opencv

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]

# Correlation of edges. Letters laid over a picture that moves keep 0.88, half transparent ones
# 0.75; another line of text, or the same one two pixels away, has up to 0.57. A view keeps 0.90
# when it moves by one pixel, 0.65 by two, 0.40 by three, and 0.1 by five or at a cut.
_STAYS = 0.65
_STANDS = 0.5
_MOVED = 0.3
# Mean gradient below which a view has nothing that could be seen to move.
_LEAST_DETAIL = 8.0
# Correlation of luma with the place where text is found again; another text has up to 0.5.
_FOUND = 0.7
_LEAST_STEP = 2
# Standard deviation of luma below which letters are known by their colour alone, in levels.
_LEAST_CONTRAST = 4.0
# Levels that what is around text differs by on average when nothing but coding changed it.
_SAME_AROUND = 4.0
_SAME_BOX = 0.5
# Width of a part of a text over its height: three letters or so.
_PART = 2


@dataclass(eq=False)
class Look:
    """One frame and the text in it.

    Args:
        luma: uint8 ``(H, W)``.
        corners: of the boxes, float ``(n, 4, 2)``, in pixels.
        pts_seconds: when it is shown.
    """

    luma: Array
    corners: Array
    pts_seconds: float

    @cached_property
    def shares(self) -> list[float]:
        """Of the picture, that each box takes."""
        return [opencv().contourArea(corners) / self.luma.size for corners in self.corners]

    @cached_property
    def boxes(self) -> list[Box]:
        """Upright ones around the corners: left, top, right, bottom; ends are exclusive."""
        height, width = self.luma.shape
        low = np.clip(np.floor(self.corners.min(axis=1)).astype(int), 0, (width - 1, height - 1))
        high = np.clip(np.ceil(self.corners.max(axis=1)).astype(int) + 1, low + 1, (width, height))
        return [(x, y, right, bottom) for x, y, right, bottom in np.hstack([low, high]).tolist()]

    @cached_property
    def edges(self) -> Array:
        """Length of the gradient."""
        cv2 = opencv()
        across, down = (cv2.Sobel(self.luma, cv2.CV_32F, *way) for way in ((1, 0), (0, 1)))
        lengths: Array = cv2.magnitude(across, down)
        return lengths

    @cached_property
    def text(self) -> Array:
        """Bool ``(H, W)``: what lies in a box."""
        mask = np.zeros(self.luma.shape, bool)
        for box in self.boxes:
            mask[_within(box)] = True
        return mask


@dataclass(slots=True, eq=False)
class Text:
    """A text for as long as it stays in its place.

    Args:
        box: in pixels.
        size: width and height of the picture in pixels.
        first: the look it was first found in.
        share: sum of the shares of the picture that it takes, over the looks it was found in.
        end_seconds: when it was last found.
        kind: what it was told to be.
    """

    box: Box
    size: tuple[int, int]
    first: Look
    share: float
    end_seconds: float
    kind: Literal["overlay", "scene"] | None = None
    start_seconds: float = field(init=False)

    def __post_init__(self) -> None:
        self.start_seconds = self.first.pts_seconds

    def row(self) -> dict[str, Any]:
        """As a cell tells it."""
        (left, top, right, bottom), (width, height) = self.box, self.size
        return {
            "x": left / width,
            "y": top / height,
            "width": (right - left) / width,
            "height": (bottom - top) / height,
            "start_seconds": self.start_seconds,
            "end_seconds": self.end_seconds,
            "kind": self.kind,
        }


class TextsInPlace:
    """Follows the texts of a sample, look by look."""

    def __init__(self) -> None:
        self._before: Look | None = None
        self._there: list[Text] = []
        self._gone: list[Text] = []

    def add(self, look: Look) -> None:
        """The next look; where pictures change size, everything begins anew."""
        before = self._before
        if before is not None and before.luma.shape != look.luma.shape:
            self._gone += self._there
            self._there, before = [], None
        taken: set[int] = set()
        if before is not None:
            taken = self._follow(before, look)
        height, width = look.luma.shape
        for number, (box, share) in enumerate(zip(look.boxes, look.shares, strict=True)):
            if number not in taken:
                text = Text(box, (width, height), look, share, look.pts_seconds)
                if before is not None:
                    text.kind = _kind_of_change(box, look, before)
                self._there.append(text)
        self._before = look

    def end(self) -> list[Text]:
        """All texts, in order of their beginning."""
        return sorted([*self._gone, *self._there], key=lambda text: (text.start_seconds, text.box))

    def _follow(self, before: Look, look: Look) -> set[int]:
        """See which texts are still there; the numbers of the boxes that are theirs."""
        taken: set[int] = set()
        there = []
        for text in self._there:
            if not _stays(text.box, before, look):
                text.kind = text.kind or _kind_of_change(text.box, before, look)
                self._gone.append(text)
                continue
            there.append(text)
            for number, box in enumerate(look.boxes):
                if number not in taken and _overlap(text.box, box) >= _SAME_BOX:
                    taken.add(number)
                    text.share += look.shares[number]
                    text.end_seconds = look.pts_seconds
            text.kind = text.kind or _kind_of_stay(text, look)
            if text.kind:
                text.first = look  # which is held anyway
        self._there = there
        return taken


def _kind_of_stay(text: Text, look: Look) -> Literal["overlay", "scene"] | None:
    """What is told by a text that did not leave its place since the look before."""
    view = _view(text.first, look)
    if view is None or view >= _MOVED:
        return None
    return "overlay" if _stays(text.box, text.first, look) else "scene"


def _kind_of_change(box: Box, there: Look, other: Look) -> Literal["overlay", "scene"] | None:
    """What is told by a text that one of two neighbouring looks has in its place."""
    if _is_elsewhere(box, there, other):
        return "scene"
    view = _view(there, other)
    if view is None or view < _STANDS:
        return None
    left, top, right, bottom = box
    reach = bottom - top
    ring = np.zeros(there.luma.shape, bool)
    ring[max(top - reach, 0) : bottom + reach, max(left - reach, 0) : right + reach] = True
    ring &= ~(there.text | other.text)
    if not ring.any():
        return None
    apart = np.abs(there.luma[ring].astype(np.int16) - other.luma[ring]).mean()
    return "overlay" if apart <= _SAME_AROUND else None


def _is_elsewhere(box: Box, there: Look, other: Look) -> bool:
    """Whether a text is elsewhere in another look, or in one of its boxes in another size."""
    cv2 = opencv()
    letters = there.luma[_within(box)]
    height, width = letters.shape
    if letters.std() < _LEAST_CONTRAST:
        return False
    # Of a long one more than half must be there: the rest may have left the picture.
    parts = np.array_split(letters, -(-width // (_PART * height)), axis=1)
    lefts = box[0] + np.cumsum([0, *(part.shape[1] for part in parts[:-1])])
    moved = 0
    for part, left in zip(parts, lefts, strict=True):
        score, (x, y) = _found(other.luma, part)
        moved += score >= _FOUND and max(abs(x - left), abs(y - box[1])) >= _LEAST_STEP
    if moved > len(parts) / 2:
        return True
    for left, top, right, bottom in other.boxes:
        scale, slack = width / (right - left), (bottom - top) // 4
        if 0.5 <= scale * (bottom - top) / height <= 2:
            around = other.luma[max(top - slack, 0) : bottom + slack, left:right]
            size = width, max(round(scale * len(around)), height)
            around = cv2.resize(around, size, interpolation=cv2.INTER_LINEAR)
            if _found(around, letters)[0] >= _FOUND:
                return True
    return False


def _found(picture: Array, letters: Array) -> tuple[float, tuple[int, int]]:
    """How alike the place is that is most alike, and its left and top."""
    cv2 = opencv()
    _, score, _, place = cv2.minMaxLoc(cv2.matchTemplate(picture, letters, cv2.TM_CCOEFF_NORMED))
    return score, place


def _stays(box: Box, one: Look, other: Look) -> bool:
    place = _within(box)
    return _correlation(one.edges[place], other.edges[place]) >= _STAYS


def _view(one: Look, other: Look) -> float | None:
    """How alike the edges outside of text are; None where there are none to speak of."""
    outside = ~(one.text | other.text)
    left, right = one.edges[outside], other.edges[outside]
    if not left.size or min(left.mean(), right.mean()) < _LEAST_DETAIL:
        return None
    return _correlation(left, right)


def _correlation(one: Array, other: Array) -> float:
    one, other = one - one.mean(), other - other.mean()
    spread = np.sqrt((one * one).sum() * (other * other).sum())
    return float((one * other).sum() / spread) if spread else 0.0


def _within(box: Box) -> tuple[slice, slice]:
    left, top, right, bottom = box
    return slice(top, bottom), slice(left, right)


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    sides = [min(one[n + 2], other[n + 2]) - max(one[n], other[n]) for n in (0, 1)]
    common = max(sides[0], 0) * max(sides[1], 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return common / (sum(areas) - common)
