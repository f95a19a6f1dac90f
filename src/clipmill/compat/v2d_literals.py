"""Values as video2dataset's command line takes them: Python-like literals with bare words."""

from __future__ import annotations

import ast
import json
from typing import Any

_BRACKETS = {"[": "]", "(": ")", "{": "}"}


def read_literal(text: str) -> Any:
    """Read ``[a,b]``, ``{video: mp4}``, JSON or a Python literal; other text stays text.

    Args:
        text: what stood after ``--name=``.

    Raises:
        ValueError: it begins like a list or mapping but cannot be read as one.
    """
    text = text.strip()
    if text in ("None", "null"):
        return None
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    if text[:1] not in _BRACKETS:
        return text
    if text[-1] != _BRACKETS[text[0]]:
        raise ValueError(f"{text} has no closing {_BRACKETS[text[0]]!r}")
    parts = [part.strip() for part in text[1:-1].split(",") if part.strip()]
    if text[0] != "{":
        return [_unquoted(part) for part in parts]
    pairs = [part.partition(":") for part in parts]
    for name, colon, _ in pairs:
        if not colon:
            raise ValueError(f"{name!r} in {text} has no ':' and value")
    return {_unquoted(name): _unquoted(value) for name, _, value in pairs}


def _unquoted(word: str) -> str:
    word = word.strip()
    is_quoted = len(word) > 1 and word[0] in "'\"" and word[-1] == word[0]
    return word[1:-1] if is_quoted else word
