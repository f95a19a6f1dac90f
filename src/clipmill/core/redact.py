"""Secrets in URLs never reach tables, logs or reports."""

from __future__ import annotations

import re

REDACTED = "REDACTED"

_USERINFO = re.compile(r"(?<=://)[^/?#@\s]+@")
_SECRET = re.compile(
    r"(?i)(?<=[?&;])("
    r"x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|"
    r"awsaccesskeyid|signature|sig|access_token|auth_token|token|api_?key|apikey|"
    r"password|passwd|secret|authorization|policy|key-pair-id"
    r")=[^&;#\s]*"
)


def plain_text(text: str) -> str:
    """Text that every file can hold: what is no Unicode (lone surrogates) becomes ``?``."""
    return text.encode("utf-8", "replace").decode()


def redact_url(text: str) -> str:
    """Replace credentials in a URL (or in a message that quotes URLs) by ``REDACTED``."""
    text = _USERINFO.sub("REDACTED@", text) if "@" in text else text
    return _SECRET.sub(r"\1=REDACTED", text) if "=" in text else text
