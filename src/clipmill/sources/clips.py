"""Clip columns: whatever users write for spans, read as lists of exact decimal texts."""

from __future__ import annotations

import ast
import json
import re
from decimal import Decimal
from typing import Any

import pyarrow as pa

from clipmill.core.errors import InputError

CLIPS_TYPE = pa.list_(pa.list_(pa.string()))
_EXPONENTIAL = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d{1,5}")
_MAX_EXPONENT = 40


def check_clip_type(field: pa.Field[Any], where: str) -> None:
    """Refuse a column that cannot hold spans.

    Raises:
        InputError: the column holds neither lists nor texts.
    """
    kind = field.type
    depth = 0
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        kind, depth = kind.value_type, depth + 1
    is_text = depth == 0 and (pa.types.is_string(kind) or pa.types.is_null(kind))
    if not is_text and (depth not in (1, 2) or pa.types.is_nested(kind)):
        raise InputError(
            f"Column {field.name!r} of {where} holds {field.type}, but clips must be lists of "
            "[start, end], or text such as [[1.5, 4], ['00:00:10', '00:00:12.500']]."
        )


def read_clips(column: Any) -> pa.Array[Any]:
    """Spans of every row as ``[[start, end], ...]`` in exact decimal text or as clock texts.

    A bare ``[start, end]`` is one span. What cannot be read as spans is kept as one odd span,
    ``[[text]]``, so that this row fails with its text in the message, and no other.
    """
    if pa.types.is_string(column.type):
        spans = [None if not text else _spans_in(text) for text in column.to_pylist()]
    else:
        leaf = pa.string()
        depth = 2 if pa.types.is_nested(column.type.value_type) else 1
        texts = column.cast(pa.list_(pa.list_(leaf)) if depth == 2 else pa.list_(leaf))
        spans = [None if value is None else _spans(value) for value in texts.to_pylist()]
    return pa.array(spans, CLIPS_TYPE)


def _spans_in(text: str) -> list[list[str]]:
    try:
        return _spans(_parsed(text))
    except RecursionError:  # lists in lists without end
        return [[text]]


def _parsed(text: str) -> Any:
    """A cell's list, with numbers as the texts they were written as where JSON tells."""
    try:
        return json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def _spans(value: Any) -> list[list[str]]:
    if not isinstance(value, list | tuple):
        return [[_plain(value)]]
    is_pair = len(value) == 2 and not any(isinstance(end, list | tuple) for end in value)
    pairs = [value] if is_pair else value
    return [
        [_plain(end) for end in pair] if isinstance(pair, list | tuple) else [_plain(pair)]
        for pair in pairs
    ]


def _plain(value: Any) -> str:
    """A number or text as text, without an exponent unless it is out of all reason."""
    if value is None:
        return "null"
    text = value if isinstance(value, str) else repr(value)
    if _EXPONENTIAL.fullmatch(text):
        number = Decimal(text)
        if abs(number.adjusted()) <= _MAX_EXPONENT:
            return f"{number:f}"
    return text.encode("utf-8", "replace").decode()
