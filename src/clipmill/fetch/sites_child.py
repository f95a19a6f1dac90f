"""The parent's end of the child process that runs yt-dlp."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from clipmill.fetch.sites_process import LENGTH_BYTES

_MODULE = "clipmill.fetch.sites_process"
_STDERR_BYTES = 8000


class ChildDied(Exception):  # noqa: N818 - an event, which the fetcher makes into an error
    """The child is gone: killed from outside, out of memory, or crashed in native code."""


class SitesChild:
    """A child process in a session of its own, so that helpers it starts die with it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._complaints = b""
        self._listening = asyncio.ensure_future(self._listen())

    @classmethod
    async def start(cls, setup: dict[str, Any]) -> SitesChild:
        """Start a child and wait until it is ready.

        Args:
            setup: see ``sites_process.main``; may hold secrets, so it goes through the pipe.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", _MODULE),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        child = cls(process)
        try:
            await child._send(setup)
            await child._receive()
        except BaseException:
            await child.kill()
            raise
        return child

    @property
    def pid(self) -> int:
        """Process id, which is that of its session too."""
        return self._process.pid

    async def run(
        self, job: dict[str, Any], grant: Callable[[int, int], Awaitable[None]]
    ) -> dict[str, Any]:
        """Have one job done.

        Args:
            job: the fields of ``sites_job.Job``.
            grant: called with bytes needed and bytes that came; returns when they are granted.

        Raises:
            ChildDied: it was killed.
            RuntimeError: it crashed on a bug.
        """
        await self._send(job)
        while True:
            message: dict[str, Any] = await self._receive()
            if message["kind"] != "need":
                return message
            await grant(message["size"], message["bytes"])
            await self._send({})

    async def kill(self) -> None:
        """End the child and whatever it started, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdin:
            self._process.stdin.close()
        await self._process.wait()
        await self._listening

    async def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin
        data = json.dumps(message).encode()
        self._process.stdin.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)
        try:
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise await self._death() from error

    async def _receive(self) -> Any:
        assert self._process.stdout
        try:
            length = await self._process.stdout.readexactly(LENGTH_BYTES)
            return json.loads(await self._process.stdout.readexactly(int.from_bytes(length, "big")))
        except asyncio.IncompleteReadError as error:
            raise await self._death() from error

    async def _death(self) -> Exception:
        status = await self._process.wait()
        await self._listening
        complaints = self._complaints.decode(errors="replace").strip()
        if status == 1 and "Traceback" in complaints:
            return RuntimeError(f"The process that runs yt-dlp crashed on a bug:\n{complaints}")
        return ChildDied(f"the process that runs yt-dlp ended with status {status}. {complaints}")

    async def _listen(self) -> None:
        """Keep the last of what is printed, and never let the child wait for a full pipe."""
        assert self._process.stderr
        while part := await self._process.stderr.read(_STDERR_BYTES):
            self._complaints = (self._complaints + part)[-_STDERR_BYTES:]
