"""GET requests with manners: guarded addresses, redirects by hand, secrets kept to their host."""

from __future__ import annotations

import base64
import re
import socket
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp
from yarl import URL

from clipmill.core.errors import DownloadError, UserError
from clipmill.core.redact import plain_text, redact_url
from clipmill.fetch.addresses import ForbiddenAddressError, GuardedResolver, check_host
from clipmill.fetch.base import MAX_URL_CHARACTERS
from clipmill.fetch.cookies import cookie_jar
from clipmill.fetch.failures import failure, is_retryable_status
from clipmill.fetch.manners import Effort, parse_retry_after
from clipmill.fetch.options import FetchOptions

MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SENDABLE = re.compile(r"[!-~]+")
_READ_BYTES = 256 * 1024
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


def parse_http_url(text: str) -> URL:
    """Read an http or https URL without changing a character that may be sent as it is.

    Raises:
        DownloadError: ``invalid_url`` or ``unsupported_scheme``.
    """
    text = text.strip()
    shown = redact_url(text[:200])
    if len(text) > MAX_URL_CHARACTERS:
        raise failure("invalid_url", f"A URL of {len(text)} characters is no URL: {shown}...")
    try:
        url = URL(text, encoded=bool(_SENDABLE.fullmatch(text)))
        host, _port = url.host, url.port
    except ValueError as error:
        raise failure("invalid_url", f"{shown!r} is not a URL: {error}") from error
    if url.scheme not in ("http", "https"):
        raise failure("unsupported_scheme", f"{shown!r} is neither an http nor an https URL.")
    if not host or any(letter.isspace() for letter in host):
        raise failure("invalid_url", f"{shown!r} names no host.")
    return url.with_fragment(None)


def content_range(response: aiohttp.ClientResponse) -> tuple[int, int, int] | None:
    """First and last byte of a partial answer, and bytes of the whole; None when it says not."""
    span = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return (int(span[1]), int(span[2]), int(span[3])) if span else None


def status_failure(response: aiohttp.ClientResponse) -> DownloadError:
    """The error of an answer whose status is none of success."""
    phrase = response.reason or ""
    if not phrase and response.status in HTTPStatus._value2member_map_:
        phrase = HTTPStatus(response.status).phrase
    wait = parse_retry_after(response.headers.get("Retry-After"))
    where = redact_url(str(response.url))
    message = f"{where} answered {response.status} {phrase}".rstrip() + "."
    if wait is not None:
        message += f" It asks to wait {wait:.0f} s."
    if response.status == 401:
        message += " Give credentials with --headers or --cookies-file."
    return failure(
        "http_status",
        message,
        retryable=is_retryable_status(response.status),
        retry_after_seconds=wait,
    )


class HttpClient:
    """One pool of connections for all HTTP requests of a fetcher; made inside its event loop.

    Args:
        options: user agent, headers, cookies, proxy, timeouts and permissions.

    Raises:
        UserError: the cookies file or the proxy cannot be used.
    """

    def __init__(self, options: FetchOptions) -> None:
        self._options = options
        self._own_headers = options.header_values()
        cookies = options.cookies_file
        self._cookies = None if cookies is None else cookie_jar(cookies)
        self._proxy = _read_proxy(options.proxy_url())
        # Behind a proxy all connections go to the proxy, whose address is the user's own choice.
        allow_private = options.allow_private_addresses or self._proxy is not None
        connector = aiohttp.TCPConnector(
            limit=0,
            ttl_dns_cache=300,
            resolver=GuardedResolver(min(options.concurrency, 32), allow_private),
            ssl=not options.ignore_tls_errors,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=options.connect_timeout_seconds,
                sock_read=options.idle_timeout_seconds,
            ),
            auto_decompress=False,
            read_bufsize=_READ_BYTES,
            max_line_size=MAX_URL_CHARACTERS * 2,
            max_field_size=MAX_URL_CHARACTERS * 2,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    @asynccontextmanager
    async def get(
        self, url: URL, effort: Effort, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for a URL and follow where it leads; the status of the answer is left to the caller.

        Args:
            url: from ``parse_http_url``.
            effort: told the URL and status of every answer.
            headers: further headers, such as ``Range``.

        Raises:
            DownloadError: the connection failed, also while the caller reads the body.
        """
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._follow(url, effort, headers or {})
            yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            where = redact_url(str(response.url if response else effort.final_url or url))
            raise _explain(error, where, response is not None) from error
        finally:
            if response is not None:
                response.release()

    async def _follow(
        self, url: URL, effort: Effort, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        first, seen = url, {url}
        while True:
            response = await self._ask(first, url, effort, headers)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                return response
            response.release()
            url = _redirected(url, location)
            if url in seen or len(seen) > MAX_REDIRECTS:
                how = "in a circle" if url in seen else f"more than {MAX_REDIRECTS} times"
                raise failure("redirect_loop", f"{redact_url(str(first))} redirects {how}.")
            seen.add(url)

    async def _ask(
        self, first: URL, url: URL, effort: Effort, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        effort.final_url = plain_text(redact_url(str(url)))
        if not self._options.allow_private_addresses:
            check_host(url.host or "")
        response = await self._session.get(
            url.with_user(None) if url.user is not None or url.password is not None else url,
            headers=self._headers(first, url, headers),
            allow_redirects=False,
            proxy=self._proxy,
        )
        effort.http_status = response.status
        content_type = response.headers.get("Content-Type")
        effort.content_type = content_type and plain_text(content_type)
        return response

    def _headers(self, first: URL, url: URL, headers: Mapping[str, str]) -> dict[str, str]:
        sent = {
            "User-Agent": self._options.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        }
        if _is_same_origin(first, url):
            sent |= self._own_headers
            if first.user is not None or first.password is not None:
                secret = f"{first.user or ''}:{first.password or ''}".encode()
                sent["Authorization"] = f"Basic {base64.b64encode(secret).decode()}"
        if self._cookies is not None:
            asked = urllib.request.Request(str(url.with_user(None)))
            self._cookies.add_cookie_header(asked)
            cookies = asked.get_header("Cookie")
            if cookies:
                sent["Cookie"] = cookies
        return sent | dict(headers)


def _is_same_origin(first: URL, url: URL) -> bool:
    """Whether secrets meant for one URL may go to another: same place, and not less encrypted."""
    if first.host != url.host:
        return False
    if first.scheme == url.scheme:
        return first.port == url.port
    return first.scheme == "http" and first.is_default_port() and url.is_default_port()


def _redirected(url: URL, location: str) -> URL:
    try:
        target = URL(location, encoded=bool(_SENDABLE.fullmatch(location)))
        return parse_http_url(str(url.join(target)))
    except ValueError as error:
        shown = redact_url(location[:200])
        raise failure(
            "bad_response", f"{redact_url(str(url))} redirects to {shown!r}, which is no URL."
        ) from error


def check_access(options: FetchOptions) -> None:
    """Refuse a cookies file or a proxy that cannot be used.

    Raises:
        UserError: what is wrong with it.
    """
    if options.cookies_file is not None:
        cookie_jar(options.cookies_file)
    _read_proxy(options.proxy_url())


def _read_proxy(text: str | None) -> URL | None:
    if text is None:
        return None
    try:
        return parse_http_url(text)
    except DownloadError as error:
        raise UserError(f"The proxy cannot be used: {error.message}") from error


def _explain(error: aiohttp.ClientError | TimeoutError, url: str, answered: bool) -> DownloadError:
    """Put what aiohttp noticed into one of our error classes."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _explain_dns(error, url)
    if isinstance(error, aiohttp.ClientSSLError):
        return failure("tls", f"{url}: {error}")
    if isinstance(error, TimeoutError):
        waited = "stopped sending" if answered else "did not answer in time"
        return failure("timeout", f"{url} {waited}: {error or 'timed out'}.")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        retryable = is_retryable_status(error.status)
        message = f"The proxy answered {error.status} {error.message} for {url}."
        return failure("http_status", message, retryable=retryable)
    if isinstance(error, aiohttp.ClientResponseError):
        return failure("bad_response", f"{url} sent what is not HTTP: {error.message}")
    if isinstance(error, aiohttp.InvalidURL):
        return failure("invalid_url", f"{url} is not a URL: {error}")
    if answered:
        return failure("truncated", f"{url} broke off: {error}")
    return failure("connect", f"{url}: {error}")


def _explain_dns(error: aiohttp.ClientConnectorDNSError, url: str) -> DownloadError:
    cause = error.os_error
    if isinstance(cause, ForbiddenAddressError):
        return failure("forbidden_address", str(cause))
    passes = not isinstance(cause, socket.gaierror) or cause.errno == socket.EAI_AGAIN
    return failure("dns", f"{url}: the host's name cannot be resolved: {cause}", retryable=passes)
