"""A sample: one row with a key, its media and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class MediaRef:
    """Media that already lie somewhere readable: a file, a tar member or a Parquet cell.

    Args:
        path: local path or fsspec URL of the file that holds the bytes.
        extension: what the bytes are called there, without dot, lower case, such as ``mp4``.
        offset: first byte within ``path``; None when the whole file is meant.
        size: number of bytes; None when the whole file is meant.
        row: row number in a Parquet file whose column named ``extension`` holds the bytes.
    """

    path: str
    extension: str
    offset: int | None = None
    size: int | None = None
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One input row on its way through a pass.

    Args:
        key: unique within the dataset; names the sample's members.
        uid: identity derived from content; the same after reordering or resharding.
        url: the source as given; None when the row has none.
        caption: text that goes with it, or None.
        spans: ``[start, end]`` pairs (seconds or clock texts as given) this row asks for.
        columns: every other column of the input row.
        media: bytes that need no fetching, by what they are.
    """

    key: str
    uid: str
    url: str | None
    caption: str | None = None
    spans: list[list[Any]] | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    media: tuple[MediaRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Subtitle:
    """One subtitle line in one language."""

    language: str
    start_seconds: float
    end_seconds: float
    text: str
    automatic: bool = False
