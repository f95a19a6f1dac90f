"""How to behave towards servers: few at a time, patient after failures, heedful of opt-outs."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar

from clipmill.core.errors import DownloadError
from clipmill.core.redact import plain_text
from clipmill.fetch.failures import failure
from clipmill.fetch.options import FetchOptions

MAX_BACKOFF_SECONDS = 30.0
MAX_RETRY_AFTER_SECONDS = 120.0
"""Longest wait a server may ask for before the source is left for a later run."""

_WHOLE_NUMBER = re.compile(r"-?[0-9]+")
_NEVER_SECONDS = 1e9  # what servers ask for beyond this is the same to us

_LOOK_SECONDS = 0.25
"""How often a fetch that waits for a busy host looks whether the writer waits for it now."""

Result = TypeVar("Result")


def _never() -> bool:
    return False


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
        is_next: whether the writer waits for this source; see ``Budget.is_next``.
    """

    fetcher: str
    final_url: str = ""
    http_status: int | None = None
    content_type: str | None = None
    attempts: int = 0
    downloaded_bytes: int = 0
    is_next: Callable[[], bool] = _never
    _started: float = 0.0
    _paused_seconds: float = 0.0
    _deadline: asyncio.Timeout | None = None

    def __post_init__(self) -> None:
        self.final_url = plain_text(self.final_url)

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
    if _WHOLE_NUMBER.fullmatch(value.strip()):
        seconds = float(value)
    else:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(0.0, seconds), _NEVER_SECONDS)


@dataclass(slots=True)
class _Host:
    taken: int = 0
    waiting: deque[asyncio.Event] = field(default_factory=deque)


class Slots:
    """At most so many transfers at a time with each host; who came first goes first.

    The fetch that the writer waits for is let through without a slot, however busy its host is:
    those that hold the slots may be waiting for the disk space that only it sets free.

    Args:
        per_host: transfers at a time with one host.
    """

    def __init__(self, per_host: int) -> None:
        self._per_host = per_host
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def of(self, name: str, effort: Effort) -> AsyncIterator[None]:
        """Hold one slot; who waits for a busy host takes nothing from other hosts.

        Args:
            name: of the host.
            effort: its clock stands still while waiting, and it knows whether it is next.
        """
        host = self._hosts.setdefault(name, _Host())
        if host.taken < self._per_host:
            host.taken += 1
        else:
            async with effort.paused():
                await self._wait(name, host, effort)
        try:
            yield
        finally:
            self._give_back(name, host)

    async def _wait(self, name: str, host: _Host, effort: Effort) -> None:
        """Wait until a slot is handed over, or until nobody may keep us waiting."""
        mine = asyncio.Event()
        host.waiting.append(mine)
        try:
            while not mine.is_set() and not effort.is_next():
                with suppress(TimeoutError):
                    await asyncio.wait_for(mine.wait(), _LOOK_SECONDS)
        except BaseException:
            if mine.is_set():
                self._give_back(name, host)
            else:
                host.waiting.remove(mine)
            raise
        if not mine.is_set():
            host.waiting.remove(mine)
            host.taken += 1

    def _give_back(self, name: str, host: _Host) -> None:
        if host.waiting and host.taken <= self._per_host:
            host.waiting.popleft().set()
            return
        host.taken -= 1
        if not host.taken:
            del self._hosts[name]


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
