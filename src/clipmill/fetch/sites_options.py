"""yt-dlp's options: ours, and those of its own that a recipe may set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clipmill.core.errors import RecipeError
from clipmill.core.registry import nearest
from clipmill.fetch.options import DEFAULT_USER_AGENT, FetchOptions

# Options that run commands, load code, read or write files elsewhere, or undo what clipmill
# promises are not among these.
_ALLOWED = frozenset(
    {
        *("age_limit", "ap_mso", "ap_password", "ap_username", "check_formats"),
        *("concurrent_fragment_downloads", "extractor_args", "extractor_retries"),
        *("file_access_retries", "format_sort", "fragment_retries", "geo_bypass"),
        *("geo_bypass_country", "geo_bypass_ip_block", "geo_verification_proxy"),
        *("http_chunk_size", "http_headers", "legacyserverconnect", "max_sleep_interval"),
        *("password", "prefer_insecure", "retries", "skip_unavailable_fragments"),
        *("sleep_interval", "sleep_interval_requests", "sleep_interval_subtitles"),
        *("socket_timeout", "source_address", "throttledratelimit", "twofactor", "username"),
        "videopassword",
    }
)
_INSTEAD = {
    "allsubtitles": "subtitle_languages",
    "cookiefile": "cookies_file",
    "format": "max_height and audio_rate",
    "max_filesize": "max_bytes",
    "nocheckcertificate": "ignore_tls_errors",
    "proxy": "proxy",
    "ratelimit": "rate_limit_bytes_per_second",
    "subtitleslangs": "subtitle_languages",
    "writeautomaticsub": "automatic_subtitles",
    "writesubtitles": "subtitles",
}


def check_site_options(options: Mapping[str, Any]) -> None:
    """Refuse options that are unknown, unsafe, or said in another way.

    Raises:
        RecipeError: names the first such option and what to use.
    """
    for name in options:
        if name in _INSTEAD:
            raise RecipeError(f"site_options: instead of {name!r}, set {_INSTEAD[name]}.")
        if name not in _ALLOWED:
            raise RecipeError(
                f"site_options: {name!r} is not an option of yt-dlp that a recipe may set (those "
                "that run commands, load code or write files may not). "
                + nearest(name, sorted(_ALLOWED))
            )


def downloader_params(options: FetchOptions) -> dict[str, Any]:
    """Options for ``YoutubeDL``, as JSON-like values; they may hold secrets.

    Raises:
        UserError: a site option is refused, or the cookies file cannot be read.
    """
    check_site_options(options.site_options)
    params: dict[str, Any] = {
        "socket_timeout": options.idle_timeout_seconds,
        "proxy": options.proxy_url() or "",
        "nocheckcertificate": options.ignore_tls_errors,
        "retries": options.retries,
        "fragment_retries": options.retries,
        "skip_unavailable_fragments": False,
        "writesubtitles": options.subtitles != "none",
        "writeautomaticsub": options.subtitles != "none" and options.automatic_subtitles,
        "subtitleslangs": list(options.subtitle_languages),
        **options.site_options,
    }
    if options.rate_limit_bytes_per_second:
        params["ratelimit"] = int(options.rate_limit_bytes_per_second)
    if options.user_agent != DEFAULT_USER_AGENT:
        # Sites answer what they know; a name of ours is sent where somebody chose to.
        params["http_headers"] = {
            "User-Agent": options.user_agent,
            **params.get("http_headers", {}),
        }
    return params
