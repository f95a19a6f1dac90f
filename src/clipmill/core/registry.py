"""Names for implementations: built-ins and other packages come in by the same door.

Each kind of thing is an entry point group (``clipmill.sources``, ``clipmill.fetchers``,
``clipmill.formats``, ``clipmill.executors``, ``clipmill.steps``); clipmill's own are declared in
its ``pyproject.toml`` exactly as a third-party package declares its own. Loading happens on use.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from clipmill.core.errors import RecipeError


@cache
def _points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def names(group: str) -> list[str]:
    """Names registered in an entry point group, sorted."""
    return sorted(_points(group))


def load(group: str, name: str) -> Any:
    """Load what a name stands for.

    Args:
        group: entry point group, such as ``clipmill.formats``.
        name: the name a user gave.

    Raises:
        RecipeError: nothing has that name, or what has it cannot be imported.
    """
    point = _points(group).get(name)
    if point is None:
        kind = group.removeprefix("clipmill.").removesuffix("s")
        raise RecipeError(f"There is no {kind} named {name!r}. {nearest(name, names(group))}")
    try:
        return point.load()
    except ImportError as error:
        owner = point.dist.name if point.dist else "an unknown package"
        raise RecipeError(
            f"{name!r} of {group} (from {owner}) cannot be imported: {error}. "
            f"Repair or uninstall {owner}."
        ) from error


def nearest(word: str, choices: list[str]) -> str:
    """Say which choice a misspelt word probably meant, or list them all."""
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Choose one of: {', '.join(choices)}."
