"""Which fetcher fetches a URL: decided by its scheme, by known sites, and by what the bytes are."""

from __future__ import annotations

import re

from clipmill.core import registry
from clipmill.core.errors import DownloadError
from clipmill.core.redact import redact_url
from clipmill.fetch.base import MAX_URL_CHARACTERS, Budget, Fetched, Fetcher, FetchRequest
from clipmill.fetch.border import surprises_of
from clipmill.fetch.failures import failure
from clipmill.fetch.known_sites import KnownSites
from clipmill.fetch.options import FetchOptions
from clipmill.fetch.schemes import LOCAL_SCHEMES, STORAGE_SCHEMES

GROUP = "clipmill.fetchers"

_SCHEME = re.compile(r"(?i)([a-z][a-z0-9+.-]*)://")
_NO_SLASHES = re.compile(r"(?i)(https?):(?!//[^/])")
_OTHER_URL = re.compile(
    r"(?i)(about|blob|cid|data|ftps?|javascript|magnet|mailto|rtmp|rtsp|tel|urn|view-source):"
)
"""URLs without slashes that lists of links hold; any other word with a colon may name a file."""
_SECOND = re.compile(r"(?i)\shttps?://")
_UNFIT = re.compile(r"[\x00-\x1f\x7f]")
_PATH = re.compile(r"[/\\]|\.\w{1,5}$|^file:")
_UNFETCHED = "{!r}: nothing here fetches {} URLs."
_NOTHING = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>", "#n/a", "nat"})
_PAGES = frozenset({"html", "playlist"})
_SPENT = ("attempts", "seconds", "downloaded_bytes")


class Router:
    """Sends every request to the fetcher for it; made once per worker, inside its event loop.

    Args:
        options: how sources are fetched.
    """

    def __init__(self, options: FetchOptions) -> None:
        self._options = options
        self._fetchers: dict[str, Fetcher] = {}
        self._sites = KnownSites()

    async def fetch(self, request: FetchRequest, budget: Budget) -> Fetched:
        """Fetch one source into ``request.target``.

        Raises:
            DownloadError: the source cannot be had; nothing is left at ``request.target``.
            RunError: this machine's disk does not take it.
        """
        with surprises_of(request):
            return await self._fetch(request, budget)

    async def _fetch(self, request: FetchRequest, budget: Budget) -> Fetched:
        if request.media is not None:
            return await self._fetcher("storage").fetch(request, budget)
        name = await self._route(request.url)
        if name != "http":
            return await self._fetcher(name).fetch(request, budget)
        try:
            return await self._fetcher("http").fetch(request, budget)
        except DownloadError as error:
            if error.details.pop("kind", None) not in _PAGES:
                raise
            return await self._fetch_page(request, budget, error)

    async def close(self) -> None:
        """Close every fetcher that was used."""
        fetchers, self._fetchers = self._fetchers, {}
        for fetcher in fetchers.values():
            await fetcher.close()

    async def _fetch_page(
        self, request: FetchRequest, budget: Budget, found: DownloadError
    ) -> Fetched:
        """Look for a video on the page (or behind the playlist) that came instead of one."""
        if not self._sites.available:
            raise DownloadError(
                f'{found.message} To look for videos there: pip install "clipmill[ytdlp]"',
                error_class=found.error_class,
                details=found.details,
            ) from found
        try:
            fetched = await self._fetcher("sites").fetch(request, budget)
        except DownloadError as error:
            for name in _SPENT:
                error.details[name] = error.details.get(name, 0) + found.details.get(name, 0)
            if error.error_class != found.error_class:
                raise
            raise DownloadError(
                f"{found.message} yt-dlp found nothing there either: {error.message}",
                error_class=found.error_class,
                details=found.details | {name: error.details[name] for name in _SPENT},
            ) from error
        fetched.attempts += found.details["attempts"]
        fetched.seconds += found.details["seconds"]
        fetched.downloaded_bytes += found.details["downloaded_bytes"]
        return fetched

    def _fetcher(self, name: str) -> Fetcher:
        fetcher = self._fetchers.get(name)
        if fetcher is None:
            fetcher = self._fetchers[name] = registry.load(GROUP, name)(self._options)
        return fetcher

    async def _route(self, text: str) -> str:
        """Name of the fetcher to ask first."""
        url = text.strip()
        shown = redact_url(url[:200])
        if url.lower() in _NOTHING:
            raise failure("invalid_url", f"The row has no URL (it says {url!r}).")
        if len(url) > MAX_URL_CHARACTERS:
            raise failure("invalid_url", f"A text of {len(url)} characters is no URL: {shown}...")
        if _UNFIT.search(url):
            raise failure("invalid_url", f"{shown!r} holds control characters.")
        if wrong := _NO_SLASHES.match(url):
            raise failure(
                "invalid_url", f"{shown!r} is no URL: {wrong[1]}:// and a host must come first."
            )
        if _SECOND.search(url):
            raise failure("invalid_url", f"{shown!r} are several URLs: a row has one.")
        scheme = _SCHEME.match(url)
        if scheme is None and (other := _OTHER_URL.match(url)):
            raise failure("unsupported_scheme", _UNFETCHED.format(shown, f"{other[1].lower()}:"))
        if scheme is None:
            if _PATH.search(url):
                return "storage"
            raise failure("invalid_url", f"{shown!r} is neither a URL nor a path.")
        name = scheme[1].lower()
        if name in ("zip", "tar") and "::" in url:
            return "archive"
        if name in ("http", "https"):
            return "sites" if await self._sites.know(url) else "http"
        if name in STORAGE_SCHEMES or name in LOCAL_SCHEMES:
            return "storage"
        raise failure("unsupported_scheme", _UNFETCHED.format(shown, f"{name}://"))
