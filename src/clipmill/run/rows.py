"""The shard table: its schema and how finished rows become it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from clipmill.core.redact import plain_text
from clipmill.fetch.base import Fetched
from clipmill.media.probe_type import PROBE_TYPE
from clipmill.sources.base import MEDIA_COLUMN

MAX_NUMBER = 2**62
"""Larger counts than any site has; they would not fit into a column."""

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
SUBTITLES_TYPE = pa.list_(
    pa.struct(
        [
            ("language", pa.string()),
            ("start_seconds", pa.float64()),
            ("end_seconds", pa.float64()),
            ("text", pa.string()),
            ("automatic", pa.bool_()),
        ]
    )
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

_IDENTITY = [("key", pa.string()), ("uid", pa.string())]
_OUTCOME = [
    ("status", pa.string()),
    ("error_step", pa.string()),
    ("error_class", pa.string()),
    ("error_message", pa.string()),
    ("retryable", pa.bool_()),
]


def table_schema(input_schema: pa.Schema, extensions: Sequence[str]) -> pa.Schema:
    """Schema of a shard table.

    Args:
        input_schema: columns of the source's rows.
        extensions: media extensions members may have.
    """
    inputs = [field for field in input_schema if field.name != MEDIA_COLUMN]
    learnt = [
        ("fetch", FETCH_TYPE),
        ("probe", PROBE_TYPE),
        # Parquet knows no struct without fields
        *(
            [("media", pa.struct([(name, PLACE_TYPE) for name in extensions]))]
            if extensions
            else []
        ),
        ("subtitles", SUBTITLES_TYPE),
        ("info", INFO_TYPE),
    ]
    fields = [pa.field(*pair) for pair in _IDENTITY + _OUTCOME]
    return pa.schema(fields + inputs + [pa.field(*pair) for pair in learnt])


def shard_table(
    inputs: pa.Table, results: Sequence[Mapping[str, Any]], schema: pa.Schema
) -> pa.Table:
    """Join input rows and their results, in order, into a shard table."""
    columns = []
    given = {*inputs.column_names} - {"url"}  # whose secrets are taken out in the results
    for field in schema:
        if field.name in given:
            columns.append(inputs.column(field.name))
        else:
            values = [result.get(field.name) for result in results]
            columns.append(pa.array(values, field.type))
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
