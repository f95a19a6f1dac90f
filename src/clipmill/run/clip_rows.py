"""What is known of the clips of one sample before they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clipmill.core.sample import Sample, Subtitle
from clipmill.core.time import Span
from clipmill.run.clips import Clip, Judged
from clipmill.run.result_rows import clip_row, json_row
from clipmill.run.worked import Worked

_UNTOLD = ("keyframe_seconds", "frame_count", "frame_count_source", "duration_pts")


@dataclass(frozen=True, slots=True)
class ClipRows:
    """Tells what is known of the clips of one sample before they are made; picklable.

    Args:
        sample: the row that they come of.
        probe: facts of the source.
        lines: subtitles, at times of the source.
        source_media: where the source lies; None where clips do not stay virtual.
        info: the metadata of the source's site.
        is_part: the sample is split, so that clips have keys of their own.
    """

    sample: Sample
    probe: dict[str, Any] | None
    lines: tuple[Subtitle, ...]
    source_media: list[dict[str, Any]] | None
    info: Mapping[str, Any] | None
    is_part: bool

    def place(self, clip: Clip) -> None:
        """Say of a virtual clip what its source is and, where it stays virtual, where it lies."""
        clip.probe = _facts_within(self.probe, clip.span)
        clip.source_media = self.source_media
        if clip.span is not None:
            # Whole, since where the files of a clip begin and end is not known yet.
            lines = (one for one in self.lines if one.is_shown_within(clip.span))
            clip.subtitles = [one.timed_from(clip.span.start_seconds) for one in lines]

    def judged(self, clip: Clip) -> Judged:
        """A clip, once it is placed, as steps and conditions see it."""
        row = clip_row(self.sample, Worked(info=self.info), clip, is_part=self.is_part)
        known = json_row(self.sample, row, has_captions=self.sample.caption is not None)
        span = Span.from_row(row["span"]) if row["span"] else None
        return Judged(row["key"], span, known, cells=dict(clip.cells))


def _facts_within(probe: dict[str, Any] | None, span: Span | None) -> dict[str, Any] | None:
    """Facts of a source as they are of a stretch of it: as long, and of frames not counted yet."""
    if probe is None or span is None:
        return probe
    length = {"duration_seconds": float(span.duration)}
    video = probe["video"] and {**probe["video"], **dict.fromkeys(_UNTOLD), **length}
    sound = [{**stream, "duration_seconds": None} for stream in probe["audio"]]
    return {**probe, **length, "video": video, "audio": sound}
