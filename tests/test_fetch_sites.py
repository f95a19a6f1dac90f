"""Videos on pages, fetched by the real yt-dlp from a server on this machine."""

import asyncio
import hashlib
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import av
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from clipmill.core.errors import DownloadError, RecipeError, UserError
from clipmill.core.sample import Subtitle
from clipmill.demo.media import make_audio, make_video, read_frame_number
from clipmill.fetch.base import Fetched, FetchRequest
from clipmill.fetch.options import FetchOptions
from clipmill.fetch.sites import SitesFetcher
from clipmill.fetch.sites_child import SitesChild
from clipmill.fetch.sites_errors import explain
from clipmill.fetch.sites_formats import choose_formats
from clipmill.fetch.sites_info import clean_info

pytest.importorskip("yt_dlp")

MASTER = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="main",DEFAULT=YES,URI="sound.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=100000,RESOLUTION=128x96,CODECS="avc1.42c00a,mp4a.40.2",AUDIO="sound"
low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=256x192,CODECS="avc1.42c00a,mp4a.40.2",AUDIO="sound"
high.m3u8
"""
PLAYLIST = """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:2
#EXT-X-PLAYLIST-TYPE:VOD
#EXTINF:2.0,
{segment}
#EXT-X-ENDLIST
"""
CUES = "WEBVTT\n\n00:01.000 --> 00:02.000\n{text}\n"


def page(*sources: str, title: str = "A page", tracks: str = "") -> str:
    videos = "".join(f'<video src="{source}">{tracks}</video>' for source in sources)
    return f"<html><head><title>{title}</title></head><body>{videos}</body></html>"


def track(language: str, url: str) -> str:
    return f'<track kind="subtitles" srclang="{language}" src="{url}">'


class Site:
    """A server of pages, and fetchers in the same event loop."""

    def __init__(self, files: dict[str, bytes], runner: asyncio.Runner) -> None:
        self.files = files
        self.runner = runner
        self.requests: Counter[str] = Counter()
        self.seen: dict[str, web.Request] = {}
        self.base = ""
        self.is_stuck = True

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.path.lstrip("/")
        self.requests[name] += 1
        self.seen[name] = request
        if name.isdigit():
            return web.Response(status=int(name), text="refused")
        if name == "redirect":
            raise web.HTTPFound(request.query["to"])
        if name == "stuck.mp4" and not self.is_stuck:
            name = "a.mp4"
        if name in ("endless.mp4", "stuck.mp4"):
            return await self._endless(request, stuck=name == "stuck.mp4")
        if name not in self.files:
            raise web.HTTPNotFound
        kinds = {"html": "text/html", "mp4": "video/mp4", "vtt": "text/vtt"}
        kind = kinds.get(name.rpartition(".")[2], "application/octet-stream")
        body = self.files[name]
        span = request.http_range
        if name.startswith("ranged") and (span.start is not None or span.stop is not None):
            start, stop, _ = slice(span.start, span.stop).indices(len(body))
            headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(body)}"}
            return web.Response(
                status=206, body=body[start:stop], content_type=kind, headers=headers
            )
        return web.Response(body=body, content_type=kind)

    async def _endless(self, request: web.Request, *, stuck: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        await response.prepare(request)
        await response.write(self.files["a.mp4"])
        try:
            while stuck and request.transport is not None:
                await asyncio.sleep(0.01)
            for _ in range(400):
                await response.write(bytes(50_000))
        except ConnectionError:
            pass
        return response

    def run(self, work):
        return self.runner.run(work)


class Unlimited:
    def __init__(self) -> None:
        self.reserved = 0

    async def reserve(self, size: int) -> None:
        self.reserved += size

    def is_next(self) -> bool:
        return False


def options(**changes) -> FetchOptions:
    defaults = {"allow_private_addresses": True, "retries": 0, "backoff_seconds": 0.01}
    return FetchOptions(**{**defaults, **changes})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    files = {
        "a.mp4": make_video(folder / "a.mp4", seconds=2).read_bytes(),
        "low.ts": make_video(folder / "low.ts", audio=None).read_bytes(),
        "high.ts": make_video(folder / "high.ts", audio=None, width=256, height=192).read_bytes(),
        "sound.ts": make_audio(folder / "sound.ts").read_bytes(),
        "master.m3u8": MASTER.encode(),
        "page.html": page("/a.mp4", title="My video").encode(),
        "hls.html": page("/master.m3u8").encode(),
        "two.html": page("/a.mp4", "/b.mp4").encode(),
        "text.html": b"<html><body>Only words.</body></html>",
        "not-a-video.html": page("/text.mp4").encode(),
        "text.mp4": b"<html><body>Only words.</body></html>",
        "en.vtt": CUES.format(text="Hello").encode(),
        "de.vtt": CUES.format(text="Hallo").encode(),
        "broken.vtt": b"<html>Not found</html>",
    }
    files["ranged.mp4"] = make_video(folder / "r.mp4", seconds=20, gop=10).read_bytes()
    for name in ("low", "high", "sound"):
        files[f"{name}.m3u8"] = PLAYLIST.format(segment=f"{name}.ts").encode()
    with asyncio.Runner() as runner:
        site = Site(files, runner)
        app = web.Application()
        app.router.add_get("/{name:.*}", site.answer)
        server = TestServer(app)
        site.run(server.start_server())
        site.base = str(server.make_url("")).rstrip("/")
        yield site
        site.run(server.close())


@pytest.fixture(scope="module")
def shared(site):
    """A fetcher that keeps its child process from test to test, as in a run."""

    async def make() -> SitesFetcher:
        return SitesFetcher(options(site_info=True))

    fetcher = site.run(make())
    yield fetcher
    site.run(fetcher.close())


@pytest.fixture
def target(tmp_path):
    return tmp_path / "source"


async def fetch(
    site: Site, fetcher: SitesFetcher, url: str, target: Path, modalities=("video",), spans=()
) -> Fetched:
    full = url if "://" in url else f"{site.base}/{url}"
    return await fetcher.fetch(FetchRequest(full, target, modalities, spans), Unlimited())


def fetch_with(site: Site, url: str, target: Path, modalities=("video",), spans=(), **changes):
    """Fetch one URL with a fetcher of its own."""

    async def run() -> Fetched:
        fetcher = SitesFetcher(options(**changes))
        try:
            return await fetch(site, fetcher, url, target, modalities, spans)
        finally:
            await fetcher.close()

    return site.run(run())


def failure(site: Site, url: str, target: Path, fetcher: SitesFetcher | None = None, **changes):
    def run() -> Fetched:
        if fetcher:
            return site.run(fetch(site, fetcher, url, target))
        return fetch_with(site, url, target, **changes)

    with pytest.raises(DownloadError) as caught:
        run()
    assert list(target.parent.iterdir()) == [], "something was left behind"
    assert caught.value.details["fetcher"] == "sites"
    return caught.value


def streams(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [stream.type for stream in container.streams]


def test_a_page_is_extracted_once(site, shared, target):
    site.requests.clear()
    fetched = site.run(fetch(site, shared, "page.html", target))
    assert target.read_bytes() == site.files["a.mp4"]
    assert fetched.sha256 == hashlib.sha256(site.files["a.mp4"]).hexdigest()
    assert fetched.size == fetched.downloaded_bytes == len(site.files["a.mp4"])
    assert (fetched.extension, fetched.fetcher, fetched.attempts) == ("mp4", "sites", 1)
    assert fetched.final_url == f"{site.base}/page.html"
    assert site.requests == {"page.html": 1, "a.mp4": 1}
    assert fetched.info["title"].startswith("My video")
    assert fetched.info["extractor"] == "html5"
    assert not {"formats", "url", "http_headers", "epoch"} & set(fetched.info)
    assert list(target.parent.iterdir()) == [target]


def test_a_direct_link_works_too(site, shared, target):
    site.run(fetch(site, shared, "a.mp4", target))
    assert target.read_bytes() == site.files["a.mp4"]


def test_one_child_process_serves_many_urls(site, shared, tmp_path):
    async def two() -> set[int]:
        children = set()
        for name in ("one", "two"):
            await fetch(site, shared, "page.html", tmp_path / name)
            children |= {child.pid for child in shared._idle}
        return children

    assert len(site.run(two())) == 1


def test_only_metadata_wanted_fetches_no_media(site, shared, target):
    site.requests.clear()
    fetched = site.run(fetch(site, shared, "page.html", target, modalities=()))
    assert fetched.path is None
    assert fetched.info["title"].startswith("My video")
    assert site.requests == {"page.html": 1}


@pytest.mark.parametrize(("max_height", "width"), [(96, 128), (100, 256), (1080, 256)])
def test_pictures_and_sound_kept_apart_are_both_fetched(site, target, max_height, width):
    fetched = fetch_with(site, "hls.html", target, max_height=max_height)
    assert streams(target) == ["video"]
    with av.open(str(target)) as container:
        assert container.streams.video[0].width == width
    assert fetched.audio_path == target.with_name("source.audio")
    assert streams(fetched.audio_path) == ["audio"]
    assert set(target.parent.iterdir()) == {target, fetched.audio_path}


def test_audio_alone_leaves_the_pictures_where_they_are(site, shared, target):
    site.requests.clear()
    fetched = site.run(fetch(site, shared, "hls.html", target, modalities=("audio",)))
    assert streams(target) == ["audio"]
    assert fetched.audio_path is None
    assert not {"low.ts", "high.ts"} & set(site.requests)


def subtitled(site: Site, **languages: str) -> str:
    tracks = "".join(track(language.replace("_", "-"), url) for language, url in languages.items())
    site.files["subtitled.html"] = page("/a.mp4", tracks=tracks).encode()
    return "subtitled.html"


def test_subtitles_in_all_languages_wanted(site, target):
    url = subtitled(site, de="/de.vtt", en_GB="/en.vtt", fr="/nowhere.vtt")
    fetched = fetch_with(
        site, url, target, subtitles="all", subtitle_languages=["en", "de", "fr", "es"]
    )
    assert fetched.subtitles == [
        Subtitle("en-GB", 1.0, 2.0, "Hello"),
        Subtitle("de", 1.0, 2.0, "Hallo"),
    ]
    assert len(fetched.notes) == 1
    assert "Subtitles in fr cannot be had" in fetched.notes[0]
    assert "404" in fetched.notes[0]


def test_the_first_subtitles_that_can_be_read(site, target):
    url = subtitled(site, de="/de.vtt", en="/broken.vtt", fr="/en.vtt")
    fetched = fetch_with(
        site, url, target, subtitles="first", subtitle_languages=["en", "de", "fr"]
    )
    assert [line.text for line in fetched.subtitles] == ["Hallo"]
    assert "WEBVTT" in fetched.notes[0]
    assert target.exists()


def test_subtitles_are_not_fetched_unless_wanted(site, shared, target):
    site.requests.clear()
    site.run(fetch(site, shared, subtitled(site, en="/en.vtt"), target))
    assert "en.vtt" not in site.requests


@pytest.mark.parametrize(
    ("url", "error_class", "says"),
    [
        ("nowhere.html", "unavailable", "404"),
        ("403", "access_denied", "--cookies-file"),
        ("503", "http_status", "503"),
        ("429", "rate_limited", "429"),
        ("text.html", "unsupported_url", "Unsupported URL"),
        ("two.html", "playlist", "2 videos"),
        ("not-a-video.html", "not_media", "html"),
        ("ftp://127.0.0.1/a.mp4", "unsupported_scheme", "ftp"),
        ("file:///etc/passwd", "unsupported_scheme", "file"),
        ("http://127.0.0.1:9/a.mp4", "connect", "refused"),
        ("http://no-such-host.invalid/a", "dns", "no-such-host.invalid"),
        ("page.html#__youtubedl_smuggle=%7B%7D", "invalid_url", "smuggles"),
    ],
)
def test_failures_keep_the_real_words(site, shared, target, url, error_class, says):
    error = failure(site, url, target, shared)
    assert error.error_class == error_class
    assert says in error.message
    assert "ERROR" not in error.message
    assert "github.com" not in error.message


@pytest.mark.parametrize("method", ["SAMPLE-AES", "AES-128"])
def test_streams_that_yt_dlp_cannot_decrypt_are_not_left_to_ffmpeg(
    site, target, tmp_path, monkeypatch, method
):
    """It would connect by itself, wherever the playlist says."""
    program, started = tmp_path / "bin" / "ffmpeg", tmp_path / "started"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ "$1" = -bsfs ] || [ "$1" = -version ] || touch {started}\n'
        "echo ffmpeg version 7.0 Copyright\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    key = f'#EXT-X-KEY:METHOD={method},URI="http://127.0.0.1:9/key"\n#EXTINF:2.0,'
    site.files["locked.m3u8"] = (
        PLAYLIST.replace("#EXTINF:2.0,", key).format(segment="a.ts").encode()
    )
    with pytest.raises(DownloadError) as raised:
        fetch_with(site, "locked.m3u8", target)
    assert not started.exists()
    if method == "SAMPLE-AES":
        assert raised.value.error_class == "unsupported_url"
        assert "pycryptodomex" in raised.value.message


def test_http_status_of_a_failure_is_recorded(site, shared, target):
    error = failure(site, "503", target, shared)
    assert error.details["http_status"] == 503
    assert error.retryable


def test_a_failure_that_may_pass_is_tried_again(site, target):
    site.requests.clear()
    error = failure(site, "503", target, retries=2)
    assert error.details["attempts"] == 3


def test_live_streams_are_refused(site, shared, target):
    site.files["live.m3u8"] = PLAYLIST.replace("#EXT-X-ENDLIST\n", "").replace(
        "#EXT-X-PLAYLIST-TYPE:VOD\n", ""
    ).format(segment="low.ts").encode()  # fmt: skip
    error = failure(site, "live.m3u8", target, shared)
    assert (error.error_class, error.retryable) == ("live_stream", True)
    assert error.details["attempts"] == 1


def test_what_is_announced_too_large_is_not_fetched(site, target):
    error = failure(site, "page.html", target, max_bytes=10_000)
    assert error.error_class == "too_large"
    assert "--max-bytes" in error.message


def test_a_body_without_end_is_stopped_at_the_limit(site, target):
    error = failure(site, "endless.mp4", target, max_bytes=1_000_000)
    assert error.error_class == "too_large"
    assert error.details["downloaded_bytes"] < 5_000_000


def test_room_on_disk_is_asked_for_before_it_is_taken(site, shared, target):
    budget = Unlimited()

    async def run() -> None:
        await shared.fetch(FetchRequest(f"{site.base}/page.html", target), budget)

    site.run(run())
    assert budget.reserved == len(site.files["a.mp4"])


def test_cookies_are_sent_and_their_file_stays_as_it_is(site, target, tmp_path_factory):
    cookies = tmp_path_factory.mktemp("c") / "cookies.txt"
    text = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tsecret\n"
    cookies.write_text(text)
    fetch_with(site, "page.html", target, cookies_file=str(cookies))
    assert site.seen["page.html"].cookies == {"session": "secret"}
    assert site.seen["a.mp4"].cookies == {"session": "secret"}
    assert cookies.read_text() == text


def test_an_unreadable_cookies_file_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="Netscape"):
        SitesFetcher(options(cookies_file=str(tmp_path / "missing.txt")))


def test_everything_goes_through_the_proxy(site, target):
    fetch_with(site, "http://public.invalid/page.html", target, proxy=site.base)
    assert target.read_bytes() == site.files["a.mp4"]
    assert site.seen["a.mp4"].headers["Host"] == "public.invalid"


def test_the_rate_limit_slows_a_transfer_down(site, target):
    started = time.monotonic()
    fetch_with(site, "a.mp4", target, rate_limit_bytes_per_second=len(site.files["a.mp4"]))
    assert time.monotonic() - started > 0.8


def test_a_user_agent_is_sent_when_somebody_chose_one(site, target):
    fetch_with(site, "page.html", target, user_agent="lab/1.0 (mail@example.org)")
    assert site.seen["a.mp4"].headers["User-Agent"] == "lab/1.0 (mail@example.org)"


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"exec_cmd": "id"}, "run commands"),
        ({"postprocessors": [{"key": "Exec"}]}, "may not"),
        ({"netrc_cmd": "id"}, "may not"),
        ({"external_downloader": "curl"}, "may not"),
        ({"outtmpl": "/etc/x"}, "may not"),
        ({"proxy": "http://x"}, "set proxy"),
        ({"format": "best"}, "max_height"),
        ({"sleep_interval_request": 1}, "sleep_interval_requests"),
    ],
)
def test_options_of_yt_dlp_that_are_unsafe_or_ours_are_refused(option, says):
    with pytest.raises(RecipeError, match=says):
        SitesFetcher(options(site_options=option))


def test_other_options_of_yt_dlp_are_passed_on(site, target):
    fetch_with(site, "page.html", target, site_options={"http_headers": {"X-Lab": "yes"}})
    assert site.seen["page.html"].headers["X-Lab"] == "yes"


def test_without_yt_dlp_the_row_says_what_to_install(site, target, monkeypatch):
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    error = failure(site, "page.html", target)
    assert error.error_class == "missing_extra"
    assert 'pip install "clipmill[ytdlp]"' in error.message


def test_private_addresses_are_refused_by_number(site, target):
    assert failure(site, "page.html", target, allow_private_addresses=False).error_class == (
        "forbidden_address"
    )


def test_private_addresses_are_refused_behind_names_and_redirects(site, target):
    """The child trusts one host, as it does a proxy's; that host redirects to another name."""

    async def run() -> dict:
        setup = {
            "params": {"proxy": ""},
            "cookies": None,
            "allow_private_addresses": False,
            "proxy_host": "127.0.0.1",
        }
        child = await SitesChild.start(setup)
        job = SitesFetcher(options())._job(
            FetchRequest(f"{site.base}/redirect?to={elsewhere}", target), target.parent
        )
        try:
            return await child.run(job, None)
        finally:
            await child.kill()

    elsewhere = site.base.replace("127.0.0.1", "localhost") + "/a.mp4"
    site.requests.clear()
    answer = site.run(run())
    assert answer["error_class"] == "forbidden_address"
    assert "localhost" in answer["message"]
    assert site.requests == {"redirect": 1}


async def wait_for(condition) -> None:
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nothing happened for 30 s")


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" if Path("/proc").exists() else True
    )


def test_a_deadline_kills_the_child_and_the_next_url_gets_a_new_one(site, tmp_path, target):
    async def run() -> None:
        patient, hurried = SitesFetcher(options()), SitesFetcher(options(total_timeout_seconds=0.5))
        try:
            await fetch(site, patient, "page.html", tmp_path / "before")
            (tmp_path / "before").unlink()
            # Starting a process takes longer than that on a busy machine.
            hurried._idle, patient._idle = patient._idle, []
            (first,) = hurried._idle
            with pytest.raises(DownloadError) as caught:
                await fetch(site, hurried, "stuck.mp4", target)
            assert caught.value.error_class == "timeout"
            assert list(tmp_path.iterdir()) == []
            assert not is_running(first.pid)
            assert hurried._idle == []
            await fetch(site, patient, "page.html", target)
        finally:
            await patient.close()
            await hurried.close()

    site.run(run())
    assert target.read_bytes() == site.files["a.mp4"]


def pid_of_child() -> int:
    """Process id of the one child of this process that serves sites."""
    # -ww: without it, ps may cut the line at 80 characters, wherever the interpreter lies.
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines() if "sites_process" in line]
    (pid,) = [int(row[0]) for row in rows if row[1] == str(os.getpid())]
    return pid


def test_a_child_killed_in_the_middle_leaves_nothing_and_costs_one_more_try(site, target, shared):
    async def run() -> Fetched:
        await shared.close()
        fetcher = SitesFetcher(options(retries=1))
        fetching = asyncio.ensure_future(fetch(site, fetcher, "stuck.mp4", target))
        await wait_for(lambda: list(target.parent.glob(".source.sites-*/*")))
        try:
            pid = pid_of_child()
            site.is_stuck = False
            os.kill(pid, signal.SIGKILL)
            return await fetching
        finally:
            site.is_stuck = True
            await fetcher.close()

    fetched = site.run(run())
    assert fetched.attempts == 2
    assert target.read_bytes() == site.files["a.mp4"]
    assert list(target.parent.iterdir()) == [target]


def test_cancelling_leaves_nothing(site, target):
    async def run() -> None:
        fetcher = SitesFetcher(options())
        fetching = asyncio.ensure_future(fetch(site, fetcher, "stuck.mp4", target))
        await wait_for(lambda: list(target.parent.glob(".source.sites-*/*")))
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        await fetcher.close()

    site.run(run())
    assert list(target.parent.iterdir()) == []


def test_a_worker_that_dies_takes_its_child_and_half_files_along(site, target):
    script = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from clipmill.fetch.base import FetchRequest
        from clipmill.fetch.options import FetchOptions
        from clipmill.fetch.sites import SitesFetcher

        class Unlimited:
            async def reserve(self, size): pass
            def is_next(self): return False

        async def main():
            fetcher = SitesFetcher(FetchOptions(allow_private_addresses=True))
            await fetcher.fetch(FetchRequest(sys.argv[1], Path(sys.argv[2])), Unlimited())

        asyncio.run(main())
        """
    )

    async def run() -> None:
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", script, f"{site.base}/stuck.mp4", str(target))
        )
        await wait_for(lambda: list(target.parent.glob(".source.sites-*/*")))
        worker.kill()
        await worker.wait()
        await wait_for(lambda: not list(target.parent.iterdir()))

    site.run(run())


def test_sections_without_ffmpeg_fetch_the_whole_and_say_so(site, target, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    fetched = fetch_with(site, "ranged.mp4", target, spans=[(2.0, 4.0)], sections_only=True)
    assert target.read_bytes() == site.files["ranged.mp4"]
    assert fetched.sections == []
    assert "no ffmpeg" in fetched.notes[0]


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs the ffmpeg program")
def test_sections_are_fetched_alone(site, target):
    spans = [(4.0, 5.0), (6.0, 7.0)]
    fetched = fetch_with(site, "ranged.mp4", target, spans=spans, sections_only=True)
    assert fetched.sections == [(4.0, 7.0)]
    assert fetched.notes == []
    assert target.stat().st_size < len(site.files["ranged.mp4"]) / 2
    with av.open(str(target)) as container:
        numbers = [
            read_frame_number(frame.to_ndarray(format="rgb24"))
            for frame in container.decode(video=0)
            if frame.pts >= 0
        ]
    assert numbers[0] == 40
    # Without decoding, the end is that of a group of packets.
    assert 69 <= numbers[-1] < 80
    whole = fetch_with(site, "a.mp4", target.with_name("b"), spans=[(0.5, 1.0)], sections_only=True)
    assert "no Range requests" in whole.notes[0]


def video(height, *, ext="mp4", acodec="none", vcodec="avc1.4d", **more) -> dict:
    name = f"{height}{ext}{acodec}"
    return {
        "format_id": name, "height": height, "ext": ext, "vcodec": vcodec, "acodec": acodec,
        "protocol": "https", **more,
    }  # fmt: skip


def audio(asr, *, ext="m4a", abr=128, **more) -> dict:
    return {
        "format_id": f"{ext}{asr}-{abr}", "ext": ext, "asr": asr, "abr": abr, "vcodec": "none",
        "acodec": "mp4a", "protocol": "https", **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("formats", "chosen"),
    [
        # The lowest that is high enough, however it is listed.
        ([video(144), video(360), video(720)], "360mp4none"),
        ([video(720), video(480), video(240)], "480mp4none"),
        # Else the highest.
        ([video(144), video(240)], "240mp4none"),
        # At one height: mp4, then H.264, then with sound, then the smallest.
        ([video(360, ext="webm", vcodec="vp9"), video(360)], "360mp4none"),
        ([video(360, vcodec="av01", format_id="av1"), video(360)], "360mp4none"),
        ([video(360), video(360, acodec="mp4a")], "360mp4mp4a"),
        ([video(360, filesize=9, format_id="big"), video(360, filesize=5)], "360mp4none"),
        # Never what cannot be played or is no video.
        ([video(360, has_drm=True), video(720)], "720mp4none"),
        ([video(360, protocol="mhtml", ext="mhtml"), video(720)], "720mp4none"),
        ([video(360, protocol="rtmp"), video(720)], "720mp4none"),
        # Unknown heights come after known ones; the best is listed last.
        ([video(None, format_id="x"), video(240)], "240mp4none"),
        ([video(None, format_id="x"), video(None, format_id="y")], "y"),
    ],
)
def test_which_video_is_chosen(formats, chosen):
    choice = choose_formats(formats, ("video",), 360, 44100)
    assert choice.main["format_id"] == chosen


@pytest.mark.parametrize(
    ("formats", "rate", "chosen"),
    [
        ([audio(22050), audio(44100), audio(48000)], 44100, "m4a44100-128"),
        ([audio(44100, abr=256), audio(44100, abr=64, tbr=64)], 44100, "m4a44100-64"),
        ([audio(22050), audio(48000, ext="webm")], 44100, "m4a22050-128"),
        ([audio(22050, abr=64), audio(22050, abr=96)], 44100, "m4a22050-96"),
        ([audio(44100, abr=64), audio(44100, abr=256)], 0, "m4a44100-256"),
        ([video(360), video(720, acodec="mp4a"), video(480, acodec="mp4a")], 44100, "480mp4mp4a"),
        (
            [audio(44100, language_preference=-1), audio(48000, language_preference=10)],
            44100,
            "m4a48000-128",
        ),
    ],
)
def test_which_audio_is_chosen(formats, rate, chosen):
    assert choose_formats(formats, ("audio",), 360, rate).main["format_id"] == chosen


def test_silent_video_brings_its_sound_along():
    formats = [audio(44100), video(360), video(720, acodec="mp4a")]
    choice = choose_formats(formats, ("video",), 360, 44100)
    assert (choice.main["height"], choice.audio["asr"]) == (360, 44100)
    assert choose_formats([video(360)], ("video",), 360, 44100).audio is None
    assert choose_formats([audio(44100)], ("video",), 360, 44100) is None
    assert choose_formats([video(360)], ("audio",), 360, 44100) is None


@pytest.mark.parametrize(
    ("text", "error_class", "retryable"),
    [
        (
            "ERROR: [youtube] x: Sign in to confirm you\u2019re not a bot. Use --cookies",
            "bot_check",
            True,
        ),
        ("[youtube] x: Sign in to confirm your age. Use --cookies", "login_required", False),
        ("[youtube] x: Private video. Sign in if you've been granted access", "private", False),
        ("[youtube] x: Video unavailable. This video has been removed", "unavailable", False),
        (
            "[youtube] x: The uploader has not made this video available in your country",
            "geo_blocked",
            False,
        ),
        ("[youtube] x: This live event will begin in 3 hours.", "live_stream", True),
        ("[youtube] x: This video is DRM protected", "drm", False),
        ("Unable to download webpage: HTTP Error 429: Too Many Requests", "rate_limited", True),
        ("Unable to download webpage: The read operation timed out", "timeout", True),
        ("\x1b[0;31mERROR:\x1b[0m something nobody has heard of", "site", True),
    ],
)
def test_what_sites_say_is_classed(text, error_class, retryable):
    found = explain(text)
    assert (found.error_class, found.retryable) == (error_class, retryable)
    assert "\x1b" not in found.message
    assert "ERROR" not in found.message


def test_advice_to_report_bugs_elsewhere_is_left_out():
    text = (
        "[x] y: Unable to extract z; please report this issue on  https://github.com/yt-dlp/yt-dlp"
        "/issues?q= , filling out the appropriate issue template."
    )
    assert explain(text).message == "[x] y: Unable to extract z."


def test_metadata_are_kept_without_secrets_and_bulk():
    info = {
        "title": "A title",
        "formats": [{"url": "https://x/y"}],
        "http_headers": {"Cookie": "secret"},
        "chapters": [{"title": "One", "http_headers": {"Cookie": "secret"}}],
        "thumbnail": "https://cdn/x.jpg?w=2&Expires=3&Signature=secret",
        "webpage_url": "https://user:secret@site/watch?v=abc",
        "description": "See https://site/?sig=1 for more",
        "_private": "secret",
    }
    kept = clean_info(info)
    assert "secret" not in str(kept)
    assert kept["title"] == "A title"
    assert kept["chapters"] == [{"title": "One"}]
    assert kept["thumbnail"] == "https://cdn/x.jpg"
    assert kept["webpage_url"].endswith("site/watch?v=abc")
    assert kept["description"].startswith("See https://site/")


def test_the_machines_own_name_is_a_private_address(site, target):
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), 80)}
    except OSError:
        pytest.skip("this machine's name does not resolve")
    if not all(address.startswith(("10.", "127.", "172.", "192.168.")) for address in addresses):
        pytest.skip("this machine has a public address")
    url = f"http://{socket.gethostname()}/a.mp4"
    error = failure(site, url, target, allow_private_addresses=False)
    assert error.error_class == "forbidden_address"
    assert "--allow-private-addresses" in error.message


def test_what_json_cannot_hold_is_left_out_of_metadata():
    info = {"title": "bad \ud800", "tags": ["\udfff"], "view_count": 10**5000, "width": math.inf}
    kept = clean_info(info | {"duration": math.nan, "height": 360, "is_live": False})
    assert kept == {
        "title": "bad ?",
        "tags": ["?"],
        "view_count": None,
        "width": None,
        "duration": None,
        "height": 360,
        "is_live": False,
    }
