"""Files from web servers, as well-behaved and as broken as they come."""

from __future__ import annotations

import asyncio
import hashlib
import time

import pytest

from clipmill.core.errors import DownloadError
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
