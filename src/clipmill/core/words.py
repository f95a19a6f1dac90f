"""Settings in the words they were given in: options, Python keywords, or keys of YAML."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import Literal

Style = Literal["option", "keyword", "key"]
"""``--max-bytes`` on the command line, ``max_bytes`` in Python, ``download.max_bytes`` in YAML."""

Place = tuple[str, str]
"""Section and name of a setting."""

_OPTION = re.compile(r"(?<![\w-])--(?:no-)?([a-z][a-z0-9]*(?:-[a-z0-9]+)*)")
_UNSHOWN = {"Cc", "Cs", "Zl", "Zp"}
"""Categories of control characters, lone surrogates, and separators of lines."""
_MODES = ("resume", "overwrite", "extend")


def name_of(place: Sequence[str], style: Style) -> str:
    """What a user calls the setting at a place of a recipe.

    Args:
        place: section, setting, and where inside it, such as ``("write", "encode_formats")``.
        style: the user's way of giving settings.
    """
    if style == "key" or len(place) < 2:
        return ".".join(place)
    setting = place[1]
    return "--" + setting.replace("_", "-") if style == "option" else setting


def as_options(message: str, places: Collection[Place]) -> str:
    """Write settings that a message names as YAML or Python do as options.

    Keywords of one plain word and all that is in quotes are left alone: they may be anything.
    """
    known = [f"{section}.{name}" for section, name in places]
    known += [name for _, name in places if "_" in name]
    plain = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
    named = re.compile(rf"(?<![\w'\"./=-])({plain})(?![\w'\"/=-]|\.\w)")
    return named.sub(lambda found: name_of(("", found[1].rpartition(".")[2]), "option"), message)


def as_keywords(message: str, places: Collection[Place]) -> str:
    """Write settings that a message names as options or YAML do as Python's keywords."""
    known = {name for _, name in places}
    keys = "|".join(re.escape(f"{section}.{name}") for section, name in places)

    def keyword(found: re.Match[str]) -> str:
        name = found[1].replace("-", "_")
        if name in _MODES:
            return f'mode="{name}"'
        return name if name in known else found[0]

    message = re.sub(rf"\b({keys})\b", lambda found: found[1].rpartition(".")[2], message)
    return _OPTION.sub(keyword, message)


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 shard``, ``2,000 shards``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def as_shown(text: str, longest: int = 200) -> str:
    """A text of the data as a terminal may show it: on one line, and without orders to it.

    Args:
        text: from anywhere.
        longest: letters after which it is cut.
    """
    cut = text if len(text) <= longest else f"{text[:longest]}..."
    return "".join(
        repr(letter)[1:-1] if unicodedata.category(letter) in _UNSHOWN else letter for letter in cut
    )


def duration_text(seconds: float) -> str:
    """A length of time in the unit that suits it: ``4.2 s``, ``3.5 min``, ``1,200.00 hours``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:,.2f} hours"


def hours_text(hours: float) -> str:
    """A length given in hours, as ``duration_text`` says it."""
    return duration_text(hours * 3600)
