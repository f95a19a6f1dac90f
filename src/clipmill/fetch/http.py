"""Files on web servers: streamed to disk, checked on the way, resumed where they broke off."""

from __future__ import annotations

import aiohttp
from yarl import URL

from clipmill.core.redact import redact_url
from clipmill.fetch.base import Budget, Fetched, Fetcher, FetchRequest
from clipmill.fetch.body import Body
from clipmill.fetch.client import HttpClient, parse_http_url, status_failure
from clipmill.fetch.failures import failure
from clipmill.fetch.manners import Effort, Slots, opt_out_reason, with_retries
from clipmill.fetch.options import FetchOptions


class HttpFetcher(Fetcher):
    """Fetches one file by one GET, and what is missing of it by further ones.

    Args:
        options: timeouts, limits, credentials, manners and permissions.
    """

    name = "http"

    def __init__(self, options: FetchOptions) -> None:
        self._options = options
        self._client = HttpClient(options)
        self._slots = Slots(options.concurrency_per_host)

    async def fetch(self, request: FetchRequest, budget: Budget) -> Fetched:
        """Fetch ``request.url`` into ``request.target``."""
        effort = Effort(self.name, redact_url(request.url), is_next=budget.is_next)
        body = Body(request.target, self._options.max_bytes, budget, effort)
        wanted = bool(request.modalities)
        try:
            url = parse_http_url(request.url)
            await with_retries(
                lambda: self._attempt(url, body, wanted, effort), self._options, effort
            )
            sha256, size = body.finish() if wanted else ("", body.announced_size)
        except BaseException:
            body.discard()
            raise
        return Fetched(
            path=request.target if wanted else None,
            size=size,
            sha256=sha256,
            extension=body.sniffed.extension,
            fetcher=self.name,
            final_url=effort.final_url,
            http_status=effort.http_status,
            content_type=effort.content_type,
            attempts=effort.attempts,
            seconds=effort.seconds,
            downloaded_bytes=effort.downloaded_bytes,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _attempt(self, url: URL, body: Body, wanted: bool, effort: Effort) -> None:
        async with self._slots.of(url.host or "", effort):
            async with self._client.get(url, effort, body.resume_headers()) as response:
                if response.status == 416:
                    body.restart()
                self._check(response)
                await (body.read(response) if wanted else body.look(response))

    def _check(self, response: aiohttp.ClientResponse) -> None:
        """Look at status and headers before any of the body is read."""
        where = redact_url(str(response.url))
        if not 200 <= response.status < 300:
            raise status_failure(response)
        reason = opt_out_reason(response.headers, self._options)
        if reason:
            raise failure(
                "opt_out",
                f"{where}: {reason}. It is left out; to take it all the same (and answer for it), "
                "use --no-respect-opt-out.",
            )
