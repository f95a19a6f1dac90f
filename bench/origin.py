"""The servers that bench/download.py downloads from, and the files they serve.

`fast` URLs are plain nginx. `slow` URLs behave like a far host: each request waits 50-300 ms, then
flows at 1 MB/s. A small asyncio program sends the wait (it never sees the bytes: it answers with
X-Accel-Redirect) and nginx does the pacing, so the server stays light next to what is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FILES = 200  # distinct files; longer tables cycle over them under distinct URLs
SMALLEST_BYTES, LARGEST_BYTES = 100_000, 2_000_000
RATE_BYTES_PER_SECOND = 1_000_000
LATENCY_SECONDS = (0.05, 0.3)
# nginx sends one chunk, then waits as long as that chunk should have taken. The first chunk is
# therefore early by CHUNK / RATE, which the waiting program adds to the latency.
CHUNK_BYTES = 32_768
FRAME_RATE, WIDTH, HEIGHT, MASTER_SECONDS = 24, 640, 360, 60

NGINX = """
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 4096;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 2048; }}
http {{
  types {{ video/mp4 mp4; }}
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  log_format times '$msec $request_time $status $body_bytes_sent $request_method $request_uri';
  access_log {folder}/access.log times;
  upstream wait {{ server 127.0.0.1:{wait_port}; keepalive 1024; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location ~ ^/fast/\\d+/(?<name>[^/]+)$ {{ alias {media}/$name; }}
    location /slow/ {{
      proxy_pass http://wait;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
    location /paced/ {{
      internal;
      alias {media}/;
      limit_rate {rate};
      sendfile_max_chunk {chunk};
    }}
  }}
}}
"""


def latency_seconds(row: int) -> float:
    """The wait before the first byte of a row's slow URL."""
    return random.Random(row).uniform(*LATENCY_SECONDS)


def _encode_master(path: Path) -> None:
    """One minute of moving texture with sound, about 1 Mbit/s, a key frame every half second."""
    noise = np.random.default_rng(7)
    texture = noise.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    texture = np.kron(texture, np.ones((8, 8, 1), dtype=np.uint8))
    tone = 8_000 * np.sin(np.arange(48_000 * MASTER_SECONDS) * (2 * np.pi * 440 / 48_000))
    with av.open(str(path), "w", format="mp4") as out:
        video = out.add_stream("libx264", rate=FRAME_RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.bit_rate = 1_000_000
        video.options = {"preset": "ultrafast", "g": str(FRAME_RATE // 2), "bf": "0"}
        audio = out.add_stream("aac", rate=48_000, layout="mono")
        audio.bit_rate = 64_000
        for index in range(FRAME_RATE * MASTER_SECONDS):
            shown = np.roll(texture, (index, 3 * index), axis=(0, 1))
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
            out.mux(video.encode(frame))
            samples = tone[index * 2000 : (index + 1) * 2000].astype(np.int16)
            sound = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            sound.sample_rate, sound.pts = 48_000, index * 2000
            sound.time_base = Fraction(1, 48_000)
            out.mux(audio.encode(sound))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))


def _cut(master: Path, target: Path, first_second: float, size: int) -> None:
    """Copy packets from a key frame on until about `size` bytes lie in `target`."""
    with av.open(str(master)) as source, av.open(str(target), "w", format="mp4") as out:
        source.seek(int(first_second * 1_000_000))
        copies = {s.index: out.add_stream_from_template(s) for s in source.streams}
        start, left = None, size - 4_000  # what the tables of the container take, roughly
        for packet in source.demux():
            if packet.dts is None:
                continue
            at = packet.dts * packet.time_base
            if start is None:
                if not (packet.stream.type == "video" and packet.is_keyframe):
                    continue
                start = at
            if at < start:
                continue
            shift = round(start / packet.time_base)
            packet.dts -= shift
            packet.pts = packet.dts if packet.pts is None else packet.pts - shift
            left -= packet.size
            packet.stream = copies[packet.stream.index]
            out.mux(packet)
            if left <= 0:
                break


def make_media(folder: Path) -> list[Path]:
    """The files to serve, made on the first call and kept: mp4s of 100 KB to 2 MB."""
    done = folder / "complete"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        master = folder / "master.mp4"
        _encode_master(master)
        choose = random.Random(7)
        for index in range(FILES):
            share = index / (FILES - 1)
            size = int(SMALLEST_BYTES * (LARGEST_BYTES / SMALLEST_BYTES) ** share)
            _cut(master, folder / f"{index:03d}.mp4", choose.uniform(0, MASTER_SECONDS - 25), size)
        master.unlink()
        done.touch()
    return sorted(folder.glob("*.mp4"))


@dataclass(frozen=True)
class Request:
    """One line of the access log; times are seconds since the epoch."""

    start: float
    end: float
    status: int
    size: int
    method: str
    path: str


class Origin:
    """nginx on a free loopback port, and what it was asked."""

    def __init__(self, folder: Path, media: list[Path], port: int) -> None:
        self.log = folder / "access.log"
        self.media = media
        self.sizes = [path.stat().st_size for path in media]
        self.base = f"http://127.0.0.1:{port}"

    def size(self, row: int) -> int:
        return self.sizes[self._file(row)]

    def url(self, row: int, kind: str) -> str:
        """The URL of a row, `kind` being `fast` or `slow`."""
        return f"{self.base}/{kind}/{row}/{self.media[self._file(row)].name}"

    def _file(self, row: int) -> int:
        return row * 77 % FILES  # 77 and 200 share no factor: sizes are mixed, each file used

    def forget(self) -> None:
        os.truncate(self.log, 0)

    def requests(self, expected: int) -> list[Request]:
        """The log since `forget`, once it has `expected` lines or stops growing for a second."""
        deadline = time.monotonic() + 1
        while (text := self.log.read_text()).count("\n") < expected and time.monotonic() < deadline:
            time.sleep(0.02)
        found = []
        for line in text.splitlines():
            end, seconds, status, size, method, path = line.split(" ", 5)
            start = float(end) - float(seconds)
            found.append(Request(start, float(end), int(status), int(size), method, path))
        return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], what: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{what} did not start (exit status {process.poll()})")


@contextlib.contextmanager
def serve(folder: Path, media_folder: Path) -> Iterator[Origin]:
    """Run the origin until the block ends.

    Args:
        folder: an empty folder for its configuration and logs.
        media_folder: where the served files are kept between runs.
    """
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if nginx is None:
        raise RuntimeError("nginx is not installed: install the system package nginx")
    media = make_media(media_folder)
    port, wait_port = _free_port(), _free_port()
    user = ""  # started as root, nginx would drop to a user who may not read the files
    if os.geteuid() == 0:
        user = f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};"
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(
            user=user,
            folder=folder,
            media=media_folder,
            port=port,
            wait_port=wait_port,
            rate=RATE_BYTES_PER_SECOND,
            chunk=CHUNK_BYTES,
        )
    )
    command = [nginx, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)]
    with (folder / "servers.out").open("wb") as output:
        waiting = [sys.executable, __file__, str(wait_port)]
        started = [subprocess.Popen(waiting, stdout=output, stderr=subprocess.STDOUT)]
        try:
            started.append(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT))
            _wait_for(wait_port, started[0], "the waiting server")
            _wait_for(port, started[1], f"nginx ({folder}/error.log)")
            yield Origin(folder, media, port)
            for process, name in zip(started, ("the waiting server", "nginx"), strict=True):
                if process.poll() is not None:
                    raise RuntimeError(f"{name} died: see {folder}/error.log")
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(timeout=10)


class _Wait(asyncio.Protocol):
    """Answers each request after its latency with where nginx finds the bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            _, _, row, name = head.split(b" ", 2)[1].split(b"/")
            early = CHUNK_BYTES / RATE_BYTES_PER_SECOND
            asyncio.get_running_loop().call_later(
                latency_seconds(int(row)) + early, self._answer, name
            )

    def _answer(self, name: bytes) -> None:
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 0\r\n"
            b"X-Accel-Redirect: /paced/" + name + b"\r\n\r\n"
        )


async def _serve_waits(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Wait, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve_waits(int(sys.argv[1])))
