"""Videos on pages: whatever yt-dlp knows, run as a library in child processes."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from clipmill.core.errors import RunError
from clipmill.core.redact import plain_text, redact_url
from clipmill.core.sample import Subtitle
from clipmill.fetch.addresses import check_host
from clipmill.fetch.allowance import Allowance
from clipmill.fetch.base import Budget, Fetched, Fetcher, FetchRequest
from clipmill.fetch.client import parse_http_url
from clipmill.fetch.cookies import read_cookies
from clipmill.fetch.failures import A_LATER_RUN_SECONDS, failure
from clipmill.fetch.manners import Effort, Slots, with_retries
from clipmill.fetch.options import FetchOptions
from clipmill.fetch.sites_child import ChildDied, SitesChild
from clipmill.fetch.sites_options import downloader_params
from clipmill.fetch.target import disk_trouble
from clipmill.media.sniff import HEAD_BYTES, Sniffed, sniff

MAX_CHILDREN = 4
"""Child processes at a time; each takes about 70 MB and mostly waits for the network."""

_READ_BYTES = 1 << 20


class SitesFetcher(Fetcher):
    """Fetches the one video that a page is about, with its subtitles and metadata.

    A child process serves many URLs, one at a time; one that passes the deadline is killed.

    Args:
        options: how sources are fetched.

    Raises:
        UserError: a site option is refused, or the cookies file cannot be read.
    """

    name: ClassVar[str] = "sites"

    def __init__(self, options: FetchOptions) -> None:
        self._options = options
        cookies = options.cookies_file
        self._setup = {
            "params": downloader_params(options),
            "cookies": cookies and read_cookies(cookies),
            "allow_private_addresses": options.allow_private_addresses,
            "proxy_host": urlsplit(options.proxy_url() or "").hostname,
        }
        self._hosts = Slots(options.concurrency_per_host)
        self._children = Slots(MAX_CHILDREN)
        self._idle: list[SitesChild] = []

    async def fetch(self, request: FetchRequest, budget: Budget) -> Fetched:
        """Fetch one video into ``request.target``, and sound kept apart into ``<target>.audio``.

        Raises:
            DownloadError: nothing is left of it then.
        """
        effort = Effort(self.name, redact_url(request.url), is_next=budget.is_next)
        allowance = Allowance(budget, effort)
        return await with_retries(
            lambda: self._attempt(request, allowance, effort), self._options, effort
        )

    async def close(self) -> None:
        """End all child processes."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(child.kill() for child in idle))

    async def _attempt(
        self, request: FetchRequest, allowance: Allowance, effort: Effort
    ) -> Fetched:
        host = parse_http_url(request.url).host or ""
        if not self._options.allow_private_addresses:
            check_host(host)
        if "__youtubedl_smuggle" in request.url:
            raise failure("invalid_url", f"{effort.final_url} smuggles instructions to yt-dlp.")
        _check_installed()
        async with self._hosts.of(host, effort), self._children.of("yt-dlp", effort):
            folder = _new_folder(request.target)
            child: SitesChild | None = None
            try:
                child = self._idle.pop() if self._idle else await SitesChild.start(self._setup)
                answer = await self._answer(child, request, folder, allowance, effort)
                self._idle.append(child)
                child = None
                return await _take_over(answer, request, folder, effort)
            except ChildDied as error:
                raise failure("process_died", f"{effort.final_url}: {error}") from error
            finally:
                if child is not None:
                    await child.kill()
                shutil.rmtree(folder, ignore_errors=True)

    async def _answer(
        self,
        child: SitesChild,
        request: FetchRequest,
        folder: Path,
        allowance: Allowance,
        effort: Effort,
    ) -> dict[str, Any]:
        before = effort.downloaded_bytes

        async def grant(size: int, downloaded: int) -> None:
            effort.downloaded_bytes = before + downloaded
            await allowance.up_to(size)

        answer = await child.run(self._job(request, folder), grant)
        effort.downloaded_bytes = before + answer["bytes"]
        return answer

    def _job(self, request: FetchRequest, folder: Path) -> dict[str, Any]:
        options = self._options
        section = None
        if options.sections_only and request.spans and request.modalities:
            # One file holds one stretch, so several spans come with what lies between them.
            starts, ends = zip(*request.spans, strict=True)
            section = [min(starts), max(ends)]
        return {
            "url": request.url.strip(),
            "folder": str(folder),
            "modalities": list(request.modalities),
            "section": section,
            "max_bytes": int(options.max_bytes),
            "max_height": options.max_height,
            "audio_rate": options.audio_rate,
            "subtitles": options.subtitles,
            "subtitle_languages": list(options.subtitle_languages),
            "automatic_subtitles": options.automatic_subtitles,
            "site_info": options.site_info,
        }


def _new_folder(target: Path) -> Path:
    """A folder of this try alone: helpers of a child that was killed may still write to theirs."""
    try:
        return Path(tempfile.mkdtemp(prefix=f".{target.name}.sites-", dir=target.parent))
    except OSError as error:
        raise disk_trouble(target.parent, error) from error


def _check_installed() -> None:
    if importlib.util.find_spec("yt_dlp") is None:
        raise failure(
            "missing_extra",
            "Videos on pages need the Python module 'yt_dlp', which is not installed. "
            'Install it with: pip install "clipmill[ytdlp]"',
            retry_after_seconds=A_LATER_RUN_SECONDS,
        )


async def _take_over(
    answer: dict[str, Any], request: FetchRequest, folder: Path, effort: Effort
) -> Fetched:
    """Make what the child brought ours."""
    if answer["kind"] == "failed":
        raise _site_failure(answer, effort)
    effort.final_url = plain_text(answer["webpage_url"])
    fetched = Fetched(
        path=None,
        fetcher=SitesFetcher.name,
        final_url=effort.final_url,
        attempts=effort.attempts,
        downloaded_bytes=effort.downloaded_bytes,
        sections=[(start, end) for start, end in answer["sections"]],
        subtitles=[Subtitle(*line) for line in answer["subtitles"]],
        info=answer["info"],
        notes=answer["notes"],
    )
    files = answer["files"]
    if files:
        main = folder / files["main"]
        fetched.size, fetched.sha256, found = await asyncio.to_thread(_look_at, main)
        if not found.may_be_media:
            raise failure(
                "not_media",
                f"{effort.final_url} gave {found.extension or found.kind}, not video or audio.",
            )
        fetched.extension = found.extension
        if "audio" in files:
            fetched.audio_path = request.target.with_name(f"{request.target.name}.audio")
            os.replace(folder / files["audio"], fetched.audio_path)
        os.replace(main, request.target)
        fetched.path = request.target
    fetched.seconds = effort.seconds
    return fetched


def _site_failure(answer: dict[str, Any], effort: Effort) -> Exception:
    if "No space left on device" in answer["message"]:
        return RunError(f"Fetched bytes cannot be written: {answer['message']}")
    effort.http_status = answer["http_status"]
    return failure(
        answer["error_class"],
        answer["message"],
        retryable=answer["retryable"],
        retry_after_seconds=answer["retry_after_seconds"],
    )


def _look_at(path: Path) -> tuple[int, str, Sniffed]:
    digest, size, head = hashlib.sha256(), 0, b""
    with open(path, "rb", buffering=0) as file:
        while part := file.read(_READ_BYTES):
            head = head or part[:HEAD_BYTES]
            size += len(part)
            digest.update(part)
    return size, digest.hexdigest(), sniff(head)
