"""A loopback web server that serves a folder, and misbehaves where it is asked to.

    with Origin(folder) as origin:
        origin.url("a.mp4")                        # served well: Range, Content-Length, ETag
        origin.url("a.mp4", "truncated")           # announces the whole file, sends half of it
        origin.url("a.mp4", "flaky", times=2)      # 503 twice, then the file
        origin.requests                            # what was asked so far

The faults are listed in ``clipmill.demo.faults``.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

from aiohttp import web

from clipmill.demo.faults import FAULTS, Fault, Visit

HOST = "127.0.0.1"
_STOP_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that came in.

    Args:
        method: ``GET``, ``HEAD``, ...
        path: path and query as sent.
        name: the file it was for, as given to ``Origin.url``.
        headers: as sent.
    """

    method: str
    path: str
    name: str
    headers: Mapping[str, str]


class Origin:
    """Serves a folder on a free port of 127.0.0.1, from a thread of its own.

    Args:
        folder: what is served; files may be added while it runs.
        headers: sent along with every well-served file.
    """

    def __init__(self, folder: Path, headers: Mapping[str, str] | None = None) -> None:
        self._folder = folder.resolve()
        self._headers = dict(headers or {})
        self._asked: dict[str, int] = {}
        self._lock = threading.Lock()
        self.requests: list[Asked] = []
        """Every request so far, in order of arrival."""

    def __enter__(self) -> Self:
        self._socket = socket.create_server((HOST, 0), backlog=1024)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._serve(),), daemon=True, name="origin"
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def url(self, name: str, fault: str | None = None, **settings: object) -> str:
        """URL of a file, served well or with a fault.

        Args:
            name: path inside the folder. Faults that send no file do not need it to exist.
            fault: a name of ``FAULTS``.
            settings: the fault's settings; others only make the URL another one.

        Raises:
            KeyError: there is no such fault.
        """
        if fault is not None and fault not in FAULTS:
            raise KeyError(f"no fault {fault!r}; there are {', '.join(FAULTS)}")
        place = f"fault/{fault}/{quote(name)}" if fault else f"files/{quote(name)}"
        query = f"?{urlencode(settings)}" if settings else ""
        return f"http://{HOST}:{self.port}/{place}{query}"

    def count(self, name: str) -> int:
        """How often a file was asked for, well or with any fault."""
        return sum(asked.name == name for asked in self.requests)

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_get("/files/{name:.+}", self._file)
        app.router.add_get("/fault/{fault}/{name:.*}", self._fault)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_SECONDS)
        await runner.setup()
        await web.SockSite(runner, self._socket, backlog=1024).start()
        await self._stop.wait()
        await runner.cleanup()

    async def _file(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        return self._well(request)

    async def _fault(self, request: web.Request) -> web.StreamResponse:
        times_before = self._note(request)
        fault: Fault | None = FAULTS.get(request.match_info["fault"])
        if fault is None:
            raise web.HTTPNotFound
        visit = Visit(request, times_before, self._path(request), lambda: self._well(request))
        try:
            return await fault(visit)
        except ConnectionError:
            return web.Response()  # the client had enough

    def _note(self, request: web.Request) -> int:
        """Log a request; returns how often the same URL was asked for before."""
        path = request.path_qs
        with self._lock:
            before = self._asked.get(path, 0)
            self._asked[path] = before + 1
            name = request.match_info["name"]
            self.requests.append(Asked(request.method, path, name, dict(request.headers)))
        return before

    def _well(self, request: web.Request) -> web.StreamResponse:
        path = self._path(request)
        if not path.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(path, headers=self._headers)

    def _path(self, request: web.Request) -> Path:
        path = (self._folder / request.match_info["name"]).resolve()
        if not path.is_relative_to(self._folder):
            raise web.HTTPNotFound
        return path
