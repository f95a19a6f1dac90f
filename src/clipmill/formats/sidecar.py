"""The ``json`` and ``txt`` members of a sample, as the readers of WebDataset shards expect them.

Hugging Face's reader infers types from the first five samples of the first shard. It then accepts
keys that are missing, and passes over keys it has not seen, but fails on a key that was null or
empty in those five and has a value later. Therefore whatever is null or empty is left out. Two keys
are exceptions: ``error_message`` is null in every sample that has media, as in
video2dataset's files, and a missing ``caption`` is an empty text, as in the ``txt`` member.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from clipmill.core.errors import InputError

TEXTS = frozenset({"txt", "json"})
"""Extensions of the members that are about the media."""

_LEFT_OUT = frozenset({"fetch", "media", "error_step", "error_class", "retryable"})
"""Of no use beside the media: where they lie, how the download went (which differs from run to
run), and what failed samples have."""
_FLATTENED = ("probe",)


def sample_json(row: Mapping[str, Any]) -> bytes:
    """What is known of a sample as UTF-8 JSON.

    The facts of the ``probe`` struct become keys of their own, such as ``probe_width``; other
    nested values stay nested. Times are ISO 8601, durations seconds, bytes base64.

    Args:
        row: the sample's row of the table, as Python values.
    """
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name in _LEFT_OUT:
            continue
        if name in _FLATTENED and isinstance(value, Mapping):
            found.update(_flat(name, value))
        elif not _is_empty(kept := _plain(value)):
            found[name] = kept
    if "caption" in row:
        found["caption"] = row["caption"] or ""
    if "error_message" in row:
        found["error_message"] = row["error_message"]
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _flat(prefix: str, struct: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in struct.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}_{name}", value)
        elif not _is_empty(kept := _plain(value)):
            yield f"{prefix}_{name}", kept


def _is_empty(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_empty(part) for part in value)
    return value is None or value == {}


def _plain(value: Any) -> Any:
    """A value as JSON can hold it, what is null or empty in it left out."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return _without_empty(value.items())
        case [(_, _), *_] if isinstance(value[0], tuple):  # a map column: pairs
            return _without_empty(value)
        case list() | tuple():
            return [_plain(part) for part in value]
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            return value.total_seconds()
        case decimal.Decimal():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case _:
            return value


def _without_empty(pairs: Any) -> dict[str, Any]:
    kept = {str(name): _plain(value) for name, value in pairs}
    return {name: value for name, value in kept.items() if not _is_empty(value)}


def read_sidecars(texts: Mapping[str, bytes], where: str) -> Mapping[str, Any]:
    """What the ``json`` and ``txt`` members of a sample say.

    Args:
        texts: their bytes by extension, as far as there are any.
        where: the sample, for messages.

    Raises:
        InputError: the JSON is none.
    """
    try:
        found = json.loads(texts.get("json", b"{}"))
    except ValueError as error:
        raise InputError(f"{where}.json is not JSON: {error}.") from error
    found = found if isinstance(found, dict) else {"json": found}
    if "txt" in texts and found.get("caption") is None:
        found["caption"] = texts["txt"].decode("utf-8", "replace")
    return found
