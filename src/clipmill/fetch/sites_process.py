"""The child process that runs yt-dlp; it serves many URLs, and may be killed at any moment.

It talks over its standard input and output: every message is four bytes of length (big-endian) and
that many bytes of JSON. The first message to it is the set-up, every further one a job or a reply;
see ``sites_job`` for what comes back.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from clipmill.fetch.addresses import ForbiddenAddressError, is_public, refusal
from clipmill.fetch.sites_job import Downloader
from clipmill.fetch.sites_run import Job

LENGTH_BYTES = 4


class Wire:
    """Messages from and to the parent; when the parent is gone, so is this process.

    Args:
        reading: file descriptor to read from.
        writing: file descriptor to write to.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        self._messages: queue.Queue[Any] = queue.Queue()
        self._lock = threading.Lock()
        self.folder: str | None = None
        threading.Thread(target=self._read_all, daemon=True).start()

    def receive(self) -> Any:
        """Wait for the next message."""
        return self._messages.get()

    def send(self, message: Any) -> None:
        """Send one message."""
        with self._lock:
            self._write(message)

    def ask(self, message: Any) -> Any:
        """Send one message and wait for the reply."""
        with self._lock:
            self._write(message)
            return self._messages.get()

    def _write(self, message: Any) -> None:
        data = json.dumps(message).encode()
        data = len(data).to_bytes(LENGTH_BYTES, "big") + data
        while data:
            data = data[os.write(self._writing, data) :]

    def _read_all(self) -> None:
        while True:
            length = self._read_exactly(LENGTH_BYTES)
            self._messages.put(json.loads(self._read_exactly(int.from_bytes(length, "big"))))

    def _read_exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = os.read(self._reading, size - len(parts))
            if not part:
                self._end()
            parts += part
        return bytes(parts)

    def _end(self) -> None:
        """Leave nothing behind, then take helpers such as ffmpeg along."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)


class AddressGuard:
    """Lets this process connect to public addresses only, whichever library asks.

    Names are resolved as ever; an answer that is not public is refused, so redirects and names that
    change their address are covered too.

    Args:
        trusted_host: of the proxy, which is the user's own choice; or None.
    """

    def __init__(self, trusted_host: str | None) -> None:
        self.refused: str | None = None
        self._trusted_host = trusted_host
        self._resolve: Callable[..., Any] = socket.getaddrinfo
        socket.getaddrinfo = self._guarded

    def _guarded(self, host: Any, *arguments: Any, **options: Any) -> Any:
        found = self._resolve(host, *arguments, **options)
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if name is None or name == self._trusted_host:
            return found
        for entry in found:
            address = str(entry[4][0]).partition("%")[0]
            if not is_public(ip_address(address)):
                self.refused = refusal(name, address if address != name else None)
                raise ForbiddenAddressError(self.refused)
        return found


def main() -> None:
    """Serve jobs until the parent goes away or kills us."""
    # Nothing else in this process may read or write the parent's pipes.
    wire = Wire(os.dup(0), os.dup(1))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    setup = wire.receive()
    guard = None if setup["allow_private_addresses"] else AddressGuard(setup["proxy_host"])
    downloader = Downloader(setup["params"], setup["cookies"], guarded=guard is not None)
    wire.send({"kind": "ready"})
    while True:
        job = Job(**wire.receive())
        wire.folder = job.folder
        if guard:
            guard.refused = None
        wire.send(downloader.run(job, wire.ask, lambda: guard.refused if guard else None))
        wire.folder = None


if __name__ == "__main__":
    main()
