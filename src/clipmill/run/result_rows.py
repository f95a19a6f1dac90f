"""What is recorded of a sample: one row, or one for each of its clips, and what its JSON says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from clipmill.core.keys import clip_key, sample_uid
from clipmill.core.outcome import Outcome
from clipmill.core.redact import plain_text, redact_url
from clipmill.core.sample import Sample, Subtitle
from clipmill.run.clips import Clip, SourceClips
from clipmill.run.rows import LICENSE, info_row
from clipmill.run.worked import Worked


def result_row(sample: Sample, worked: Worked) -> dict[str, Any]:
    """The row of a sample that stays one sample."""
    info = worked.info
    info_text = None if info is None else plain_text(json.dumps(info, ensure_ascii=False))
    return {
        **_identity(sample.key, sample.uid, sample),
        **_ending(worked.outcome),
        "fetch": worked.fetch,
        "probe": worked.probe,
        "media": None,
        "subtitles": _subtitle_cells([*worked.subtitles, *sample.subtitles]),
        "info": info_row(info, info_text),
    }


def clip_row(
    sample: Sample,
    worked: Worked,
    clip: Clip,
    *,
    is_part: bool,
    cuts: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The row of a clip.

    Args:
        sample: the row it came of.
        worked: what became of its source.
        clip: what became of it.
        is_part: the sample was split, so that the clip has a key of its own.
        cuts: those of the sample, where they are kept with a clip that is the whole of it.
    """
    key, uid = sample.key, sample.uid
    if is_part:
        key = clip_key(sample.key, clip.index)
        pair = [clip.span.start, clip.span.end] if clip.span else [clip.index]
        uid = sample_uid(f"{sample.url or ''}#{sample.uid}", [pair])
    return {
        **_identity(key, uid, sample),
        **_ending(clip.outcome),
        "source_key": sample.key if is_part else sample.columns.get("source_key") or sample.key,
        "clip_index": clip.index if is_part else sample.columns.get("clip_index"),
        "span": clip.span.row() if clip.span else None,
        "rendered": clip.rendered,
        "source_media": clip.source_media,
        "probe": clip.probe,
        "cuts": cuts,
        "media": None,
        "subtitles": _subtitle_cells(clip.subtitles),
        **_license(sample, worked),
        **({} if clip.caption is None else {"caption": plain_text(clip.caption)}),
    }


def lost_row(sample: Sample, worked: Worked) -> dict[str, Any]:
    """The row of a sample without clips; a virtual clip that cannot be made stays that clip."""
    return {
        **result_row(sample, worked),
        "source_key": sample.columns.get("source_key") or sample.key,
        "clip_index": sample.columns.get("clip_index"),
        "span": sample.span.row() if sample.span else None,
    }


def source_row(sample: Sample, worked: Worked, clips: SourceClips | None) -> dict[str, Any]:
    """The row of a sample that was split, for the table of sources."""
    row = result_row(sample, worked)
    found = [] if clips is None else clips.clips
    return {
        **{name: value for name, value in row.items() if name not in ("media", "subtitles")},
        "clip_count": len(found),
        "cuts": [] if clips is None else clips.cuts,
        "decoded_seconds": 0.0 if clips is None else clips.decoded_seconds,
        "encoded_seconds": 0.0 if clips is None else clips.encoded_seconds,
    }


def json_row(sample: Sample, row: Mapping[str, Any], *, has_captions: bool) -> dict[str, Any]:
    """What the ``json`` member of a sample tells: its input columns and its row.

    Args:
        sample: the row it came of.
        row: what is recorded of it.
        has_captions: every sample has a caption, be it an empty one.
    """
    given: dict[str, Any] = {"caption": sample.caption or ""} if has_captions else {}
    if sample.spans is not None:
        given["clips"] = sample.spans
    return {**sample.columns, **given, **row}


def _identity(key: str, uid: str, sample: Sample) -> dict[str, Any]:
    url = None if sample.url is None else plain_text(redact_url(sample.url))
    return {"key": key, "uid": uid, "url": url}


def _ending(outcome: Outcome) -> dict[str, Any]:
    return {
        "status": outcome.status,
        "error_step": outcome.error_step,
        "error_class": outcome.error_class,
        "error_message": outcome.error_message and redact_url(outcome.error_message),
        "retryable": outcome.retryable,
    }


def _license(sample: Sample, worked: Worked) -> dict[str, Any]:
    """The licence that the source's site tells, where the input has no such column."""
    if worked.info is None or LICENSE in sample.columns:
        return {}
    told = worked.info.get(LICENSE)
    return {LICENSE: plain_text(told) if isinstance(told, str) else None}


def _subtitle_cells(lines: Iterable[Subtitle]) -> list[dict[str, Any]]:
    return [
        {
            "language": line.language,
            "start_seconds": line.start_seconds,
            "end_seconds": line.end_seconds,
            "text": plain_text(line.text),
            "automatic": line.automatic,
        }
        for line in lines
    ]
