"""Bytes of local files by place: a whole file, or a stretch of one such as a member of a tar."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive bytes of a local file.

    Args:
        path: of the file.
        offset: of the first byte.
        size: number of bytes.
    """

    path: Path
    offset: int
    size: int


Place = Path | str | Stretch
"""A local file, or a stretch of one."""


def file_of(place: Place) -> Path:
    """The file that the bytes lie in."""
    return place.path if isinstance(place, Stretch) else Path(place)


def size_of(place: Place) -> int:
    """How many bytes there are."""
    return place.size if isinstance(place, Stretch) else os.path.getsize(place)


def read_at(place: Place, position: int, size: int) -> bytes:
    """Read bytes from a position on; fewer where the place ends."""
    start = 0
    if isinstance(place, Stretch):
        start, size = place.offset, max(min(size, place.size - position), 0)
    with open(file_of(place), "rb", buffering=0) as file:
        file.seek(start + position)
        return file.read(size)


@contextmanager
def mapped(place: Place) -> Iterator[tuple[mmap.mmap, int, int]]:
    """Map the bytes into memory: the map, and where in it they start and end.

    Raises:
        ValueError: there are none, or the file ends before its stretch does.
    """
    # A map can only begin at a multiple of this.
    lead = place.offset % mmap.ALLOCATIONGRANULARITY if isinstance(place, Stretch) else 0
    offset = place.offset - lead if isinstance(place, Stretch) else 0
    size = size_of(place)
    with (
        open(file_of(place), "rb") as file,
        mmap.mmap(file.fileno(), lead + size, access=mmap.ACCESS_READ, offset=offset) as data,
    ):
        yield data, lead, lead + size
