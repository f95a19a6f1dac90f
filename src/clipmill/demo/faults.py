"""Every way in which the demo's server misbehaves, by name.

A fault is a coroutine that answers one ``Visit``. Its settings come in the URL's query; each
docstring says what is sent and which settings there are.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

MB = 1_000_000
GB = 1_000_000_000
_PIECE_BYTES = 64 * 1024
_MP4_HEAD = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41"
_PAGE = "<!DOCTYPE html>\n<html><title>Sorry</title><body>No such video.</body></html>"


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a file with a fault.

    Args:
        request: as aiohttp has it.
        times_before: how often the very same URL was asked for before.
        path: the file; it may not exist.
        well: answers as if there were no fault.
    """

    request: web.Request
    times_before: int
    path: Path
    well: Callable[[], web.StreamResponse]

    def setting(self, name: str, default: float) -> float:
        """A number from the query."""
        return float(self.request.query.get(name, default))

    def data(self) -> bytes:
        """The file's bytes."""
        if not self.path.is_file():
            raise web.HTTPNotFound
        return self.path.read_bytes()

    async def start(
        self, length: int | None = None, headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """Begin an answer of video/mp4; ``length`` None sends it in chunks."""
        response = web.StreamResponse(headers={"Content-Type": "video/mp4", **(headers or {})})
        response.content_length = length
        await response.prepare(self.request)
        return response

    def hang_up(self) -> None:
        """Close the connection, whatever was announced."""
        if self.request.transport is not None:
            self.request.transport.close()


Fault = Callable[[Visit], Awaitable[web.StreamResponse]]


async def missing(visit: Visit) -> web.StreamResponse:
    """404."""
    raise web.HTTPNotFound


async def gone(visit: Visit) -> web.StreamResponse:
    """410."""
    raise web.HTTPGone


async def forbidden(visit: Visit) -> web.StreamResponse:
    """403."""
    raise web.HTTPForbidden


async def broken(visit: Visit) -> web.StreamResponse:
    """500, always."""
    raise web.HTTPInternalServerError


async def flaky(visit: Visit) -> web.StreamResponse:
    """503 the first ``times`` (1) times that this very URL is asked for, then the file."""
    if visit.times_before < visit.setting("times", 1):
        raise web.HTTPServiceUnavailable
    return visit.well()


async def busy(visit: Visit) -> web.StreamResponse:
    """429 with ``Retry-After: seconds`` (1) the first ``times`` (1) times, then the file."""
    if visit.times_before < visit.setting("times", 1):
        wait = f"{visit.setting('seconds', 1):.0f}"
        raise web.HTTPTooManyRequests(headers={"Retry-After": wait})
    return visit.well()


async def slow(visit: Visit) -> web.StreamResponse:
    """The whole file, in 20 pieces over ``seconds`` (2)."""
    data, pieces = visit.data(), 20
    response = await visit.start(len(data))
    step = max(1, -(-len(data) // pieces))
    for start in range(0, len(data), step):
        await asyncio.sleep(visit.setting("seconds", 2) / pieces)
        await response.write(data[start : start + step])
    return response


async def stalled(visit: Visit) -> web.StreamResponse:
    """Half the file, then silence until the client goes."""
    data = visit.data()
    response = await visit.start(len(data))
    await response.write(data[: len(data) // 2])
    while not _left(visit):
        await asyncio.sleep(0.05)
    return response


async def silent(visit: Visit) -> web.StreamResponse:
    """Not even headers, until the client goes."""
    while not _left(visit):
        await asyncio.sleep(0.05)
    return web.Response()


async def truncated(visit: Visit) -> web.StreamResponse:
    """Announces the whole file, sends half of it and hangs up, every time."""
    data = visit.data()
    response = await visit.start(len(data))
    await response.write(data[: len(data) // 2])
    visit.hang_up()
    return response


async def interrupted(visit: Visit) -> web.StreamResponse:
    """As ``truncated`` the first time; then well, so that a Range request gets the rest."""
    if visit.times_before:
        return visit.well()
    data, stat = visit.data(), visit.path.stat()
    etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'  # as aiohttp makes it
    response = await visit.start(len(data), {"ETag": etag, "Accept-Ranges": "bytes"})
    await response.write(data[: len(data) // 2])
    visit.hang_up()
    return response


async def wrong_length(visit: Visit) -> web.StreamResponse:
    """Announces half of the file and sends all of it."""
    data = visit.data()
    half = len(data) // 2
    response = await visit.start(half)
    await response.write(data[:half])
    transport = visit.request.transport
    if isinstance(transport, asyncio.WriteTransport):
        transport.write(data[half:])  # past aiohttp, which keeps to what was announced
    visit.hang_up()
    return response


async def html(visit: Visit) -> web.StreamResponse:
    """An HTML page that says it is video/mp4."""
    return web.Response(body=_PAGE.encode(), content_type="video/mp4")


async def empty(visit: Visit) -> web.StreamResponse:
    """200 and not one byte."""
    return web.Response(body=b"", content_type="video/mp4")


async def loop(visit: Visit) -> web.StreamResponse:
    """Redirects to itself."""
    raise web.HTTPFound(visit.request.path_qs)


async def redirect(visit: Visit) -> web.StreamResponse:
    """Redirects to the file, well served, or to ``to``."""
    raise web.HTTPFound(visit.request.query.get("to", f"/files/{visit.request.match_info['name']}"))


async def private(visit: Visit) -> web.StreamResponse:
    """Redirects to a link-local address, where clouds keep their machines' secrets."""
    raise web.HTTPFound("http://169.254.169.254/latest/meta-data/")


async def bomb(visit: Visit) -> web.StreamResponse:
    """Gzip that looks like an mp4 and unpacks to ``bytes`` (4 GB)."""
    response = await visit.start(headers={"Content-Encoding": "gzip"})
    for piece in _bomb_pieces(visit.setting("bytes", 4 * GB)):
        await response.write(piece)
    return response


async def endless(visit: Visit) -> web.StreamResponse:
    """Looks like an mp4 and never ends."""
    response = await visit.start()
    await response.write(_MP4_HEAD)
    while True:
        await response.write(bytes(_PIECE_BYTES))


async def too_large(visit: Visit) -> web.StreamResponse:
    """Announces ``bytes`` (3 GB) and begins to send them."""
    size = int(visit.setting("bytes", 3 * GB))
    response = await visit.start(size)
    await response.write(_MP4_HEAD)
    for _ in range(len(_MP4_HEAD), size, _PIECE_BYTES):
        await response.write(bytes(_PIECE_BYTES))
    return response


async def opt_out(visit: Visit) -> web.StreamResponse:
    """The file, marked ``X-Robots-Tag: noai``."""
    response = visit.well()
    response.headers["X-Robots-Tag"] = "noai"
    return response


def _left(visit: Visit) -> bool:
    transport = visit.request.transport
    return transport is None or transport.is_closing()


def _bomb_pieces(size: float) -> Iterator[bytes]:
    """Pieces of one gzip stream; after a full flush, equal input packs to equal bytes."""
    packer = zlib.compressobj(9, wbits=31)
    yield packer.compress(_MP4_HEAD) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(MB)) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(round(size / MB)):
        yield zeros


FAULTS: dict[str, Fault] = {
    fault.__name__.replace("_", "-"): fault
    for fault in (
        missing,
        gone,
        forbidden,
        broken,
        flaky,
        busy,
        slow,
        stalled,
        silent,
        truncated,
        interrupted,
        wrong_length,
        html,
        empty,
        loop,
        redirect,
        private,
        bomb,
        endless,
        too_large,
        opt_out,
    )
}
"""Name in ``Origin.url`` -> fault."""
