"""Single members of remote archives: ``zip://member::URL`` and ``tar://member::URL``."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, NamedTuple
from urllib.parse import unquote

from clipmill.core.errors import DownloadError
from clipmill.core.redact import redact_url
from clipmill.fetch.allowance import Allowance
from clipmill.fetch.archive_index import Index, Member, TarIndex, ZipIndex
from clipmill.fetch.archive_member import Unpacking
from clipmill.fetch.archive_ranges import HttpRanges, Ranges, StorageRanges
from clipmill.fetch.base import Budget, Fetched, Fetcher, FetchRequest
from clipmill.fetch.client import HttpClient, parse_http_url
from clipmill.fetch.failures import failure
from clipmill.fetch.manners import Effort, Slots, with_retries
from clipmill.fetch.options import FetchOptions
from clipmill.fetch.storage import StorageFetcher

MAX_INDEXES = 32
MAX_INDEXED_MEMBERS = 2_000_000
INDEX_THREADS = 8

_ARCHIVE_URL = re.compile(r"(?is)(zip|tar)://(.+)::([a-z][a-z0-9+.-]*://.+|file:.+|/.+)")
_KINDS: dict[str, type[Index]] = {"zip": ZipIndex, "tar": TarIndex}


class ArchiveUrl(NamedTuple):
    """What a URL of a member names."""

    kind: str
    member: str
    archive: str


def parse_archive_url(url: str) -> ArchiveUrl:
    """Take apart ``zip://member::URL``; the member may hold any character, ``::`` too.

    Raises:
        DownloadError: ``invalid_url``.
    """
    parts = _ARCHIVE_URL.fullmatch(url.strip())
    if not parts:
        raise failure(
            "invalid_url",
            f"{url!r} names no member of an archive. Write zip://path/in/archive::URL or "
            "tar://path/in/archive::URL.",
        )
    return ArchiveUrl(parts[1].lower(), parts[2], parts[3])


class ArchiveFetcher(Fetcher):
    """Reads one member by one range request; the archive's index is read once for all.

    Args:
        options: how sources are fetched.
    """

    name: ClassVar[str] = "archive"

    def __init__(self, options: FetchOptions) -> None:
        self._options = options
        self._client = HttpClient(options)
        self._storage = StorageFetcher(options)
        self._slots = Slots(options.concurrency_per_host)
        self._threads = ThreadPoolExecutor(INDEX_THREADS, thread_name_prefix="clipmill-archive")
        self._indexes: OrderedDict[tuple[str, str], asyncio.Task[Index]] = OrderedDict()

    async def fetch(self, request: FetchRequest, budget: Budget) -> Fetched:
        """Fetch one member into ``request.target``.

        Raises:
            DownloadError: nothing is left at ``request.target`` then.
        """
        effort = Effort(self.name, redact_url(request.url), is_next=budget.is_next)
        allowance = Allowance(budget, effort)
        return await with_retries(
            lambda: self._attempt(request, allowance, effort), self._options, effort
        )

    async def close(self) -> None:
        """Close connections and forget the indexes."""
        for task in self._indexes.values():
            task.cancel()
            if task.done() and not task.cancelled() and not task.exception():
                task.result().close()
        await asyncio.gather(*self._indexes.values(), return_exceptions=True)
        self._indexes.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._storage.close()
        await self._client.close()

    async def _attempt(
        self, request: FetchRequest, allowance: Allowance, effort: Effort
    ) -> Fetched:
        url = parse_archive_url(request.url)
        index = await self._index(url, effort)
        shown = f"{url.member} in {index.ranges.shown}"
        member = await self._find(index, url.member, shown, effort)
        if member.size > self._options.max_bytes:
            raise failure(
                "too_large",
                f"{shown} has {member.size} bytes, above the limit of "
                f"{int(self._options.max_bytes)}. Allow more with --max-bytes.",
            )
        if member.size == 0:
            raise failure("empty_body", f"{shown} holds no bytes.")
        unpacking = Unpacking(request.target, shown)
        if request.modalities:
            await allowance.up_to(member.size)
            try:
                await unpacking.run(index.ranges, member, effort)
            except BaseException:
                request.target.unlink(missing_ok=True)
                raise
        return Fetched(
            path=request.target if request.modalities else None,
            size=member.size,
            sha256=unpacking.sha256 if request.modalities else "",
            extension=unpacking.sniffed.extension,
            fetcher=self.name,
            final_url=redact_url(request.url),
            http_status=effort.http_status,
            attempts=effort.attempts,
            seconds=effort.seconds,
            downloaded_bytes=effort.downloaded_bytes,
        )

    async def _find(self, index: Index, name: str, shown: str, effort: Effort) -> Member:
        """The member as written, or percent-decoded."""
        for spelling in dict.fromkeys((name, name.removeprefix("./"), unquote(name))):
            member = await index.find(spelling, effort)
            if member is not None:
                if member.obstacle:
                    raise failure("bad_archive", f"{shown} {member.obstacle}.")
                return member
        raise failure(
            "not_found", f"There is no {shown}; it has {len(index.members)} other members."
        )

    async def _index(self, url: ArchiveUrl, effort: Effort) -> Index:
        """The archive's index; who comes while it is being read waits for the same reading."""
        key = (url.kind, url.archive)
        task = self._indexes.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = asyncio.ensure_future(self._load(url, effort))
            self._indexes[key] = task
        self._indexes.move_to_end(key)
        try:
            index = await asyncio.shield(task)
        except DownloadError as error:
            # All who waited get an error of their own, since each adds its own details.
            raise DownloadError(
                error.message,
                error_class=error.error_class,
                retryable=error.retryable,
                details=dict(error.details),
            ) from error
        self._forget_oldest()
        return index

    async def _load(self, url: ArchiveUrl, effort: Effort) -> Index:
        index = _KINDS[url.kind](self._ranges(url.archive), self._threads)
        try:
            await index.load(effort)
        except BaseException:
            index.close()
            raise
        return index

    def _ranges(self, archive: str) -> Ranges:
        if archive.lower().startswith(("http://", "https://")):
            return HttpRanges(self._client, self._slots, parse_http_url(archive), self._options)
        return StorageRanges(self._storage, archive)

    def _forget_oldest(self) -> None:
        loaded = [key for key, task in self._indexes.items() if task.done()]
        sizes = [
            len(self._indexes[key].result().members)
            for key in loaded
            if not self._indexes[key].cancelled() and not self._indexes[key].exception()
        ]
        if len(loaded) > MAX_INDEXES or (len(loaded) > 1 and sum(sizes) > MAX_INDEXED_MEMBERS):
            del self._indexes[loaded[0]]
