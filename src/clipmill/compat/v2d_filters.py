"""Which samples video2dataset's loader leaves out: by score, by safety, by language."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from clipmill.compat.v2d_loader_arguments import LoaderArguments
from clipmill.core.errors import ProcessError
from clipmill.steps.score.language import language_of


def left_out_by(arguments: LoaderArguments, members: Mapping[str, Callable[[], bytes]]) -> str:
    """The filter that leaves a sample out; empty when none does.

    Args:
        arguments: thresholds and languages.
        members: how to read ``json`` and ``txt``, where the sample has them.

    Raises:
        ProcessError: it does not tell what a threshold is about (``no_score``).
    """
    least, unsafe = arguments.aesthetics_threshold, arguments.p_unsafe_threshold
    if least is not None or unsafe is not None:
        told = _told(members.get("json"))
        if least is not None and not _score(told, "AESTHETIC_SCORE") >= least:
            return "aesthetics_threshold"
        if unsafe is not None and not _score(told, "punsafe") < unsafe:
            return "p_unsafe_threshold"
    if arguments.allowed_languages is not None:
        text = members["txt"]().decode("utf-8", errors="replace") if "txt" in members else ""
        # The peer's detector tells zh-cn from zh-tw, which write the same language.
        allowed = {language.lower().partition("-")[0] for language in arguments.allowed_languages}
        if language_of(text)[0] not in allowed:
            return "allowed_languages"
    return ""


def _told(read: Callable[[], bytes] | None) -> Mapping[str, Any]:
    try:
        told = json.loads(read()) if read else {}
    except (ValueError, RecursionError) as error:
        raise ProcessError(
            f"its member 'json' cannot be read: {error}", error_class="damaged_member"
        ) from error
    return told if isinstance(told, dict) else {}


def _score(told: Mapping[str, Any], name: str) -> float:
    try:
        return float(told[name])
    except (KeyError, TypeError, ValueError):
        raise ProcessError(
            f"its json has no number {name!r} to filter by", error_class="no_score"
        ) from None
