"""A clip as it is ordered, and as it is delivered; light to import, for those who do not render."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clipmill.core.sample import Subtitle
from clipmill.core.time import Span
from clipmill.media.facts import PreparedFile


@dataclass(frozen=True, slots=True)
class ClipOrder:
    """One clip to be made.

    Args:
        name: of its files, without extension.
        span: of the source, in exact seconds from its first frame.
        subtitles: of the source, in all languages.
    """

    name: str
    span: Span
    subtitles: tuple[Subtitle, ...] = ()


@dataclass(frozen=True, slots=True)
class Rendered:
    """A clip that was made and checked.

    Args:
        name: as ordered.
        members: its files, by extension without dot.
        requested: the span ordered.
        actual: what its main file holds of the source, in exact seconds.
        frame_count: pictures in its main file; 0 for sound alone.
        encoder: libav's name of what made it; None where packets were copied.
        probe: what its main file is, as ``Probe.row``; None where only images were made.
        geometry: where its pixels come from, as ``Framing.row``; None for sound alone.
        subtitles: what is shown within ``actual``, timed from its start.
        notes: what the user should know.
    """

    name: str
    members: dict[str, PreparedFile]
    requested: Span
    actual: Span
    frame_count: int
    encoder: str | None
    probe: dict[str, Any] | None
    geometry: dict[str, Any] | None
    subtitles: list[Subtitle]
    notes: tuple[str, ...] = ()
