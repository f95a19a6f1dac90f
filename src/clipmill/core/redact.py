"""Secrets in URLs never reach tables, logs or reports."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

REDACTED = "REDACTED"

# User and password before a host. They end at the last @ before the path; with a colon they may
# hold spaces, and with what cannot be a port after it even what should have been encoded.
# Members of archives (zip://a@b.mp4::...) are no hosts.
_USERINFO = re.compile(
    r"(?i)(?:(?<=://)(?<!zip://)(?<!tar://)[^/?#\s]*"
    r"|(?:(?<=//)(?<!zip://)(?<!tar://)|(?<=https:/)|(?<=http:/)|(?<=ftp:/))"
    r"(?!/)[^/?#\s:@]*:(?:[^/?#\r\n]*|(?!\d*(?:[/?#\s]|$))[^\s@]{0,512})"
    r"|(?<![^\s'\"(])[^/\\?#\s:@'\"]{1,256}:[^/\\?#\s:@]{1,256}(?=@[\w\[]))@"
)
_PARAMETER = re.compile(r"(?<=[?&;#])([^=&;#?\s/]{1,64})=([^&;#\s]+)")
_KEY_VALUE = re.compile(r"[\w~+-]{16,}=*")
_LAST_WORDS = ("token", "signature", "secret", "password", "passwd", "apikey", "accesskey")
_NAMES = frozenset(
    {
        *("auth", "authorization", "awsaccesskeyid", "credential", "hdnea", "hdntl", "hdnts"),
        *("hmac", "jwt", "keypairid", "policy", "sas", "session", "sig", "xamzcredential"),
        "xgoogcredential",
    }
)


def plain_text(text: str) -> str:
    """Text that every file can hold: what is no Unicode (lone surrogates) becomes ``?``."""
    return text.encode("utf-8", "replace").decode()


def redact_url(text: str) -> str:
    """Replace credentials in a URL (or in a message that quotes URLs) by ``REDACTED``."""
    text = _USERINFO.sub("REDACTED@", text) if "@" in text else text
    return _PARAMETER.sub(_redacted, text) if "=" in text else text


def _redacted(found: re.Match[str]) -> str:
    name, value = found.groups()
    word = _word(name)
    if word == "key":
        is_secret = _KEY_VALUE.fullmatch(value) is not None
    else:
        is_secret = word in _NAMES or word.endswith(_LAST_WORDS)
    return f"{name}={REDACTED}" if is_secret else found[0]


@lru_cache(maxsize=1024)
def _word(name: str) -> str:
    """A parameter's name as it was meant: ``X-Api%5FKey[]`` is ``xapikey``."""
    return re.sub(r"[-_.\[\]]", "", unquote(name)).lower()
