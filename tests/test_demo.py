"""The demo: its misbehaving server, and the whole of `clipmill demo`."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from clipmill.demo.faults import FAULTS
from clipmill.demo.server import Origin

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    (tmp_path / "in").mkdir()
    (tmp_path / "a.mp4").write_bytes(CONTENT)
    (tmp_path / "in" / "sehr schön.mp4").write_bytes(b"deeper")
    with Origin(tmp_path) as origin:
        yield origin


def get(url: str, **headers: str) -> http.client.HTTPResponse:
    answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5)
    assert isinstance(answer, http.client.HTTPResponse)
    return answer


def status(url: str) -> int:
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(url)
    with caught.value as error:
        return error.code


def test_files_are_served_with_length_etag_and_ranges(origin: Origin) -> None:
    with get(origin.url("a.mp4")) as answer:
        assert answer.read() == CONTENT
        assert answer.headers["Content-Length"] == str(len(CONTENT))
        assert answer.headers["ETag"]
    with get(origin.url("a.mp4"), Range="bytes=100-109") as answer:
        assert answer.status == 206
        assert answer.read() == CONTENT[100:110]
    with get(origin.url("in/sehr schön.mp4")) as answer:
        assert answer.read() == b"deeper"


def test_every_request_is_logged(origin: Origin) -> None:
    for url in (origin.url("a.mp4"), origin.url("a.mp4", "opt-out")):
        with get(url, Range="bytes=0-9"):
            pass
    assert [asked.path for asked in origin.requests] == [
        "/files/a.mp4",
        "/fault/opt-out/a.mp4",
    ]
    assert origin.requests[0].headers["Range"] == "bytes=0-9"
    assert origin.count("a.mp4") == 2
    assert origin.count("b.mp4") == 0


@pytest.mark.parametrize("name", ["b.mp4", "../secret", "in/../../secret", "in"])
def test_only_files_of_the_folder_are_served(origin: Origin, tmp_path: Path, name: str) -> None:
    (tmp_path.parent / "secret").write_text("not for you")
    assert status(origin.url(name)) == 404


def test_an_unknown_fault_is_named(origin: Origin) -> None:
    with pytest.raises(KeyError, match=r"no fault 'trunctated'.*truncated"):
        origin.url("a.mp4", "trunctated")


@pytest.mark.parametrize(
    ("fault", "code"), [("missing", 404), ("gone", 410), ("forbidden", 403), ("broken", 500)]
)
def test_refusals(origin: Origin, fault: str, code: int) -> None:
    assert status(origin.url("a.mp4", fault)) == code


def test_flaky_and_busy_fail_as_often_as_asked_then_work(origin: Origin) -> None:
    flaky = origin.url("a.mp4", "flaky", times=2)
    assert [status(flaky), status(flaky)] == [503, 503]
    busy = origin.url("a.mp4", "busy", seconds=7)
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(busy)
    with caught.value as error:
        assert (error.code, error.headers["Retry-After"]) == (429, "7")
    for url in (flaky, busy):
        with get(url) as answer:
            assert answer.read() == CONTENT


def test_slow_is_whole_but_takes_its_time(origin: Origin) -> None:
    started = time.monotonic()
    with get(origin.url("a.mp4", "slow", seconds=0.4)) as answer:
        assert answer.read() == CONTENT
    assert time.monotonic() - started >= 0.4


def test_truncated_hangs_up_every_time(origin: Origin) -> None:
    for _ in range(2):
        with get(origin.url("a.mp4", "truncated")) as answer:
            assert answer.headers["Content-Length"] == str(len(CONTENT))
            with pytest.raises(http.client.IncompleteRead) as caught:
                answer.read()
        assert caught.value.partial == CONTENT[: len(CONTENT) // 2]


def test_interrupted_can_be_resumed(origin: Origin) -> None:
    url = origin.url("a.mp4", "interrupted")
    with get(url) as answer:
        etag = answer.headers["ETag"]
        with pytest.raises(http.client.IncompleteRead) as caught:
            answer.read()
    got = caught.value.partial
    with get(url, **{"Range": f"bytes={len(got)}-", "If-Range": etag}) as answer:
        assert answer.status == 206
        assert answer.headers["ETag"] == etag
        assert got + answer.read() == CONTENT


def test_wrong_length_announces_half(origin: Origin) -> None:
    with get(origin.url("a.mp4", "wrong-length")) as answer:
        assert answer.headers["Content-Length"] == str(len(CONTENT) // 2)
        assert answer.read() == CONTENT[: len(CONTENT) // 2]


@pytest.mark.parametrize("fault", ["stalled", "silent"])
def test_some_never_finish(origin: Origin, fault: str) -> None:
    request = urllib.request.Request(origin.url("a.mp4", fault))
    with pytest.raises(TimeoutError):
        with urllib.request.urlopen(request, timeout=0.3) as answer:
            answer.read()


def test_what_is_not_a_video(origin: Origin) -> None:
    with get(origin.url("a.mp4", "html")) as answer:
        assert answer.headers["Content-Type"].startswith("video/mp4")
        assert answer.read().startswith(b"<!DOCTYPE html>")
    with get(origin.url("a.mp4", "empty")) as answer:
        assert answer.read() == b""


def test_redirects(origin: Origin) -> None:
    assert status(origin.url("a.mp4", "loop")) == 302
    with get(origin.url("a.mp4", "redirect")) as answer:
        assert answer.read() == CONTENT
    connection = http.client.HTTPConnection("127.0.0.1", origin.port, timeout=5)
    connection.request("GET", "/fault/private/a.mp4")
    assert connection.getresponse().headers["Location"].startswith("http://169.254.169.254/")
    connection.close()


def test_the_bomb_is_small_and_unpacks_to_what_was_asked(origin: Origin) -> None:
    with get(origin.url("a.mp4", "bomb", bytes=50_000_000)) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        packed = answer.read()
    assert len(packed) < 100_000
    assert len(zlib.decompressobj(wbits=31).decompress(packed)) > 50_000_000


@pytest.mark.parametrize("fault", ["endless", "too-large"])
def test_more_than_anyone_wants(origin: Origin, fault: str) -> None:
    with get(origin.url("a.mp4", fault)) as answer:
        assert int(answer.headers.get("Content-Length", 3_000_000_000)) == 3_000_000_000
        assert answer.read(100)[4:8] == b"ftyp"


def test_opt_out_is_told_in_a_header(origin: Origin) -> None:
    with get(origin.url("a.mp4", "opt-out")) as answer:
        assert answer.headers["X-Robots-Tag"] == "noai"


def test_every_fault_says_what_it_does() -> None:
    assert all(fault.__doc__ for fault in FAULTS.values())


@pytest.mark.slow
def test_the_demo_runs_from_beginning_to_end(tmp_path: Path) -> None:
    told = demo(tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "$ clipmill download " in told.stdout
    table = pq.read_table(sorted((tmp_path / "demo" / "raw").glob("*.parquet")))
    outcomes = {row["caption"]: row["error_class"] or row["status"] for row in table.to_pylist()}
    assert len(table) == 17
    assert {caption: why for caption, why in outcomes.items() if why != "success"} == {
        "vp8.webm": "container_mismatch",  # its codec may not be in an mp4
        "is missing": "http_status",
        "is HTML": "not_media",
        "breaks off": "truncated",
        "has no link": "invalid_url",
    }
    assert outcomes["comes slowly"] == "success"
    assert outcomes["fails first"] == "success"


def demo(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clipmill", "demo"], cwd=folder, capture_output=True, text=True
    )


def test_the_demo_replaces_only_what_it_made(tmp_path: Path) -> None:
    precious = tmp_path / "demo" / "raw" / "precious.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("mine")
    told = demo(tmp_path)
    assert told.returncode == 2
    assert "not made by clipmill demo" in told.stderr
    assert precious.read_text() == "mine"
