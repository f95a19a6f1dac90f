"""Stretches of a remote archive, over HTTP Range requests or from any storage."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing

import aiohttp
from yarl import URL

from clipmill.core.errors import DownloadError
from clipmill.core.redact import redact_url
from clipmill.core.sample import MediaRef
from clipmill.fetch.client import HttpClient, content_range, status_failure
from clipmill.fetch.failures import failure
from clipmill.fetch.manners import Effort, Slots, opt_out_reason
from clipmill.fetch.options import FetchOptions
from clipmill.fetch.storage import StorageFetcher


class Ranges(ABC):
    """An archive of which stretches can be read.

    Args:
        shown: how messages call it, secrets redacted.
    """

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.size = 0

    @abstractmethod
    async def begin(self, effort: Effort, *, at_end: bool, size: int) -> tuple[int, bytes]:
        """Read the first or last ``size`` bytes and learn how many there are in all.

        Returns:
            Where they start, and they.
        """

    @abstractmethod
    def stream(self, start: int, end: int, effort: Effort) -> AsyncGenerator[bytes]:
        """Yield the bytes ``[start, end)`` as they come; fewer when the archive ends before."""

    async def read(self, start: int, end: int, effort: Effort) -> bytes:
        """The bytes ``[start, end)`` at once."""
        parts = bytearray()
        async with aclosing(self.stream(start, min(end, self.size), effort)) as stream:
            async for part in stream:
                parts += part
        return bytes(parts)


class HttpRanges(Ranges):
    """An archive on a web server that serves byte ranges.

    Args:
        client: makes the requests.
        slots: bound how many are under way.
        url: of the archive.
        options: opt-outs to respect.
    """

    def __init__(self, client: HttpClient, slots: Slots, url: URL, options: FetchOptions) -> None:
        super().__init__(redact_url(str(url)))
        self._client = client
        self._slots = slots
        self._url = url
        self._options = options
        self._has_ranges = False
        self._validator = ""

    async def begin(self, effort: Effort, *, at_end: bool, size: int) -> tuple[int, bytes]:
        """Read one end of the archive with one request."""
        headers = {"Range": f"bytes=-{size}" if at_end else f"bytes=0-{size - 1}"}
        async with self._slots.of(self._url.host or "", effort):
            async with self._client.get(self._url, effort, headers) as response:
                whole = response.content_length
                if at_end and response.status == 200 and whole:
                    # It may know ranges from the start, though not those from the end.
                    start, data = max(0, whole - size), None
                else:
                    start = self._check(response)
                    data = await _read_up_to(response, size)
        if data is None:
            self.size = whole or 0
            data = await self.read(start, self.size, effort)
        else:
            effort.downloaded_bytes += len(data)
        if len(data) != min(size, self.size):
            raise failure("truncated", f"{self.shown} sent less than it announced.")
        return start, data

    async def stream(self, start: int, end: int, effort: Effort) -> AsyncGenerator[bytes]:
        """Yield a stretch as one request brings it."""
        headers = {"Range": f"bytes={start}-{end - 1}"}
        if self._validator:
            headers["If-Range"] = self._validator
        async with self._slots.of(self._url.host or "", effort):
            async with self._client.get(self._url, effort, headers) as response:
                size = self.size
                if self._check(response) != start or self.size != size:
                    raise failure("truncated", f"{self.shown} changed while it was read.")
                left = end - start
                while left > 0 and (data := await response.content.readany()):
                    data = data[:left]
                    left -= len(data)
                    effort.downloaded_bytes += len(data)
                    yield data

    def _check(self, response: aiohttp.ClientResponse) -> int:
        """Refuse all answers but a partial one; returns where it starts."""
        span = content_range(response)
        if response.status == 200 and self._has_ranges:
            raise failure("truncated", f"{self.shown} changed while it was read.")
        if response.status == 200 or (response.status == 206 and not span):
            raise failure(
                "bad_response",
                f"{self.shown} is on a server without Range requests, so single members cannot be "
                "read. Download the archive and name its members in the local file.",
            )
        if not span or response.status != 206:
            raise self._status_failure(response)
        reason = opt_out_reason(response.headers, self._options)
        if reason:
            raise failure(
                "opt_out",
                f"{self.shown}: {reason}. To take it all the same, use --no-respect-opt-out.",
            )
        if not self._has_ranges:
            etag = response.headers.get("ETag", "")
            strong = etag.startswith('"')
            self._validator = etag if strong else response.headers.get("Last-Modified", "")
        self._has_ranges = True
        start, _, self.size = span
        return start

    def _status_failure(self, response: aiohttp.ClientResponse) -> DownloadError:
        if response.status == 416:
            return failure("bad_archive", f"{self.shown} is empty or ends before its index says.")
        return status_failure(response)


async def _read_up_to(response: aiohttp.ClientResponse, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size and (data := await response.content.readany()):
        parts += data[: size - len(parts)]
    return bytes(parts)


class StorageRanges(Ranges):
    """An archive in an object store or on a local disk.

    Args:
        storage: reads it, in its threads.
        url: of the archive.
    """

    def __init__(self, storage: StorageFetcher, url: str) -> None:
        super().__init__(redact_url(url))
        self._storage = storage
        self._url = url
        self._path = ""

    async def begin(self, effort: Effort, *, at_end: bool, size: int) -> tuple[int, bytes]:
        """Ask for the size, then read one end of the archive."""
        place = self._storage.place(self._url)
        whole = await self._storage.run(
            lambda: self._storage.open(place, threading.Event()), effort
        )
        self._path, self.size = place.path, whole.size
        start = max(0, self.size - size) if at_end else 0
        return start, await self.read(start, start + size, effort)

    async def stream(self, start: int, end: int, effort: Effort) -> AsyncGenerator[bytes]:
        """Yield a stretch in pieces of bounded size."""
        place = MediaRef(self._path, "", start, end - start)
        stop = threading.Event()
        chunks = await self._storage.run(lambda: self._storage.open(place, stop), effort)
        pieces = chunks.read()
        while piece := await self._storage.run(lambda: next(pieces, b""), effort):
            effort.downloaded_bytes += len(piece) if chunks.is_remote else 0
            yield piece
