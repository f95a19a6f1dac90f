"""Which columns of an input mean what: the part of a recipe that every source reads."""

from __future__ import annotations

from pydantic import Field

from clipmill.core.config import Config

RESERVED = frozenset(
    {
        "key",
        "uid",
        "status",
        "error_step",
        "error_class",
        "error_message",
        "retryable",
        "url",
        "caption",
        "clips",
        "probe",
        "media",
        "fetch",
        "subtitles",
        "info",
        "source_key",
        "clip_index",
        "span",
        "rendered",
        "cuts",
        "source_media",
        "_media",
        "_key",
        "_span",
        "_subtitles",
        "_cuts",
    }
)
"""Columns that clipmill writes itself; an input column of that name is kept as ``input_<name>``."""


class Columns(Config):
    """Which columns of the input mean what."""

    url_col: str | None = None
    """Column with the URL or path of the source. Default: `url`, or the only column there is."""
    caption_col: str | None = None
    """Column with the text that goes with a sample. Default: none."""
    clip_col: str | None = None
    """Column with `[[start, end], ...]` in seconds or HH:MM:SS.mmm. Default: none."""
    save_additional_columns: tuple[str, ...] | None = None
    """Other columns to keep. Default: all of them."""
    input_format: str | None = None
    """Read the input as this format instead of what its name and content say: csv, tsv, json,
    jsonl, txt, parquet, arrow, folder, shards or hub."""
    group_by_url: bool = Field(default=False)
    """Bring rows with the same URL into one shard, wherever they stand in the input, so that each
    source is fetched once."""
