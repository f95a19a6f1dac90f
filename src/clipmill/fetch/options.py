"""How sources are fetched: every choice of the ``download`` step, for all fetchers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
)

from clipmill.core.config import Config, PositiveBytes
from clipmill.core.redact import REDACTED, redact_url

DEFAULT_USER_AGENT = f"clipmill/{version('clipmill')}"
_HOW = frozenset(
    {
        "connect_timeout_seconds",
        "idle_timeout_seconds",
        "total_timeout_seconds",
        "retries",
        "backoff_seconds",
        "concurrency",
        "concurrency_per_host",
        "user_agent",
        "headers",
        "cookies_file",
        "proxy",
        "ignore_tls_errors",
        "allow_local_paths",
        "allow_private_addresses",
        "rate_limit_bytes_per_second",
    }
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, section 5.6.2: token."""
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SECRET_NAME = re.compile(
    r"(?i)pass|secret|token|auth|cookie|credential|api_?key|username|proxy|header"
)


def _read_headers(value: Any) -> Any:
    """Accept ``["Name: value"]``, as a command line gives them, besides a mapping."""
    if isinstance(value, (list, tuple)):
        lines = [str(line).partition(":") for line in value]
        if not all(colon for _, colon, _ in lines):
            raise ValueError("a header is written 'Name: value', and one has no colon")
        value = {name.strip(): content.strip() for name, _, content in lines}
    if isinstance(value, Mapping):
        for name, content in value.items():
            if not _HEADER_NAME.fullmatch(str(name)):
                raise ValueError(f"{str(name)!r} is not the name of a header")
            _one_line(content)
    return value


def _one_line(value: Any) -> Any:
    """Refuse what no header can carry; every source would fail of it."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if _UNSENDABLE.search(text):
        raise ValueError("holds a line break or another control character; write it as one line")
    return value


class FetchOptions(Config):
    """How sources are fetched."""

    max_bytes: PositiveBytes = ByteSize(2_000_000_000)
    """Largest source, in bytes or as `2GB`. Larger ones fail as `too_large`, before they are read
    where the server tells the size. Files of this machine that are only read, as in splitting and
    making clips, may have any size."""
    connect_timeout_seconds: PositiveFloat = 10.0
    """Seconds to resolve the name and connect."""
    idle_timeout_seconds: PositiveFloat = 30.0
    """Seconds without a single byte after which a transfer is given up."""
    total_timeout_seconds: PositiveFloat = 600.0
    """Seconds one source may take in all, further tries included."""
    retries: int = Field(default=3, ge=0)
    """Further tries after the first, for failures that may pass."""
    backoff_seconds: PositiveFloat = 0.5
    """Longest wait before the first further try; it doubles with every try, up to 30 seconds."""
    concurrency: PositiveInt = 32
    """Sources fetched at a time by one worker."""
    concurrency_per_host: PositiveInt = 16
    """Sources fetched at a time from one host by one worker."""
    user_agent: Annotated[str, AfterValidator(_one_line)] = DEFAULT_USER_AGENT
    """How clipmill presents itself to servers. Say here who you are and where to complain."""
    headers: Annotated[dict[str, SecretStr], BeforeValidator(_read_headers)] = Field(
        default_factory=dict
    )
    """Headers sent along to the host of the URL, and not to where it redirects elsewhere."""
    cookies_file: str | None = None
    """Cookies in the Netscape format that browsers and curl export."""
    proxy: Annotated[SecretStr, AfterValidator(_one_line)] | None = None
    """Proxy to go through, such as `http://user:password@host:3128`."""
    ignore_tls_errors: bool = False
    """Accept expired, self-signed and otherwise wrong certificates."""
    respect_opt_out: bool = True
    """Leave out what its publisher marks as not for machine learning, in X-Robots-Tag,
    tdm-reservation or Content-Usage headers."""
    opt_out_directives: tuple[str, ...] = (
        "noai",
        "noimageai",
        "novideoai",
        "noindex",
        "noimageindex",
        "novideoindex",
    )
    """Words in X-Robots-Tag that count as such a mark."""
    allow_local_paths: bool = False
    """Let rows name files of this machine, as `file://` or as a bare path."""
    allow_private_addresses: bool = False
    """Let rows lead to loopback, private and link-local addresses."""

    max_height: PositiveInt = 360
    """Height wanted from sites, in pixels: the smallest format at least this high, else the
    highest."""
    audio_rate: int = Field(default=44100, ge=0)
    """Audio sample rate wanted from sites, in Hz: the lowest at least this, else the best. 0: the
    best."""
    subtitles: Literal["none", "first", "all"] = "none"
    """Subtitles wanted from sites: none, the first of the languages found, or all of them."""
    subtitle_languages: tuple[str, ...] = ("en",)
    """Languages of subtitles, in order of preference."""
    automatic_subtitles: bool = False
    """Take machine-made subtitles where there are no others."""
    site_info: bool = False
    """Keep what the site says about a video: title, uploader, licence, chapters and so on."""
    rate_limit_bytes_per_second: PositiveBytes | None = None
    """Bytes per second for one transfer from a site. Default: unlimited."""
    sections_only: bool = False
    """Fetch only the spans asked for, from sites that allow it, instead of the whole source."""
    site_options: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Further options for yt-dlp, by their Python names."""

    def header_values(self) -> dict[str, str]:
        """Headers in the clear, to be sent and never to be shown."""
        return {name: value.get_secret_value() for name, value in self.headers.items()}

    def proxy_url(self) -> str | None:
        """Proxy with its credentials, to be used and never to be shown."""
        return self.proxy.get_secret_value() if self.proxy else None

    def public_dump(self) -> dict[str, Any]:
        """Every choice as JSON-like values, with secrets left out; fit for ``dataset.json``."""
        dump = self.model_dump(mode="json")
        dump["headers"] = dict.fromkeys(self.headers, REDACTED)
        proxy = self.proxy_url()
        dump["proxy"] = redact_url(proxy) if proxy else None
        dump["site_options"] = _without_secrets(dump["site_options"])
        return dump

    def identity(self) -> dict[str, Any]:
        """The choices that decide what is fetched, and so belong to a recipe's fingerprint.

        How it is fetched (timeouts, concurrency, credentials, permissions) is left out: those may
        differ from start to start of the same run.
        """
        return {name: value for name, value in self.public_dump().items() if name not in _HOW}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: REDACTED if _SECRET_NAME.search(str(key)) else _without_secrets(part)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(part) for part in value]
    return redact_url(value) if isinstance(value, str) else value
