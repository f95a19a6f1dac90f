"""One source's bytes on their way to disk: sniffed, counted, hashed, and kept for resuming."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from clipmill.core.redact import redact_url
from clipmill.fetch.allowance import Allowance
from clipmill.fetch.base import Budget
from clipmill.fetch.client import content_range
from clipmill.fetch.failures import failure
from clipmill.fetch.inflate import GZIP_OR_ZLIB, Inflater
from clipmill.fetch.manners import Effort
from clipmill.fetch.target import cut_off, open_target, write_all
from clipmill.media.sniff import HEAD_BYTES, UNKNOWN, Sniffed, sniff

_STEP_BYTES = 1 << 20
_SENDABLE = re.compile(r"[ -~]+")


class Body:
    """The file being fetched, over all tries.

    Args:
        target: where it is written.
        max_bytes: its size limit, decoded.
        budget: asked before anything is written.
        effort: counts the bytes that came.
    """

    def __init__(self, target: Path, max_bytes: int, budget: Budget, effort: Effort) -> None:
        self._target = target
        self._max_bytes = max_bytes
        self._allowance = Allowance(budget, effort)
        self._effort = effort
        self._file: io.FileIO | None = None
        self.restart()

    def restart(self) -> None:
        """Forget what came so far."""
        self.sniffed: Sniffed = UNKNOWN
        self._expected: int | None = None
        self._size = 0
        self._hash = hashlib.sha256()
        self._validators: dict[str, str] = {}
        self._head = b""
        if self._file is not None:
            self._file.seek(0)

    def resume_headers(self) -> dict[str, str]:
        """Headers that ask for what is missing, provided that it is still the same file."""
        if not self._size or not self._validators:
            self.restart()
            return {}
        validator = self._validators.get("ETag") or self._validators["Last-Modified"]
        return {"Range": f"bytes={self._size}-", "If-Range": validator}

    async def read(self, response: aiohttp.ClientResponse) -> None:
        """Take in the body of a successful answer, from the start or from where it broke off.

        Raises:
            DownloadError: it is too large, not media, empty, or not what was asked for.
            RunError: the disk does not take it.
        """
        url = redact_url(str(response.url))
        if response.status in (204, 205):
            raise failure("empty_body", f"{url} answered {response.status}: there is no content.")
        inflater = _inflater(response.headers.get("Content-Encoding", ""), url)
        self._begin(response, url, encoded=inflater is not None)
        if self._expected is not None:
            self._check_size(self._expected, url)
        content = response.content
        while data := await content.readany():
            self._effort.downloaded_bytes += len(data)
            if inflater is None:
                await self._take(data, url)
            else:
                for piece in inflater.pieces(data):
                    await self._take(piece, url)
                    await asyncio.sleep(0)  # a little data may be much: let others go on
        if inflater is not None and (self._size or self._head):
            await self._take(inflater.rest(), url)
        if self._head:
            await self._check_head(url)
        self._check_end(url)

    async def look(self, response: aiohttp.ClientResponse) -> None:
        """Tell from the first bytes what it is, and keep none of them.

        Raises:
            DownloadError: it is too large, not media or empty.
        """
        url = redact_url(str(response.url))
        inflater = _inflater(response.headers.get("Content-Encoding", ""), url)
        self._begin(response, url, encoded=inflater is not None)
        self._check_size(self._expected or 0, url)
        head = b""
        while len(head) < HEAD_BYTES and (data := await response.content.readany()):
            self._effort.downloaded_bytes += len(data)
            head += data if inflater is None else next(inflater.pieces(data))
        if not head:
            raise failure("empty_body", f"{url} sent nothing.")
        self._sniff(head, url)

    @property
    def announced_size(self) -> int:
        """Size of the whole as the server says, 0 when it does not."""
        return self._expected or 0

    def _begin(self, response: aiohttp.ClientResponse, url: str, encoded: bool) -> None:
        """Settle where the answer's bytes belong, and the size of the whole if it is known."""
        headers = response.headers
        validators = _validators(headers)
        if response.status == 206:
            if encoded or not self._continues(content_range(response), validators):
                self.restart()
                raise failure("truncated", f"{url} changed, or answered for another range.")
            return
        self.restart()
        if not encoded:
            self._expected = response.content_length
            if "bytes" in headers.get("Accept-Ranges", "").lower():
                self._validators = validators

    def _continues(self, span: tuple[int, int, int] | None, validators: Mapping[str, str]) -> bool:
        """Whether a partial answer is all that is missing, and of the same file."""
        if span is None:
            return False
        start, end, total = span
        if start != self._size or end != total - 1 or self._expected not in (None, total):
            return False
        self._expected = total
        asked = "ETag" if "ETag" in self._validators else "Last-Modified"
        # Besides the one asked for, servers may leave validators out, but not contradict them.
        return asked in validators and all(
            validators.get(name, was) == was for name, was in self._validators.items()
        )

    async def _take(self, data: bytes, url: str) -> None:
        self._check_size(self._size + len(self._head) + len(data), url)
        if self._size:
            await self._write(data)
            return
        self._head += data
        if len(self._head) >= HEAD_BYTES:
            await self._check_head(url)

    async def _check_head(self, url: str) -> None:
        """Decide by the first bytes whether to go on, then write them."""
        head, self._head = self._head, b""
        self._sniff(head, url)
        await self._write(head)

    def _sniff(self, head: bytes, url: str) -> None:
        self.sniffed = sniff(head)
        if not self.sniffed.may_be_media:
            raise _not_media(self.sniffed, url, self._effort.content_type)

    async def _write(self, data: bytes) -> None:
        size = self._size + len(data)
        in_steps = -(-size // _STEP_BYTES) * _STEP_BYTES
        await self._allowance.up_to(self._expected or min(in_steps, self._max_bytes))
        if self._file is None:
            self._file = open_target(self._target, over=True)
        write_all(self._file, data)
        self._hash.update(data)
        self._size = size

    def _check_end(self, url: str) -> None:
        if not self._size:
            raise failure("empty_body", f"{url} sent nothing.")
        if self._expected is not None and self._size != self._expected:
            raise failure(
                "truncated", f"{url} announced {self._expected} bytes and sent {self._size}."
            )

    def _check_size(self, size: int, url: str) -> None:
        if size > self._max_bytes:
            raise failure(
                "too_large",
                f"{url} is larger than {self._max_bytes} bytes. Allow more with --max-bytes.",
            )

    def finish(self) -> tuple[str, int]:
        """Close the file; returns its sha256 and size."""
        if self._file is not None:
            cut_off(self._file, self._size)
            self._file.close()
            self._file = None
        return self._hash.hexdigest(), self._size

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._file is not None:
            self.finish()
            self._target.unlink(missing_ok=True)


def _validators(headers: Mapping[str, str]) -> dict[str, str]:
    """What tells one version of a file from another, and may be sent back.

    A weak ETag does not promise equal bytes.
    """
    etag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
    found = {"ETag": etag} if etag.startswith('"') and _SENDABLE.fullmatch(etag) else {}
    return found | ({"Last-Modified": modified} if _SENDABLE.fullmatch(modified) else {})


def _inflater(encoding: str, url: str) -> Inflater | None:
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise failure(
            "bad_response", f"{url} sent {encoding!r} encoded bytes although asked for plain ones."
        )
    return Inflater(f"{url} sent {encoding} data that", GZIP_OR_ZLIB, "bad_response")


def _not_media(sniffed: Sniffed, url: str, content_type: str | None) -> Exception:
    what = sniffed.extension or sniffed.kind
    said = f" (though it calls it {content_type})" if content_type else ""
    advice = {
        "html": " It may be a page with a video on it, or an error page.",
        "playlist": " Playlists are followed by yt-dlp.",
        "archive": " For one member of an archive, write zip://member::URL or tar://member::URL.",
    }.get(sniffed.kind, "")
    article = "an" if sniffed.kind in ("html", "image", "archive") else "a"
    return failure(
        "not_media",
        f"{url} sent {article} {what} {sniffed.kind if what != sniffed.kind else 'document'}, "
        f"neither video nor audio{said}.{advice}",
        kind=sniffed.kind,
    )
