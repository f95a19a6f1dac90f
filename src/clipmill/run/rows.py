"""The shard table: its schema and how finished rows become it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from clipmill.core.redact import plain_text
from clipmill.fetch.base import Fetched
from clipmill.formats.tables import write_table
from clipmill.io.layout import SOURCES_FOLDER
from clipmill.media.probe_type import PROBE_TYPE
from clipmill.run.recipe import Recipe
from clipmill.run.write_spec import ORIGINAL
from clipmill.sources.base import HIDDEN, MEDIA_TYPE, SUBTITLES_TYPE

MAX_NUMBER = 2**62
"""Larger counts than any site has; they would not fit into a column."""

LICENSE = "license"
"""Column of clips for what a site says of their source, whose other facts the source keeps."""
INFO_TYPE = pa.struct(
    [
        ("id", pa.string()),
        ("title", pa.string()),
        ("description", pa.string()),
        ("uploader", pa.string()),
        ("uploader_id", pa.string()),
        ("channel", pa.string()),
        ("channel_id", pa.string()),
        ("upload_date", pa.string()),
        ("duration_seconds", pa.float64()),
        ("view_count", pa.int64()),
        ("like_count", pa.int64()),
        ("age_limit", pa.int64()),
        ("language", pa.string()),
        ("license", pa.string()),
        ("categories", pa.list_(pa.string())),
        ("tags", pa.list_(pa.string())),
        ("webpage_url", pa.string()),
        ("extractor", pa.string()),
        ("json", pa.string()),
    ]
)
FETCH_TYPE = pa.struct(
    [
        ("fetcher", pa.string()),
        ("final_url", pa.string()),
        ("http_status", pa.int32()),
        ("content_type", pa.string()),
        ("extension", pa.string()),
        ("size", pa.int64()),
        ("sha256", pa.string()),
        ("downloaded_bytes", pa.int64()),
        ("attempts", pa.int32()),
        ("seconds", pa.float64()),
        ("fetched_at", pa.timestamp("ms", tz="UTC")),
        ("sections", pa.list_(pa.list_(pa.float64()))),
        ("notes", pa.list_(pa.string())),
    ]
)
PLACE_TYPE = pa.struct([("offset", pa.int64()), ("size", pa.int64()), ("sha256", pa.string())])

SPAN_TYPE = pa.struct(
    [
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("start_ticks", pa.int64()),
        ("end_ticks", pa.int64()),
        ("timescale", pa.int64()),
    ]
)
_BOX_TYPE = pa.struct([(name, pa.int64()) for name in ("x", "y", "width", "height")])
GEOMETRY_TYPE = pa.struct(
    [
        ("source_width", pa.int64()),
        ("source_height", pa.int64()),
        ("crop", _BOX_TYPE),
        ("scaled_width", pa.int64()),
        ("scaled_height", pa.int64()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("pad_left", pa.int64()),
        ("pad_top", pa.int64()),
    ]
)
RENDERED_TYPE = pa.struct(
    [
        ("span", SPAN_TYPE),
        ("frame_count", pa.int64()),
        ("encoder", pa.string()),
        ("geometry", GEOMETRY_TYPE),
        ("notes", pa.list_(pa.string())),
    ]
)
CUTS_TYPE = pa.list_(
    pa.struct(
        [
            ("frame_rate", pa.float64()),
            ("number", pa.int64()),
            ("seconds", pa.float64()),
            ("pts", pa.int64()),
            ("score", pa.float64()),
        ]
    )
)
_MISSING: Any = object()
_IDENTITY: list[tuple[str, pa.DataType]] = [("key", pa.string()), ("uid", pa.string())]
_OUTCOME: list[tuple[str, pa.DataType]] = [
    ("status", pa.string()),
    ("error_step", pa.string()),
    ("error_class", pa.string()),
    ("error_message", pa.string()),
    ("retryable", pa.bool_()),
]
_FETCHED: list[tuple[str, pa.DataType]] = [("fetch", FETCH_TYPE), ("probe", PROBE_TYPE)]
_SOURCE_SCHEMA = pa.schema(
    [
        *_IDENTITY,
        *_OUTCOME,
        ("url", pa.string()),
        *_FETCHED,
        ("info", INFO_TYPE),
        ("cuts", CUTS_TYPE),
        ("clip_count", pa.int64()),
        ("decoded_seconds", pa.float64()),
        ("encoded_seconds", pa.float64()),
    ]
)


def table_schema(
    input_schema: pa.Schema, recipe: Recipe, rows: Sequence[Mapping[str, Any]]
) -> pa.Schema:
    """Schema of a shard table.

    Args:
        input_schema: columns of the source's rows.
        recipe: tells what is learnt of a row.
        rows: finished rows, which tell the extensions where these are the files' own.
    """
    learnt = _clip_columns(recipe) if recipe.makes_clips else [*_FETCHED, *_media(recipe, rows)]
    if recipe.makes_clips and recipe.render is not None:
        learnt += _media(recipe, rows)
    learnt.append(("subtitles", SUBTITLES_TYPE))
    if not recipe.makes_clips:
        learnt.append(("info", INFO_TYPE))
    elif recipe.download.site_info and LICENSE not in input_schema.names:
        learnt.append((LICENSE, pa.string()))
    own = {name for name, _ in learnt}
    inputs = [field for field in input_schema if field.name not in {*HIDDEN, *own}]
    if recipe.captions_from_subtitles and "caption" not in input_schema.names:
        inputs.append(pa.field("caption", pa.string()))
    fields = [pa.field(*pair) for pair in _IDENTITY + _OUTCOME]
    return pa.schema(fields + inputs + [pa.field(*pair) for pair in learnt])


def _clip_columns(recipe: Recipe) -> list[tuple[str, pa.DataType]]:
    made = ("rendered", RENDERED_TYPE) if recipe.render else ("source_media", MEDIA_TYPE)
    cuts = [("cuts", CUTS_TYPE)] if recipe.keeps_cuts else []
    return [
        ("source_key", pa.string()),
        ("clip_index", pa.int64()),
        ("span", SPAN_TYPE),
        made,
        ("probe", PROBE_TYPE),
        *cuts,
    ]


def _media(recipe: Recipe, rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, pa.DataType]]:
    extensions = list(recipe.write.encode_formats.values())
    if ORIGINAL in extensions or recipe.render is not None:
        extensions = sorted({name for row in rows for name in row.get("media") or ()})
    # Parquet knows no struct without fields
    kind = pa.struct([(name, PLACE_TYPE) for name in extensions])
    return [("media", kind)] if extensions else []


def source_table(rows: Sequence[Mapping[str, Any]], staging: Path, shard: str) -> str:
    """Write the table of a shard's sources, and name it.

    Args:
        rows: one for each input row.
        staging: folder to write in.
        shard: shard name.
    """
    (staging / SOURCES_FOLDER).mkdir(exist_ok=True)
    columns = [
        pa.array([row.get(field.name) for row in rows], field.type) for field in _SOURCE_SCHEMA
    ]
    table = pa.Table.from_arrays(columns, schema=_SOURCE_SCHEMA)
    return f"{SOURCES_FOLDER}/{write_table(staging / SOURCES_FOLDER, shard, table)}"


def shard_table(
    inputs: pa.Table, results: Sequence[Mapping[str, Any]], schema: pa.Schema
) -> pa.Table:
    """Join input rows and their results, in order, into a shard table."""
    made = {name for result in results for name in result}
    columns = []
    for field in schema:
        given = inputs.column(field.name) if field.name in inputs.column_names else None
        if field.name not in made and given is not None:
            columns.append(given)
            continue
        values = [result.get(field.name, _MISSING) for result in results]
        if given is not None and _MISSING in values:  # a caption that only some clips have anew
            known = given.to_pylist()
            values = [known[n] if v is _MISSING else v for n, v in enumerate(values)]
        column = [None if value is _MISSING else value for value in values]
        columns.append(pa.array(column, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def info_row(info: Mapping[str, Any] | None, text: str | None) -> dict[str, Any] | None:
    """Typed facts of a site's metadata, and all of it as JSON text."""
    if info is None:
        return None
    row: dict[str, Any] = {}
    for field in INFO_TYPE:
        value = info.get("duration" if field.name == "duration_seconds" else field.name)
        row[field.name] = _fitting(value, field.type)
    return {**row, "json": text}


def _fitting(value: Any, kind: pa.DataType) -> Any:
    """The value when it is of the kind a site should have sent, else None."""
    if pa.types.is_list(kind):
        return [plain_text(str(part)) for part in value] if isinstance(value, list) else None
    if pa.types.is_string(kind):
        return plain_text(value) if isinstance(value, str) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > MAX_NUMBER:
        return None
    return int(value) if pa.types.is_integer(kind) else float(value)


def fetch_row(fetched: Fetched) -> dict[str, Any]:
    """The ``fetch`` struct of a fetched source."""
    return {
        "fetcher": fetched.fetcher,
        "final_url": plain_text(fetched.final_url),
        "http_status": fetched.http_status,
        "content_type": fetched.content_type and plain_text(fetched.content_type),
        "extension": fetched.extension,
        "size": fetched.size,
        "sha256": fetched.sha256,
        "downloaded_bytes": fetched.downloaded_bytes,
        "attempts": fetched.attempts,
        "seconds": round(fetched.seconds, 4),
        "sections": [list(section) for section in fetched.sections] or None,
        "notes": [plain_text(note) for note in fetched.notes] or None,
    }
