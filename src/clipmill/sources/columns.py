"""Which columns of an input mean what: the part of a recipe that every source reads."""

from __future__ import annotations

import os

from pydantic import Field, field_validator

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
    media_folder: str | None = None
    """Folder or URL that a table's paths are to be seen from, such as that of the videos which its
    column `file` names. Files in it are read where they lie. Default: tables hold whole URLs."""
    caption_col: str | None = None
    """Column with the text that goes with a sample; of lists of texts, the first that is not empty.
    Default: none."""
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

    @field_validator("media_folder")
    @classmethod
    def _from_anywhere(cls, value: str | None) -> str | None:
        """The same folder from any other one."""
        is_url = value is not None and "://" in value
        return value if value is None or is_url else os.path.abspath(os.path.expanduser(value))
