"""Bodies that break off, change, or come compressed: what is on disk in the end is right."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import tracemalloc
import zlib

import pytest

from clipmill.fetch.base import FetchRequest
from clipmill.fetch.http import HttpFetcher
from fetch_server import MP4, Budget, Request, Send, Server, answer, answers, fetch, head, options

SHA256 = hashlib.sha256(MP4).hexdigest()


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
            await send(
                head(206, len(MP4) - 5000, Content_Range=span, Last_Modified=date) + MP4[5000:]
            )
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
    in_two = gzip.compress(MP4[:50_000]) + gzip.compress(MP4[50_000:])
    assert fetch(tmp_path, answer(in_two, Content_Encoding="gzip")).got.sha256 == SHA256
    packed = zlib.compress(MP4)
    assert fetch(tmp_path, answer(packed, Content_Encoding="deflate")).got.sha256 == SHA256


@pytest.mark.parametrize(
    ("body", "encoding", "error_class"),
    [
        (gzip.compress(MP4, mtime=0)[:-2000], "gzip", "truncated"),
        (MP4, "gzip", "bad_response"),
        (MP4, "br", "bad_response"),
        (gzip.compress(b"", mtime=0), "gzip", "empty_body"),
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


@pytest.mark.parametrize("more", [{}, {"ETag": '"two"'}], ids=["none", "another"])
def test_a_rest_that_does_not_show_the_same_etag_is_not_put_to_the_start(tmp_path, more):
    async def handle(request: Request, send: Send) -> None:
        if "range" in request.headers:
            span = f"bytes 5000-{len(MP4) - 1}/{len(MP4)}"
            rest = bytes(len(MP4) - 5000)
            await send(head(206, len(rest), Content_Range=span, **more) + rest)
        else:
            await send(head(length=len(MP4), ETag='"one"', Accept_Ranges="bytes") + MP4[:5000])

    assert fetch(tmp_path, handle, retries=1).failed.error_class == "truncated"


@pytest.mark.parametrize("etag", ['"a\x0bb"', '"ÿ"'])
def test_an_etag_that_cannot_be_sent_back_is_not(tmp_path, etag):
    whole = answer(ETag=etag, Accept_Ranges="bytes")

    async def stop_early(_request: Request, send: Send) -> None:
        await send(head(length=len(MP4), ETag=etag, Accept_Ranges="bytes") + MP4[:5000])

    trip = fetch(tmp_path, answers(stop_early, whole))

    assert trip.got.sha256 == SHA256
    assert "range" not in trip.requests[1].headers


def test_what_lay_there_before_is_written_over_and_cut_off(tmp_path):
    target = tmp_path / "used-before"
    target.write_bytes(bytes(len(MP4) + 9))

    async def stop_early(_request: Request, send: Send) -> None:
        await send(head(length=len(MP4)) + MP4[:50_000])

    async def go() -> None:
        async with Server({"/v.mp4": answers(stop_early, answer())}) as server:
            fetcher = HttpFetcher(options())
            await fetcher.fetch(FetchRequest(server.url(), target), Budget())
            await fetcher.close()

    asyncio.run(go())
    assert target.read_bytes() == MP4
