"""What a user's input string stands for: a file, a folder, a pattern, a list in braces."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from typing import Any

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.io.filesystem import check_name
from clipmill.sources.streams import file_system, is_http, is_local, reading

MAX_BRACE_NAMES = 1_000_000
_BRACES = re.compile(r"\{([^{}]*,[^{}]*|(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?|[a-zA-Z]\.\.[a-zA-Z])\}")


def expand(given: str | os.PathLike[str]) -> list[str]:
    """Turn an input string into the files and folders it names, sorted.

    Args:
        given: a path or fsspec URL; may hold ``*``, ``?``, ``[...]``, ``**`` and braces such as
            ``{00000..00099}`` or ``{a,b}``. A file that is really called so is taken as it is.

    Raises:
        InputError: nothing is there; says where it looked and which names are similar.
    """
    text = _normal(os.fspath(given))
    check_name(text)
    if "::" in text or _exists(text):
        return [text]
    found = sorted({path for name in expand_braces(text) for path in _matches(name)})
    if not found:
        raise InputError(_nothing_there(text))
    for path in found:
        check_name(path)
    return found


def expand_braces(text: str) -> list[str]:
    """Write out ``{00000..00099}`` and ``{a,b}``, also several and nested.

    Raises:
        InputError: more than a million names would come out.
    """
    names = [text]
    while True:
        grown = [name for pattern in names for name in _expand_one(pattern)]
        if len(grown) > MAX_BRACE_NAMES:
            raise InputError(
                f"{redact_url(text)} stands for more than {MAX_BRACE_NAMES} names. "
                "Use * instead of braces."
            )
        if grown == names:
            return list(dict.fromkeys(names))
        names = grown


def _expand_one(text: str) -> Iterator[str]:
    match = _BRACES.search(text)
    if not match:
        yield text
        return
    for option in _options(match):
        yield text[: match.start()] + option + text[match.end() :]


def _options(match: re.Match[str]) -> Iterator[str]:
    body, first, last, step = match.groups()
    if first is not None:
        low, high, stride = int(first), int(last), abs(int(step or 1)) or 1
        count = abs(high - low) // stride + 1
        if count > MAX_BRACE_NAMES:
            raise InputError(f"{match.group()} stands for {count} names. Use * instead of braces.")
        padded = any(re.match(r"-?0\d", end) for end in (first, last))
        width = max(len(first), len(last)) if padded else 0
        for index in range(count):
            yield f"{low + index * (stride if high >= low else -stride):0{width}d}"
    elif "," in body:
        yield from body.split(",")
    else:
        low, high = ord(body[0]), ord(body[-1])
        yield from (
            chr(code)
            for code in range(low, high + (1 if high >= low else -1), 1 if high >= low else -1)
        )


def _normal(text: str) -> str:
    if not text.strip():
        raise InputError(
            "The input is an empty string. Give a table, a folder, shards or a URL of one."
        )
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    return os.path.abspath(os.path.expanduser(text)) if is_local(text) else text


def is_folder(url: str) -> bool:
    """Whether a path or URL is a folder that can be listed."""
    if is_local(url):
        return os.path.isdir(url)
    if is_http(url):
        return False
    fs, path = file_system(url)
    with reading(url):
        return bool(fs.isdir(path))


def _exists(url: str) -> bool:
    if is_local(url):
        return os.path.exists(url)
    if _has_pattern(url):
        return False
    if is_http(url):  # asking costs as much as opening, which says what is wrong
        return True
    fs, path = file_system(url)
    with reading(url):
        return bool(fs.exists(path))


def _has_pattern(url: str) -> bool:
    if is_http(url):
        return bool(re.search(r"[*{]", url.split("?")[0]))
    return bool(re.search(r"[*?\[{]", url))


def _matches(name: str) -> list[str]:
    if _exists(name):
        return [name]
    if not re.search(r"[*?\[]", name) or (is_http(name) and "*" not in name.split("?")[0]):
        return []
    fs, path = file_system(name)
    with reading(name):
        return [full_url(name, fs, found) for found in fs.glob(path) if not _is_hidden(found)]


def _is_hidden(path: str) -> bool:
    return path.rstrip("/").rsplit("/", 1)[-1].startswith(".")


def full_url(like: str, fs: Any, path: str) -> str:
    """A path of a file system as something that opens from anywhere."""
    return path if is_local(like) else str(fs.unstrip_protocol(path))


def _nothing_there(text: str) -> str:
    shown = redact_url(text)
    parent, _, wanted = text.rstrip("/").rpartition("/")
    names = _names_in(parent) if not is_http(text) else []
    if names is None:
        return (
            f"There is nothing at {shown}: the folder {redact_url(parent)} does not exist either."
        )
    verb = "Nothing matches" if _has_pattern(text) else "There is nothing at"
    names = sorted(names)
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5) or names[:5]
    return f"{verb} {shown}." + (f" That folder has: {', '.join(near)}." if near else "")


def _names_in(folder: str) -> list[str] | None:
    if _has_pattern(folder):
        return []
    fs, path = file_system(folder or "/")
    try:
        return [found.rstrip("/").rsplit("/", 1)[-1] for found in fs.ls(path or "/", detail=False)]
    except (OSError, ValueError):  # only to help with a message that is given anyway
        return None
