"""Bytes that lie in a storage: object stores and whatever fsspec knows, local files, shards."""

from __future__ import annotations

import asyncio
import mimetypes
import os
import re
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import unquote, urlsplit

from clipmill.core.errors import InputError, MissingExtra
from clipmill.core.redact import redact_url
from clipmill.core.sample import MediaRef
from clipmill.fetch.allowance import Allowance
from clipmill.fetch.base import Budget, Fetched, Fetcher, FetchRequest
from clipmill.fetch.failures import A_LATER_RUN_SECONDS, failure
from clipmill.fetch.manners import Effort, with_retries
from clipmill.fetch.options import FetchOptions
from clipmill.fetch.schemes import LOCAL_SCHEMES, STORAGE_SCHEMES
from clipmill.fetch.storage_read import (
    Chunks,
    Copied,
    cell_chunks,
    copy_chunks,
    link_local,
    local_chunks,
    remote_chunks,
    translate,
)
from clipmill.io.filesystem import open_filesystem
from clipmill.io.parquet_cells import ParquetCells
from clipmill.io.stretch import Stretch
from clipmill.media.sniff import HEAD_BYTES, sniff

Result = TypeVar("Result")

_HOST = re.compile(r"(?i)(//)?([a-z0-9-]+\.)+[a-z]{2,}/")
"""What a link begins with whose scheme was left out."""


class StorageFetcher(Fetcher):
    """Fetches from object stores, local paths (when allowed) and shards.

    Args:
        options: how sources are fetched.
    """

    name: ClassVar[str] = "storage"

    def __init__(self, options: FetchOptions) -> None:
        self._options = options
        # One for every source under way: waiting for a thread would count as the source's time.
        self._threads = ThreadPoolExecutor(options.concurrency, "clipmill-storage")
        self._filesystems: dict[str, Any] = {}
        self._cells = ParquetCells()
        self._lock = threading.Lock()

    async def fetch(self, request: FetchRequest, budget: Budget) -> Fetched:
        """Fetch one source into ``request.target``; local files are linked to where possible.

        Raises:
            DownloadError: nothing is left at ``request.target`` then.
        """
        effort = Effort(self.name, _shown(request), is_next=budget.is_next)
        allowance = Allowance(budget, effort)
        return await with_retries(
            lambda: self._attempt(request, allowance, effort), self._options, effort
        )

    async def close(self) -> None:
        """Let threads end; one that hangs in a library's call is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _attempt(
        self, request: FetchRequest, allowance: Allowance, effort: Effort
    ) -> Fetched:
        stop = threading.Event()
        # A thread that hangs may write long after its fetch was given up, when the target may be
        # another's: threads know this name only, which nobody gets again.
        part = request.target.with_name(f"{request.target.name}.part-{secrets.token_hex(4)}")
        try:
            place = request.media or self.place(request.url)
            chunks = await self.run(lambda: self.open(place, stop), effort)
            # What is only read where it lies takes no room.
            is_limited = chunks.local_file is None or not request.in_place
            self._check_size(chunks.size, place, effort, is_limited=is_limited)
            if not request.modalities:
                return self._fetched(None, request, effort, place, chunks.size)
            copied = await self.run(
                lambda: link_local(chunks, part, in_place=request.in_place), effort
            )
            linked = copied is not None
            if copied is None:
                await allowance.up_to(chunks.size)
                copied = await self._copy(request.target, part, chunks, effort)
            fetched = self._fetched(copied, request, effort, place, chunks.size)
            if linked and chunks.offset is not None:
                fetched.path = Stretch(request.target, chunks.offset, chunks.size)
            request.target.unlink(missing_ok=True)
            os.replace(part, request.target)
        except BaseException:
            stop.set()
            part.unlink(missing_ok=True)
            request.target.unlink(missing_ok=True)
            raise
        return fetched

    async def _copy(self, target: Path, part: Path, chunks: Chunks, effort: Effort) -> Copied:
        with suppress(OSError):  # a file that is there already is cheaper than a new one
            os.rename(target, part)
        copied = await self.run(lambda: copy_chunks(chunks, part), effort)
        effort.downloaded_bytes += copied.size if chunks.is_remote else 0
        return copied

    async def run(self, work: Callable[[], Result], effort: Effort) -> Result:
        """Run blocking work in one of the threads, with storages' errors in our words."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, work)
        except Exception as error:
            translated = translate(error, effort.final_url)
            if translated is None:
                raise
            raise translated from error

    def place(self, url: str) -> MediaRef:
        """Where a URL of a list leads.

        Raises:
            DownloadError: it may not be followed.
        """
        path = _local_path(url)
        if path is not None:
            if not self._options.allow_local_paths:
                advice = " If it is a link, write https:// before it." if _HOST.match(url) else ""
                raise failure(
                    "local_path_refused",
                    f"{url} is a path on this machine. URL lists may not name local files; "
                    f"allow it with --allow-local-paths.{advice}",
                )
            return MediaRef(path, "")
        scheme = url.partition("://")[0].lower()
        if "::" in url or scheme not in STORAGE_SCHEMES:
            raise failure(
                "unsupported_scheme",
                f"{url}: rows may name http, https, {', '.join(sorted(STORAGE_SCHEMES))} only.",
            )
        try:
            urlsplit(url)
        except ValueError as error:
            raise failure("invalid_url", f"{url} is not a URL: {error}") from error
        return MediaRef(url, "")

    def open(self, place: MediaRef, stop: threading.Event) -> Chunks:
        """Look at the bytes of a place, in a thread."""
        path = _local_path(place.path)
        if place.row is not None:
            filesystem, inside = self._filesystem(place.path)
            try:
                cell = self._cells.read(filesystem, inside, place.extension, place.row)
            except InputError as error:
                raise failure("not_found", error.message) from error
            return cell_chunks(cell, stop, is_remote=path is None)
        if path is not None:
            return local_chunks(path, place.offset, place.size, stop)
        filesystem, inside = self._filesystem(place.path)
        return remote_chunks(filesystem, inside, place.offset, place.size, stop)

    def _filesystem(self, url: str) -> tuple[Any, str]:
        """One file system per store, shared by the threads, where fsspec keeps one per thread."""
        parts = urlsplit(url)
        key = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            filesystem = self._filesystems.get(key)
            if filesystem is None:
                filesystem, inside = _opened(url)
                self._filesystems[key] = filesystem
                return filesystem, inside
        return filesystem, filesystem._strip_protocol(url)

    def _check_size(self, size: int, place: MediaRef, effort: Effort, *, is_limited: bool) -> None:
        if size == 0 and _should_be_media(place):
            raise failure("empty_body", f"{effort.final_url} holds no bytes.")
        if is_limited and size > self._options.max_bytes:
            raise failure(
                "too_large",
                f"{effort.final_url} is {size} bytes, above the limit of "
                f"{int(self._options.max_bytes)}. Allow more with --max-bytes.",
            )

    def _fetched(
        self,
        copied: Copied | None,
        request: FetchRequest,
        effort: Effort,
        place: MediaRef,
        size: int,
    ) -> Fetched:
        found = sniff(copied.head[:HEAD_BYTES]) if copied else None
        if found and not found.may_be_media and _should_be_media(place):
            raise failure(
                "not_media",
                f"{effort.final_url} is {found.extension or found.kind}, not video or audio.",
            )
        return Fetched(
            path=request.target if copied else None,
            size=size,
            sha256=copied.sha256 if copied else "",
            extension=(found.extension if found else "") or place.extension,
            fetcher=self.name,
            final_url=effort.final_url,
            attempts=effort.attempts,
            seconds=effort.seconds,
            downloaded_bytes=effort.downloaded_bytes,
        )


def _opened(url: str) -> tuple[Any, str]:
    try:
        return open_filesystem(url)
    except MissingExtra as error:
        raise failure(
            "missing_extra", error.message, retry_after_seconds=A_LATER_RUN_SECONDS
        ) from error
    except InputError as error:
        raise failure("unsupported_scheme", error.message) from error


def _should_be_media(place: MediaRef) -> bool:
    """Whether the bytes claim to be media; a dataset's texts and pictures come this way too."""
    guess, _ = mimetypes.guess_type(f"x.{place.extension}")
    return guess is None or guess.startswith(("video/", "audio/"))


def _shown(request: FetchRequest) -> str:
    return redact_url(request.media.path if request.media else request.url)


def _local_path(url: str) -> str | None:
    """The path that a URL or bare path names on this machine; None when it is somewhere else."""
    if "\x00" in url:
        raise failure("invalid_url", "The path holds a NUL character.")
    scheme, separator, rest = url.partition(":")
    scheme = scheme.lower()
    if scheme in LOCAL_SCHEMES and separator:
        if not rest.startswith("/"):
            raise failure("invalid_url", f"{url} names no file: write file:///path/to/file.")
        rest = rest.removeprefix("//")
        host, slash, path = rest.partition("/")
        if host not in ("", "localhost"):
            raise failure("invalid_url", f"{url} names a file on another machine ({host}).")
        return unquote(slash + path)
    return None if "://" in url or "::" in url else url
