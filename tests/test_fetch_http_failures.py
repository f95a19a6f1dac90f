"""Servers that are not there or not servers, rows that are not URLs, disks and users that err."""

from __future__ import annotations

import asyncio
import pickle
import socket

import pytest

import clipmill
from clipmill.core.errors import DownloadError, RunError, UserError
from clipmill.fetch.base import FetchRequest
from clipmill.fetch.http import HttpFetcher
from fetch_server import (
    MP4,
    Budget,
    Handler,
    Request,
    Send,
    Server,
    answer,
    answers,
    fetch,
    fetch_one,
    head,
    options,
)


def test_nobody_listening_and_nobody_of_that_name(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    def unknown(*_args: object, **_named: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def go():
        async with Server({}) as server:
            refused = await fetch_one(server, tmp_path, f"http://127.0.0.1:{port}/v.mp4")
            monkeypatch.setattr(socket, "getaddrinfo", unknown)
            nameless = await fetch_one(server, tmp_path, "http://nowhere.invalid/v.mp4")
            too_long = await fetch_one(server, tmp_path, f"http://{'a' * 70}.com/v.mp4")
            return refused.failed, nameless.failed, too_long.failed

    refused, nameless, too_long = asyncio.run(go())
    assert (refused.error_class, refused.details["attempts"]) == ("connect", 4)
    assert (nameless.error_class, nameless.details["attempts"]) == ("dns", 1)
    assert too_long.error_class == "dns"


def test_a_server_that_hangs_up_or_talks_nonsense(tmp_path):
    async def hang_up(_request: Request, _send: Send) -> None:
        pass

    async def nonsense(_request: Request, send: Send) -> None:
        await send(b"220 ftp.example.org ready\r\n\r\n")

    # Once, aiohttp asks again by itself: a kept connection may have been closed meanwhile.
    assert fetch(tmp_path, answers(hang_up, hang_up, answer())).got.attempts == 2
    assert fetch(tmp_path, hang_up, retries=1).failed.error_class == "connect"
    assert fetch(tmp_path, nonsense).failed.error_class == "bad_response"


@pytest.mark.parametrize(
    ("url", "error_class"),
    [
        ("http://", "invalid_url"),
        ("http://[::1/v.mp4", "invalid_url"),
        ("http://host:99999/v.mp4", "invalid_url"),
        ("http://ho st/v.mp4", "invalid_url"),
        ("http://example.com/" + "a" * 40_000, "invalid_url"),
        ("ftp://example.com/v.mp4", "unsupported_scheme"),
        ("gopher://127.0.0.1:25/", "unsupported_scheme"),
    ],
    ids=range(7),
)
def test_what_is_not_a_web_address_is_not_asked(tmp_path, url, error_class):
    async def go():
        async with Server({}) as server:
            return await fetch_one(server, tmp_path, url)

    failed = asyncio.run(go()).failed
    assert failed.error_class == error_class
    assert len(failed.message) < 500


def test_a_cancelled_fetch_leaves_nothing_behind(tmp_path):
    async def stall(_request: Request, send: Send) -> None:
        await send(head(length=len(MP4)) + MP4[:50_000])
        await asyncio.sleep(60)

    async def go():
        target = tmp_path / "v"
        async with Server({"/v.mp4": stall}) as server:
            fetcher = HttpFetcher(options())
            task = asyncio.ensure_future(
                fetcher.fetch(FetchRequest(server.url(), target), Budget())
            )
            while not target.exists():
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await fetcher.close()
        return target.exists()

    assert not asyncio.run(go())


def test_a_disk_that_refuses_stops_the_run_and_not_the_sample(tmp_path):
    async def go():
        async with Server({"/v.mp4": answer()}) as server:
            fetcher = HttpFetcher(options())
            try:
                await fetcher.fetch(FetchRequest(server.url(), tmp_path / "no" / "v"), Budget())
            finally:
                await fetcher.close()

    with pytest.raises(RunError, match="cannot be written"):
        asyncio.run(go())


def test_unreadable_cookies_and_impossible_proxies_are_the_users_error(tmp_path):
    async def go(**choices: object):
        HttpFetcher(options(**choices))

    with pytest.raises(UserError, match="cookies"):
        asyncio.run(go(cookies_file=str(tmp_path / "none.txt")))
    with pytest.raises(UserError, match="proxy") as raised:
        asyncio.run(go(proxy="socks5://me:secret@host:1"))
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"a.org\tFALSE\t/\tFALSE\t0\tsession\ts3c\x01ret", r"\('\\x01'\) in line 3"),
        (b"a.org\tFALSE\t/\tFALSE\t0\tsession\t\x1bs3cret", r"\('\\x1b'\) in line 3"),
        (b"a.org\tFALSE\t/\tFALSE\t0\tsession\ts3cr\xe9t", "cannot be read: .*utf-8"),
    ],
)
def test_cookies_that_no_request_may_carry_are_refused_up_front(tmp_path, line, message):
    path = tmp_path / "cookies.txt"
    path.write_bytes(b"# Netscape HTTP Cookie File\r\n\r\n" + line + b"\r\n")
    rows = [{"url": "http://127.0.0.1:9/a.mp4"}]
    with pytest.raises(UserError, match=message) as raised:
        clipmill.download(rows, tmp_path / "out", cookies_file=str(path), quiet=True)
    assert "s3c" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_errors_survive_the_way_between_processes(tmp_path):
    failed = fetch(tmp_path, answer(b"", 404)).failed
    copy = pickle.loads(pickle.dumps(failed))
    assert isinstance(copy, DownloadError)
    assert (copy.details, copy.retryable) == (failed.details, failed.retryable)


def raw(status_line: bytes, *lines: bytes) -> Handler:
    """An answer whose head is exactly these bytes."""

    async def handle(_request: Request, send: Send) -> None:
        length = b"Content-Length: %d" % len(MP4)
        await send(b"\r\n".join([b"HTTP/1.1 " + status_line, *lines, length, b"", b""]) + MP4)

    return handle


@pytest.mark.parametrize(
    ("handler", "error_class"),
    [
        (raw(b"503 Busy", b"Retry-After: " + b"9" * 400), "http_status"),
        (raw(b"503 Busy", b"Retry-After: " + b"9" * 5000), "http_status"),
        (raw(b"206 P", b"Content-Range: bytes 0-%b/%b" % (b"9" * 5000, b"9" * 5000)), "truncated"),
        (raw(b"404 \xff\xfe"), "http_status"),
    ],
    ids=["overflow", "digits", "range", "reason"],
)
def test_headers_out_of_all_bounds_fail_their_source_alone(tmp_path, handler, error_class):
    error = fetch(tmp_path, handler, retries=0).failed
    assert error.error_class == error_class
    error.message.encode()


def test_a_content_type_that_is_no_text_is_stored_as_question_marks(tmp_path):
    fetched = fetch(tmp_path, raw(b"200 OK", b"Content-Type: video/mp4\xff")).got
    assert fetched.content_type == "video/mp4?"
