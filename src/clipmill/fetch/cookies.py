"""A cookies file in the Netscape format, as browsers and curl export it."""

from __future__ import annotations

import re
from http.cookiejar import LoadError, MozillaCookieJar
from pathlib import Path

from clipmill.core.errors import UserError

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_EXPORT = "Export it from a browser in the Netscape format (cookies.txt)."


def cookie_jar(path: str) -> MozillaCookieJar:
    """The cookies of a file, those of a browser's session and those that have expired too.

    Raises:
        UserError: it cannot be read, or holds what no header may.
    """
    _text(path)
    jar = MozillaCookieJar(path)
    try:
        jar.load(ignore_discard=True, ignore_expires=True)
    except (OSError, LoadError) as error:
        raise _unreadable(path, error) from error
    for cookie in jar:
        cookie.expires = cookie.expires or None  # browsers write 0 for "as long as I am open"
    return jar


def read_cookies(path: str) -> str:
    """The text of a cookies file.

    Raises:
        UserError: as ``cookie_jar``.
    """
    cookie_jar(path)
    return _text(path)


def _text(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    for number, line in enumerate(text.split("\n"), 1):
        if wrong := _CONTROL.search(line):
            raise UserError(
                f"The cookies file {path} holds a control character ({wrong[0]!r}) in line "
                f"{number}, which no request may carry. {_EXPORT}"
            )
    return text


def _unreadable(path: str, error: Exception) -> UserError:
    return UserError(f"The cookies file {path} cannot be read: {error}. {_EXPORT}")
