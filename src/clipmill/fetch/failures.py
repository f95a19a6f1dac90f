"""Every way a fetch can fail: the words failures are counted by, and which may pass by waiting."""

from __future__ import annotations

from typing import Any

from clipmill.core.errors import DownloadError
from clipmill.core.redact import plain_text, redact_url

ERROR_CLASSES: dict[str, bool] = {
    "damaged_input": False,
    "invalid_url": False,
    "unsupported_scheme": False,
    "local_path_refused": False,
    "forbidden_address": False,
    "dns": True,
    "connect": True,
    "tls": False,
    "timeout": True,
    "http_status": False,
    "bad_response": False,
    "redirect_loop": False,
    "opt_out": False,
    "too_large": False,
    "truncated": True,
    "empty_body": False,
    "not_media": False,
    "not_found": False,
    "access_denied": False,
    "storage": True,
    "library": False,
    "bad_archive": False,
    "unavailable": False,
    "private": False,
    "login_required": False,
    "geo_blocked": False,
    "drm": False,
    "playlist": False,
    "unsupported_url": False,
    "live_stream": True,
    "bot_check": True,
    "rate_limited": True,
    "missing_extra": True,
    "process_died": True,
    "site": True,
}
"""Error class -> whether trying again may help. Single failures may know better."""

A_LATER_RUN_SECONDS = 3600.0
"""A ``retry_after_seconds`` longer than a fetch waits, so that only a later run tries again."""

# 416 answers a Range that the file no longer has; the next try asks for the whole.
_RETRYABLE_4XX = frozenset({408, 416, 425, 429})
_LASTING_5XX = frozenset({501, 505, 506, 508, 510, 511})


def failure(
    error_class: str, message: str, *, retryable: bool | None = None, **details: Any
) -> DownloadError:
    """Make the error of one source; secrets in URLs that the message quotes are taken out.

    Args:
        error_class: one of ``ERROR_CLASSES``.
        message: what happened, to what, what to try.
        retryable: whether trying again may help. Default: as ``ERROR_CLASSES`` has it.
        details: facts for the ``fetch`` column.
    """
    default = ERROR_CLASSES[error_class]
    return DownloadError(
        plain_text(redact_url(message)),
        error_class=error_class,
        retryable=default if retryable is None else retryable,
        details=details,
    )


def is_retryable_status(status: int) -> bool:
    """Whether a request answered with this HTTP status may succeed later."""
    return status in _RETRYABLE_4XX or (status >= 500 and status not in _LASTING_5XX)
