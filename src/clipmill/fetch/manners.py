"""How to behave towards servers: few at a time, patient after failures, heedful of opt-outs."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar

from clipmill.core.errors import DownloadError
from clipmill.fetch.failures import failure
from clipmill.fetch.options import FetchOptions

MAX_BACKOFF_SECONDS = 30.0
MAX_RETRY_AFTER_SECONDS = 120.0
"""Longest wait a server may ask for before the source is left for a later run."""

Result = TypeVar("Result")


@dataclass(slots=True)
class Effort:
    """What one fetch has taken so far; what is known of it when it fails.

    Args:
        fetcher: registry name of the fetcher.
        final_url: URL last asked, secrets redacted.
        http_status: last HTTP status.
        content_type: as the server said last.
        attempts: tries made.
        downloaded_bytes: bytes that came over the wire, of all tries.
    """

    fetcher: str
    final_url: str = ""
    http_status: int | None = None
    content_type: str | None = None
    attempts: int = 0
    downloaded_bytes: int = 0
    _started: float = 0.0
    _paused_seconds: float = 0.0
    _deadline: asyncio.Timeout | None = None

    @property
    def seconds(self) -> float:
        """Time since the first try, less pauses."""
        return time.monotonic() - self._started - self._paused_seconds if self._started else 0.0

    def details(self) -> dict[str, Any]:
        """Facts for ``DownloadError.details``."""
        return {
            "fetcher": self.fetcher,
            "final_url": self.final_url,
            "http_status": self.http_status,
            "attempts": self.attempts,
            "seconds": round(self.seconds, 3),
            "downloaded_bytes": self.downloaded_bytes,
        }

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Stop the clock while waiting for something of ours: a slot, or room on disk."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        end = self._deadline.when() if self._deadline else None
        if self._deadline:
            self._deadline.reschedule(None)
        try:
            yield
        finally:
            waited = loop.time() - began
            self._paused_seconds += waited
            if self._deadline and end is not None:
                self._deadline.reschedule(end + waited)


async def with_retries(
    attempt: Callable[[], Awaitable[Result]], options: FetchOptions, effort: Effort
) -> Result:
    """Call ``attempt`` until it succeeds, fails for good, or tries or time run out.

    Args:
        attempt: one try. A ``retry_after_seconds`` in the details of its error is waited for.
        options: tries, back-off, and seconds in all.
        effort: counts tries and time; its facts are added to the error's details.

    Raises:
        DownloadError: of the last try, or ``timeout`` when the time in all ran out.
    """
    effort._started = time.monotonic()
    limit = asyncio.timeout(options.total_timeout_seconds)
    try:
        async with limit:
            effort._deadline = limit
            return await _tries(attempt, options, effort)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise failure(
            "timeout",
            f"{effort.final_url or 'The source'} was not complete after "
            f"{options.total_timeout_seconds:g} s. Allow more with --total-timeout-seconds.",
            **effort.details(),
        ) from error
    finally:
        effort._deadline = None


async def _tries(
    attempt: Callable[[], Awaitable[Result]], options: FetchOptions, effort: Effort
) -> Result:
    while True:
        effort.attempts += 1
        try:
            return await attempt()
        except DownloadError as error:
            error.details.update(effort.details())
            error.fields["details"] = error.details
            wait = _wait_seconds(error, options, effort)
            if wait is None:
                raise
        await asyncio.sleep(wait)


def _wait_seconds(error: DownloadError, options: FetchOptions, effort: Effort) -> float | None:
    """How long to wait before trying again; None when there is no point."""
    asked = error.details.pop("retry_after_seconds", None) or 0.0
    if not error.retryable or effort.attempts > options.retries or asked > MAX_RETRY_AFTER_SECONDS:
        return None
    longest = min(MAX_BACKOFF_SECONDS, options.backoff_seconds * 2 ** (effort.attempts - 1))
    return float(asked + random.uniform(0, longest))


def parse_retry_after(value: str | None) -> float | None:
    """Read a Retry-After header: seconds from now, at least 0; None when absent or unreadable."""
    if not value:
        return None
    try:
        return max(0.0, float(int(value)))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


@dataclass(slots=True)
class _Host:
    semaphore: asyncio.Semaphore
    users: int = 0


class Slots:
    """At most so many transfers at a time, in all and per host.

    Args:
        total: transfers at a time.
        per_host: transfers at a time with one host.
    """

    def __init__(self, total: int, per_host: int) -> None:
        self._total = asyncio.Semaphore(total)
        self._per_host = per_host
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def of(self, host: str, effort: Effort) -> AsyncIterator[None]:
        """Hold one slot; who waits for a busy host takes nothing from other hosts.

        Args:
            host: whom the transfer is with.
            effort: its clock stands still while waiting.
        """
        entry = self._hosts.get(host)
        if entry is None:
            entry = self._hosts[host] = _Host(asyncio.Semaphore(self._per_host))
        entry.users += 1
        try:
            async with effort.paused():
                await entry.semaphore.acquire()
            try:
                async with effort.paused():
                    await self._total.acquire()
                try:
                    yield
                finally:
                    self._total.release()
            finally:
                entry.semaphore.release()
        finally:
            entry.users -= 1
            if not entry.users:
                del self._hosts[host]


class Headers(Protocol):
    """Response headers; one name may come several times."""

    def getall(self, name: str, default: Any) -> Any:
        """All values of a header."""


_VALUED_DIRECTIVES = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")


def opt_out_reason(headers: Headers, options: FetchOptions) -> str | None:
    """Why a response may not be used for machine learning by its publisher's word, or None.

    Looks at X-Robots-Tag (general, and addressed to the name in our user agent), at TDMRep's
    tdm-reservation, and at Content-Usage of IETF AIPREF.
    """
    if not options.respect_opt_out:
        return None
    bots = {"*", "clipmill", options.user_agent.partition("/")[0].strip().lower()}
    for value in headers.getall("X-Robots-Tag", ()):
        directive = _matching_directive(value, bots, options.opt_out_directives)
        if directive:
            return f"X-Robots-Tag says {directive}"
    if any(value.strip() == "1" for value in headers.getall("tdm-reservation", ())):
        return "tdm-reservation says 1"
    usage = _content_usage(headers.getall("Content-Usage", ()))
    training = usage.get("train-ai", usage.get("bots"))
    if training == "n":
        return "Content-Usage says train-ai=n"
    return None


def _matching_directive(value: str, bots: set[str], directives: Iterable[str]) -> str | None:
    wanted = {directive.lower() for directive in directives}
    bot = "*"
    for part in value.lower().split(","):
        name, colon, rest = (piece.strip() for piece in part.partition(":"))
        if colon and name not in _VALUED_DIRECTIVES:
            bot, name = name, rest
        if bot in bots and name in wanted:
            return name
    return None


def _content_usage(values: Iterable[str]) -> dict[str, str]:
    members = (member for value in values for member in value.lower().split(","))
    pairs = (member.partition(";")[0].partition("=") for member in members)
    return {key.strip(): word.strip() for key, _, word in pairs}
