"""Files from web servers, as well-behaved and as broken as they come."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import pickle
import socket
import time
import tracemalloc
import zlib

import pytest

from clipmill.core.errors import DownloadError, RunError, UserError
from clipmill.fetch.base import FetchRequest
from clipmill.fetch.http import HttpFetcher
from fetch_server import (
    MP4,
    Budget,
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

SHA256 = hashlib.sha256(MP4).hexdigest()


def test_a_file_arrives_whole_with_its_facts(tmp_path):
    trip = fetch(tmp_path, answer(Content_Type="video/mp4"))

    got = trip.got
    assert got.path == trip.target
    assert got.path.read_bytes() == MP4
    assert (got.size, got.sha256, got.extension) == (len(MP4), SHA256, "mp4")
    assert (got.fetcher, got.http_status, got.content_type) == ("http", 200, "video/mp4")
    assert (got.attempts, got.downloaded_bytes) == (1, len(MP4))
    assert 0 < got.seconds < 10
    assert got.final_url.endswith("/v.mp4")


def test_it_says_who_it_is_and_asks_for_plain_bytes(tmp_path):
    headers = fetch(tmp_path, answer()).requests[0].headers

    assert headers["user-agent"].startswith("clipmill/")
    assert headers["accept-encoding"] == "identity"


def test_where_only_facts_are_wanted_no_more_than_the_head_is_read(tmp_path):
    async def go(body: bytes):
        async def first_part_only(_request: Request, send: Send) -> None:
            await send(head(length=5_000_000) + body)
            await asyncio.sleep(60)

        async with Server({"/v.mp4": first_part_only}) as server:
            fetcher = HttpFetcher(options())
            request = FetchRequest(server.url(), tmp_path / "v", modalities=())
            try:
                return await fetcher.fetch(request, Budget())
            finally:
                await fetcher.close()

    got = asyncio.run(go(MP4[:10_000]))
    assert (got.path, got.size, got.extension) == (None, 5_000_000, "mp4")
    assert not list(tmp_path.iterdir())
    with pytest.raises(DownloadError, match="html"):
        asyncio.run(go(b"<html>" + bytes(5000)))


def test_a_missing_file_fails_at_once(tmp_path):
    trip = fetch(tmp_path, answer(b"<html>not here</html>", 404))

    assert trip.failed.error_class == "http_status"
    assert not trip.failed.retryable
    assert "404" in trip.failed.message
    details = trip.failed.details
    assert (details["http_status"], details["attempts"], details["fetcher"]) == (404, 1, "http")
    assert len(trip.requests) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(tmp_path, status):
    trip = fetch(tmp_path, answers(answer(b"busy", status), answer()))

    assert trip.got.sha256 == SHA256
    assert (trip.got.attempts, trip.got.http_status) == (2, 200)


def test_tries_run_out_and_the_failure_stays_retryable(tmp_path):
    trip = fetch(tmp_path, answer(b"busy", 503), retries=2)

    assert trip.failed.retryable
    assert trip.failed.details["attempts"] == len(trip.requests) == 3


def test_the_server_is_left_alone_for_as_long_as_it_asks(tmp_path):
    began = time.monotonic()
    trip = fetch(tmp_path, answers(answer(b"busy", 429, Retry_After="1"), answer()))

    assert trip.got.attempts == 2
    assert time.monotonic() - began >= 1


def test_a_server_that_asks_for_an_hour_is_left_for_a_later_run(tmp_path):
    trip = fetch(tmp_path, answer(b"busy", 429, Retry_After="3600"))

    assert trip.failed.retryable
    assert len(trip.requests) == 1
    assert "3600 s" in trip.failed.message


@pytest.mark.parametrize(
    ("body", "error_class", "word"),
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "not_media", "html"),
        (b'{"error": "gone"}', "not_media", "json"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", "not_media", "playlist"),
        (b"PK\x03\x04" + bytes(100), "not_media", "zip"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "not_media", "image"),
        (b"", "empty_body", "nothing"),
    ],
    ids=["html", "json", "playlist", "archive", "image", "nothing"],
)
def test_what_is_not_media_is_a_failure_whatever_it_is_called(tmp_path, body, error_class, word):
    trip = fetch(tmp_path, answer(body, Content_Type="video/mp4"))

    assert trip.failed.error_class == error_class
    assert word in trip.failed.message
    assert not trip.failed.retryable
    assert len(trip.requests) == 1


def test_no_content_is_an_empty_body(tmp_path):
    assert fetch(tmp_path, answer(b"", 204)).failed.error_class == "empty_body"


def test_bytes_that_nothing_is_known_of_are_left_to_the_probe(tmp_path):
    assert fetch(tmp_path, answer(b"\x01\x02\x03\x04" * 2000)).got.extension == ""


def test_a_file_announced_as_too_large_is_not_read(tmp_path):
    async def announce_only(_request: Request, send: Send) -> None:
        await send(head(length=10_000_000_000))
        await asyncio.sleep(60)

    trip = fetch(tmp_path, announce_only, max_bytes="1GB")

    assert trip.failed.error_class == "too_large"
    assert trip.failed.details["downloaded_bytes"] == 0
    assert not trip.reserved


def test_a_file_that_turns_out_too_large_is_dropped_at_the_limit(tmp_path):
    async def pour(_request: Request, send: Send) -> None:
        await send(head() + MP4)
        while True:
            await send(bytes(100_000))

    trip = fetch(tmp_path, pour, max_bytes=1_000_000)

    assert trip.failed.error_class == "too_large"
    assert trip.failed.details["downloaded_bytes"] < 3_000_000


def test_a_body_that_never_ends_meets_the_total_timeout(tmp_path):
    async def drip(_request: Request, send: Send) -> None:
        await send(head() + MP4)
        while True:
            await send(b"x")
            await asyncio.sleep(0.02)

    trip = fetch(tmp_path, drip, total_timeout_seconds=0.5)

    assert trip.failed.error_class == "timeout"
    assert trip.failed.details["seconds"] == pytest.approx(0.5, abs=0.3)
    assert trip.failed.details["downloaded_bytes"] > len(MP4)


@pytest.mark.parametrize(
    "first",
    [b"", head(), head() + MP4[:10], head(length=len(MP4)) + MP4[:50_000]],
    ids=["no answer", "no body", "no head", "half a body"],
)
def test_a_server_that_falls_silent_meets_the_idle_timeout(tmp_path, first):
    async def fall_silent(_request: Request, send: Send) -> None:
        await send(first)
        await asyncio.sleep(60)

    trip = fetch(tmp_path, fall_silent, idle_timeout_seconds=0.2, retries=1)

    assert trip.failed.error_class == "timeout"
    assert trip.failed.retryable
    assert trip.failed.details["attempts"] == 2


def test_fewer_bytes_than_announced_are_no_file(tmp_path):
    async def stop_early(_request: Request, send: Send) -> None:
        await send(head(length=len(MP4)) + MP4[:50_000])

    trip = fetch(tmp_path, stop_early, retries=1)

    assert trip.failed.error_class == "truncated"
    assert trip.failed.retryable
    assert len(trip.requests) == 2


class Ranged:
    """Serves ranges, breaks off after ``breaks[i]`` bytes of the i-th answer."""

    def __init__(self, *breaks: int, etag: str = '"one"', body: bytes = MP4) -> None:
        self.breaks = list(breaks)
        self.etag, self.body = etag, body

    async def __call__(self, request: Request, send: Send) -> None:
        start, status, more = 0, 200, {}
        asked = request.headers.get("range")
        if asked and request.headers.get("if-range") in (self.etag, None):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            last = len(self.body) - 1
            status, more = 206, {"Content_Range": f"bytes {start}-{last}/{last + 1}"}
        part = self.body[start:]
        await send(head(status, len(part), ETag=self.etag, Accept_Ranges="bytes", **more))
        await send(part[: self.breaks.pop(0)] if self.breaks else part)


def test_a_broken_body_is_taken_up_where_it_broke_off(tmp_path):
    trip = fetch(tmp_path, Ranged(40_000, 30_000))

    assert trip.target.read_bytes() == MP4
    assert trip.got.sha256 == SHA256
    assert (trip.got.attempts, trip.got.http_status) == (3, 206)
    assert trip.got.downloaded_bytes == len(MP4)
    assert [request.headers.get("range") for request in trip.requests] == [
        None,
        "bytes=40000-",
        "bytes=70000-",
    ]
    assert trip.requests[1].headers["if-range"] == '"one"'
    assert sum(trip.reserved) == len(MP4)


def test_an_error_between_two_parts_loses_nothing(tmp_path):
    ranged = Ranged(40_000)
    trip = fetch(tmp_path, answers(ranged, answer(b"busy", 503), ranged))

    assert trip.got.sha256 == SHA256
    assert trip.got.downloaded_bytes == len(MP4)


def test_last_modified_serves_where_there_is_no_etag(tmp_path):
    date = "Wed, 21 Oct 2015 07:28:00 GMT"

    async def handle(request: Request, send: Send) -> None:
        if request.headers.get("if-range") == date:
            span = f"bytes 5000-{len(MP4) - 1}/{len(MP4)}"
            await send(head(206, len(MP4) - 5000, Content_Range=span) + MP4[5000:])
        else:
            await send(head(length=len(MP4), Last_Modified=date, Accept_Ranges="bytes"))
            await send(MP4[:5000])

    assert fetch(tmp_path, handle).got.sha256 == SHA256


def test_a_server_that_ignores_ranges_makes_it_start_over(tmp_path):
    trip = fetch(tmp_path, answers(Ranged(40_000), answer()))

    assert "range" in trip.requests[1].headers
    assert trip.target.read_bytes() == MP4
    assert trip.got.sha256 == SHA256
    assert trip.got.downloaded_bytes == len(MP4) + 40_000


def test_a_file_that_changed_meanwhile_starts_over(tmp_path):
    changed = MP4[:-100] + bytes(200)
    trip = fetch(tmp_path, answers(Ranged(40_000), Ranged(etag='"two"', body=changed)))

    assert trip.target.read_bytes() == changed
    assert trip.got.sha256 == hashlib.sha256(changed).hexdigest()


@pytest.mark.parametrize(
    "wrong",
    [
        {"ETag": '"two"', "Content_Range": f"bytes 40000-{len(MP4) - 1}/{len(MP4)}"},
        {"ETag": '"one"', "Content_Range": f"bytes 39999-{len(MP4) - 1}/{len(MP4)}"},
        {"ETag": '"one"', "Content_Range": f"bytes 40000-{len(MP4)}/{len(MP4) + 1}"},
        {"ETag": '"one"', "Content_Range": "bytes 40000-50000/*"},
        {"ETag": '"one"'},
    ],
    ids=["other etag", "other start", "other size", "unknown size", "no range"],
)
def test_a_partial_answer_that_does_not_fit_is_not_glued_on(tmp_path, wrong):
    misfit = answer(MP4[40_000:], 206, **wrong)
    trip = fetch(tmp_path, answers(Ranged(40_000), misfit, answer()))

    assert trip.got.sha256 == SHA256
    assert "range" not in trip.requests[2].headers


def test_a_range_beyond_the_end_starts_over(tmp_path):
    trip = fetch(tmp_path, answers(Ranged(40_000), answer(b"", 416), answer()))

    assert trip.got.sha256 == SHA256
    assert "range" not in trip.requests[2].headers


def test_a_server_that_compresses_anyway_is_understood(tmp_path):
    packed = gzip.compress(MP4)
    got = fetch(tmp_path, answer(packed, Content_Encoding="gzip")).got

    assert (got.sha256, got.size, got.downloaded_bytes) == (SHA256, len(MP4), len(packed))
    packed = zlib.compress(MP4)
    assert fetch(tmp_path, answer(packed, Content_Encoding="deflate")).got.sha256 == SHA256


@pytest.mark.parametrize(
    ("body", "encoding", "error_class"),
    [
        (gzip.compress(MP4)[:-2000], "gzip", "truncated"),
        (MP4, "gzip", "bad_response"),
        (MP4, "br", "bad_response"),
        (gzip.compress(b""), "gzip", "empty_body"),
    ],
)
def test_bad_compression_is_a_failure(tmp_path, body, encoding, error_class):
    trip = fetch(tmp_path, answer(body, Content_Encoding=encoding), retries=0)
    assert trip.failed.error_class == error_class


def test_a_gzip_bomb_meets_the_limit_in_little_memory(tmp_path):
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(MP4[:8000])
    for _ in range(300):
        bomb += packer.compress(bytes(1 << 20))
    bomb += packer.flush()
    tracemalloc.start()
    trip = fetch(tmp_path, answer(bomb, Content_Encoding="gzip"), max_bytes=20_000_000)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert trip.failed.error_class == "too_large"
    assert peak_bytes < 16_000_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Robots-Tag", "noai"),
        ("X-Robots-Tag", "nofollow, NoImageAI"),
        ("X-Robots-Tag", "clipmill: noai"),
        ("tdm-reservation", "1"),
        ("Content-Usage", "train-ai=n"),
    ],
)
def test_a_publisher_who_opts_out_is_heeded_before_the_body_is_read(tmp_path, name, value):
    async def headers_only(_request: Request, send: Send) -> None:
        await send(head(length=len(MP4), **{name: value}))
        await asyncio.sleep(60)

    trip = fetch(tmp_path, headers_only)

    assert trip.failed.error_class == "opt_out"
    assert not trip.failed.retryable
    assert trip.failed.details["downloaded_bytes"] == 0
    assert name in trip.failed.message


def test_heeding_opt_outs_can_be_switched_off(tmp_path):
    assert fetch(tmp_path, answer(X_Robots_Tag="noai"), respect_opt_out=False).got.size


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/vidéo ü.mp4", "/vid%C3%A9o%20%C3%BC.mp4"),
        ("/視頻.mp4?名=值", "/%E8%A6%96%E9%A0%BB.mp4?%E5%90%8D=%E5%80%BC"),
        ("/a%2Fb%20c.mp4?sig=x%2By%3D&t=~%7E+%20", "/a%2Fb%20c.mp4?sig=x%2By%3D&t=~%7E+%20"),
    ],
)
def test_urls_are_sent_as_given_and_else_as_browsers_would(tmp_path, path, sent):
    async def go():
        async with Server({sent.partition("?")[0]: answer()}) as server:
            return await fetch_one(server, tmp_path, server.url(path) + "#fragment")

    trip = asyncio.run(go())
    assert trip.got.size
    assert trip.requests[0].target == sent


def test_no_more_transfers_at_a_time_than_a_host_is_to_bear(tmp_path):
    now, most = 0, 0

    async def slow(_request: Request, send: Send) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.03)
        now -= 1
        await send(head(length=len(MP4)) + MP4)

    async def go():
        async with Server({"/v.mp4": slow}) as server:
            fetcher = HttpFetcher(options(concurrency_per_host=3))
            await asyncio.gather(
                *(
                    fetcher.fetch(FetchRequest(server.url(), tmp_path / str(i)), Budget())
                    for i in range(12)
                )
            )
            await fetcher.close()

    asyncio.run(go())
    assert most == 3


def test_connections_are_used_again(tmp_path):
    class KeepsAlive(Server):
        def hangs_up(self, _request: Request) -> bool:
            return False

    async def go():
        async with KeepsAlive({"/v.mp4": answer()}) as server:
            fetcher = HttpFetcher(options())
            for i in range(5):
                await fetcher.fetch(FetchRequest(server.url(), tmp_path / str(i)), Budget())
            await fetcher.close()
            return server.connections

    assert asyncio.run(go()) == 1


def test_the_budget_is_asked_before_writing_and_its_wait_does_not_count(tmp_path):
    class Full(Budget):
        async def reserve(self, size: int) -> None:
            assert not target.exists()
            await asyncio.sleep(0.5)
            await super().reserve(size)

    target, budget = tmp_path / "v", Full()

    async def go():
        async with Server({"/v.mp4": answer()}) as server:
            fetcher = HttpFetcher(options(total_timeout_seconds=0.4))
            got = await fetcher.fetch(FetchRequest(server.url(), target), budget)
            await fetcher.close()
            return got

    got = asyncio.run(go())
    assert budget.reserved == [len(MP4)]
    assert got.seconds < 0.4


def test_unknown_sizes_are_reserved_in_steps(tmp_path):
    async def chunked(_request: Request, send: Send) -> None:
        await send(head(Transfer_Encoding="chunked"))
        for part in (MP4, *[bytes(500_000)] * 4):
            await send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        await send(b"0\r\n\r\n")

    trip = fetch(tmp_path, chunked)
    assert trip.got.size == len(MP4) + 2_000_000
    assert sum(trip.reserved) >= trip.got.size
    assert len(trip.reserved) == 3


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


def test_errors_survive_the_way_between_processes(tmp_path):
    failed = fetch(tmp_path, answer(b"", 404)).failed
    copy = pickle.loads(pickle.dumps(failed))
    assert isinstance(copy, DownloadError)
    assert (copy.details, copy.retryable) == (failed.details, failed.retryable)
