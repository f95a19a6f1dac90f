"""A sample: one row with a key, its media and what is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from clipmill.core.errors import ProcessError
from clipmill.core.redact import redact_url
from clipmill.core.time import Span


@dataclass(frozen=True, slots=True)
class MediaRef:
    """Media that already lie somewhere readable: a file, a tar member or a Parquet cell.

    Args:
        path: local path or fsspec URL of the file that holds the bytes.
        extension: what the bytes are called there, without dot, lower case, such as ``mp4``.
        offset: first byte within ``path``; None when the whole file is meant.
        size: number of bytes; None when the whole file is meant.
        row: row number in a Parquet file whose column named ``extension`` holds the bytes.
        sha256: of the bytes when they were looked at; None when they have not been yet.
    """

    path: str
    extension: str
    offset: int | None = None
    size: int | None = None
    row: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Subtitle:
    """One subtitle line in one language."""

    language: str
    start_seconds: float
    end_seconds: float
    text: str
    automatic: bool = False

    def is_shown_within(self, span: Span) -> bool:
        """Whether it is shown at some time of a span."""
        return self.start_seconds < span.end_seconds and self.end_seconds > span.start_seconds

    def timed_from(self, seconds: float) -> Subtitle:
        """The same line, timed from another beginning."""
        start, end = (round(t - seconds, 9) for t in (self.start_seconds, self.end_seconds))
        return replace(self, start_seconds=start, end_seconds=end)


@dataclass(frozen=True, slots=True)
class KeptCut:
    """The first frame of a scene, as an earlier run found it.

    Args:
        number: of the frame in order of showing, 0 for the source's first.
        seconds: from the source's first frame.
    """

    number: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One input row on its way through a pass.

    Args:
        key: unique within the dataset; names the sample's members.
        uid: identity derived from content; the same after reordering or resharding.
        url: the source as given; None when the row has none.
        caption: text that goes with it, or None.
        spans: ``[start, end]`` pairs (seconds or clock texts as given) this row asks for.
        span: the stretch of its source that it is, when it is a clip.
        subtitles: lines that are known already, at times of the source.
        cuts: where its scenes begin, when that is known already; None when it is not.
        columns: every other column of the input row.
        media: bytes that need no fetching, by what they are.
        members: by extension, files that go with it as they are; None where there is none.
        damage: why the row could not be read; nothing is known of it then.
    """

    key: str
    uid: str
    url: str | None
    caption: str | None = None
    spans: list[list[Any]] | None = None
    span: Span | None = None
    subtitles: tuple[Subtitle, ...] = ()
    cuts: tuple[KeptCut, ...] | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    media: tuple[MediaRef, ...] = ()
    members: Mapping[str, MediaRef | None] = field(default_factory=dict)
    damage: str | None = None


def subtitles_within(lines: Iterable[Subtitle], span: Span) -> list[Subtitle]:
    """The subtitle lines that are shown within a span, of every language, timed from its start.

    Args:
        lines: of the source.
        span: of the source, in exact seconds; lines that reach beyond it are cut to it.
    """
    start, end = span.start_seconds, span.end_seconds
    return [
        replace(
            line,
            start_seconds=_rounded(max(line.start_seconds, start) - start),
            end_seconds=_rounded(min(line.end_seconds, end) - start),
        )
        for line in lines
        if line.is_shown_within(span)
    ]


def _rounded(seconds: float) -> float:
    return round(seconds, 6)  # a difference of two times has lost the digits after these


def refuse_changed(place: MediaRef, sha256: str) -> None:
    """Refuse a source that is another one than its clips were found in.

    Args:
        place: where it lies, and what it was then.
        sha256: of what lies there now.

    Raises:
        ProcessError: they differ (``source_changed``).
    """
    if place.sha256 not in (None, sha256):
        raise ProcessError(
            f"{redact_url(place.path)} is not the file any more that its clips were found in: "
            "split it anew, or put the earlier one back",
            error_class="source_changed",
        )
