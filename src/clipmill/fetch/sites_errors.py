"""What sites and yt-dlp say when they refuse, as classes that failures can be counted by."""

from __future__ import annotations

import re
from typing import NamedTuple

from clipmill.core.redact import redact_url
from clipmill.fetch.failures import A_LATER_RUN_SECONDS, is_retryable_status

_RATE_LIMIT_SECONDS = 30.0


class SiteError(NamedTuple):
    """One failure in our words.

    Args:
        error_class: short class, such as ``private``.
        message: what the site said, and what to try.
        retryable: whether trying again may help.
        retry_after_seconds: how long to wait before that; 0 for the usual back-off.
        http_status: of the answer that was refused, when HTTP said so.
    """

    error_class: str
    message: str
    retryable: bool = False
    retry_after_seconds: float = 0.0
    http_status: int | None = None


_COOKIES = " Give a logged-in browser's cookies with --cookies-file."
_LATER, _SOON = A_LATER_RUN_SECONDS, _RATE_LIMIT_SECONDS

# (pattern, class, seconds to wait before a retry or None for no retry, what to try); first match.
_SAYINGS: tuple[tuple[str, str, float | None, str], ...] = (
    (r"not a bot|captcha|unusual traffic", "bot_check", _LATER, _COOKIES),
    (r"\b429\b|too many requests|rate.?limit", "rate_limited", _SOON, ""),
    (
        r"live event|not currently live|premieres in|will begin in|is_upcoming|live stream"
        r"|user is not live|channel is (?:offline|not live)",
        "live_stream",
        _LATER,
        "",
    ),
    (r"private (?:video|account)|video is private|is private", "private", None, _COOKIES),
    (
        r"geo.?restrict|not available (?:in|from) your (?:country|region|location)"
        r"|not made this video available in your country|blocked (?:it )?in your country",
        "geo_blocked",
        None,
        " A proxy elsewhere may help: --proxy.",
    ),
    (
        r"confirm your age|age.restricted|members.only|join this channel|log ?in|sign in"
        r"|registered users|account (?:is )?required|cookies|requires? (?:payment|purchase|a subs)",
        "login_required",
        None,
        _COOKIES,
    ),
    (r"\bDRM\b", "drm", None, ""),
    (r"unsupported url", "unsupported_url", None, ""),
    (r"incomplete youtube id", "invalid_url", None, ""),
    (
        r"unavailable|has been removed|no longer available|does not exist|not found|deleted"
        r"|terminated|no video (?:formats|could be) found|takedown|copyright",
        "unavailable",
        None,
        "",
    ),
    (r"timed? ?out", "timeout", 0.0, ""),
    (
        r"name or service not known|getaddrinfo|name resolution|nodename nor servname"
        r"|failed to resolve|no address associated",
        "dns",
        0.0,
        "",
    ),
    (r"certificate|\bssl\b|\btls\b", "tls", None, ""),
    (r"connection|remote end closed|network is unreachable|proxy", "connect", 0.0, ""),
    (r"incomplete|bytes read|more expected|did not get any data|fragment", "truncated", 0.0, ""),
)
_COMPILED = tuple(
    (re.compile(pattern, re.I), error_class, wait_seconds, advice)
    for pattern, error_class, wait_seconds, advice in _SAYINGS
)

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_BOILERPLATE = re.compile(
    r"(?is)[;,.]?\s*(?:please report this issue on|confirm you are on the latest version|use --)"
    r".*$"
)

# What yt-dlp repeats of the error below, in Python's terms.
_CAUSE = re.compile(r"(?s)\s*\(caused by .*\)\s*$")


def plain_message(text: str) -> str:
    """The site's own words: without colours, prefixes, advice about yt-dlp's options, secrets."""
    text = _ANSI.sub("", text).strip().removeprefix("ERROR:").strip()
    text = _CAUSE.sub("", _BOILERPLATE.sub("", text))
    return redact_url(text).strip() or "The site gave no reason."


def explain(text: str, http_status: int | None = None) -> SiteError:
    """Class a failure by what was said about it.

    Args:
        text: yt-dlp's message.
        http_status: of the HTTP error that caused it, if one did.
    """
    message = plain_message(text)
    by_status = _by_status(http_status, message)
    if by_status is not None:
        return by_status
    for pattern, error_class, wait_seconds, advice in _COMPILED:
        if pattern.search(message):
            return SiteError(
                error_class,
                _sentence(message) + advice,
                wait_seconds is not None,
                wait_seconds or 0.0,
                http_status,
            )
    # Nobody knows whether this passes; the site is spared until a later run.
    return SiteError("site", _sentence(message), True, A_LATER_RUN_SECONDS, http_status)


def _by_status(http_status: int | None, message: str) -> SiteError | None:
    if http_status is None:
        return None
    if http_status == 429:
        return SiteError("rate_limited", _sentence(message), True, _RATE_LIMIT_SECONDS, 429)
    if http_status in (401, 403):
        return SiteError("access_denied", _sentence(message) + _COOKIES, http_status=http_status)
    if http_status in (404, 410):
        return SiteError("unavailable", _sentence(message), http_status=http_status)
    if http_status == 451:
        return SiteError("geo_blocked", _sentence(message), http_status=http_status)
    retryable = is_retryable_status(http_status)
    return SiteError("http_status", _sentence(message), retryable, http_status=http_status)


def _sentence(message: str) -> str:
    return message if message.endswith((".", "!", "?", ")")) else f"{message}."


def http_status_of(error: BaseException | None) -> int | None:
    """Status of the HTTP error at the bottom of yt-dlp's wrappings, if there is one."""
    for _ in range(8):
        if error is None:
            return None
        status = getattr(error, "status", None)
        if isinstance(status, int):
            return status
        wrapped = getattr(error, "exc_info", None)
        inner = getattr(error, "cause", None) or (wrapped[1] if wrapped else None)
        error = inner if inner is not error and inner is not None else error.__cause__
    return None
