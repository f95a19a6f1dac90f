"""A web server that says exactly what a test wants said, well-formed or not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from clipmill.core.errors import DownloadError
from clipmill.fetch.base import Fetched, Fetcher, FetchRequest
from clipmill.fetch.http import HttpFetcher
from clipmill.fetch.options import FetchOptions

MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + Random(0).randbytes(100_000)
Send = Callable[[bytes], Awaitable[None]]


@dataclass
class Request:
    target: str
    headers: dict[str, str]


Handler = Callable[[Request, Send], Awaitable[None]]


def head(status: int = 200, length: int | None = None, **headers: str) -> bytes:
    """Status line and headers; underscores in names stand for hyphens."""
    lines = [f"HTTP/1.1 {status} Said"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def answer(body: bytes = MP4, status: int = 200, **headers: str) -> Handler:
    """Answer every request alike."""

    async def handle(_request: Request, send: Send) -> None:
        await send(head(status, len(body), **headers) + body)

    return handle


def answers(*handlers: Handler) -> Handler:
    """Answer the first request by the first handler, and so on; the last one again and again."""
    waiting = list(handlers)

    async def handle(request: Request, send: Send) -> None:
        await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(request, send)

    return handle


def redirect(location: str, status: int = 302) -> Handler:
    return answer(b"", status, Location=location)


class Server:
    """Serves ``routes`` (path -> handler) on loopback and remembers what was asked."""

    def __init__(self, routes: dict[str, Handler], tls: ssl.SSLContext | None = None) -> None:
        self.routes = routes
        self.requests: list[Request] = []
        self.connections = 0
        self._tls = tls

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def url(self, path: str = "/v.mp4") -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1

        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                    pairs = (line.split(": ", 1) for line in lines[1:] if line)
                    request = Request(lines[0].split(" ")[1], {k.lower(): v for k, v in pairs})
                    self.requests.append(request)
                    path = request.target.partition("?")[0]
                    await self.routes.get(path, answer(b"no", 404))(request, send)
                    if self.hangs_up(request):
                        break
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    def hangs_up(self, _request: Request) -> bool:
        return True


@dataclass
class Budget:
    """Grants everything at once, and remembers what was asked."""

    reserved: list[int] = field(default_factory=list)

    async def reserve(self, size: int) -> None:
        self.reserved.append(size)

    def is_next(self) -> bool:
        return False


@dataclass
class Trip:
    """How a fetch went; ``error`` or ``fetched`` is there."""

    requests: list[Request]
    target: Path
    reserved: list[int]
    fetched: Fetched | None = None
    error: DownloadError | None = None

    @property
    def got(self) -> Fetched:
        assert self.error is None, self.error
        assert self.fetched is not None
        return self.fetched

    @property
    def failed(self) -> DownloadError:
        assert self.error is not None, self.fetched
        return self.error


def options(**choices: object) -> FetchOptions:
    """Options for servers on loopback, with short waits."""
    defaults = {"allow_private_addresses": True, "backoff_seconds": 0.01}
    return FetchOptions.model_validate(defaults | choices)


async def fetch_one(
    server: Server,
    tmp_path: Path,
    url: str,
    fetcher: Callable[[FetchOptions], Fetcher] = HttpFetcher,
    **choices: object,
) -> Trip:
    """Fetch one URL and say how it went."""
    budget = Budget()
    target = tmp_path / f"fetched-{len(list(tmp_path.iterdir()))}"
    trip = Trip(server.requests, target, budget.reserved)
    worker = fetcher(options(**choices))
    try:
        trip.fetched = await worker.fetch(FetchRequest(url, trip.target), budget)
    except DownloadError as error:
        trip.error = error
        assert not trip.target.exists(), "a failed fetch left its file behind"
    finally:
        await worker.close()
    return trip


def fetch(
    tmp_path: Path,
    handler: Handler,
    path: str = "/v.mp4",
    routes: dict[str, Handler] | None = None,
    **choices: object,
) -> Trip:
    """Serve ``handler`` at ``path`` and fetch it."""

    async def go() -> Trip:
        bare = path.partition("?")[0]
        async with Server({bare: handler} | (routes or {})) as server:
            return await fetch_one(server, tmp_path, server.url(path), **choices)

    return asyncio.run(go())
