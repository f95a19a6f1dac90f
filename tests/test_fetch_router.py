"""Which fetcher gets which row: by scheme, by site, and by what came back."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

import pytest

from clipmill.core import registry
from clipmill.core.errors import DownloadError
from clipmill.core.sample import MediaRef
from clipmill.fetch.base import Fetched, Fetcher, FetchRequest
from clipmill.fetch.failures import failure
from clipmill.fetch.router import Router
from fetch_server import MP4, Budget, Server, answer, options

PAGE = b"<!DOCTYPE html><html><body><video src='v.mp4'></video></body></html>"


class Recorder(Fetcher):
    """Says which fetcher it stands for, instead of fetching."""

    opened: list[str]
    closed: list[str]
    finds: DownloadError | None = None

    def __init__(self, _options: object) -> None:
        self.opened.append(self.name)

    async def fetch(self, request: FetchRequest, budget: Budget) -> Fetched:
        if self.finds:
            raise self.finds
        return Fetched(path=None, fetcher=self.name)

    async def close(self) -> None:
        self.closed.append(self.name)


@pytest.fixture
def recorders(monkeypatch):
    """Stand-ins for all fetchers, or for those not named in ``real``."""

    def use(*real: str, finds: DownloadError | None = None) -> type[Recorder]:
        load = registry.load

        def load_recorder(group: str, name: str) -> object:
            if name in real:
                return load(group, name)
            return type(name, (recorder,), {"name": name})

        recorder = type("recorder", (Recorder,), {"opened": [], "closed": [], "finds": finds})
        monkeypatch.setattr(registry, "load", load_recorder)
        return recorder

    return use


def route(url: str, tmp_path: Path, media: MediaRef | None = None, **choices: object) -> Fetched:
    async def go() -> Fetched:
        router = Router(options(**choices))
        try:
            return await router.fetch(FetchRequest(url, tmp_path / "v", media=media), Budget())
        finally:
            await router.close()

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("url", "fetcher"),
    [
        ("https://example.com/v.mp4", "http"),
        ("https://example.com/v.mp4?sig=1", "http"),
        ("HTTPS://EXAMPLE.COM/V", "http"),
        ("  https://example.com/watch?v=1 ", "http"),
        ("https://cdn.example.com/" + "a" * 4000, "http"),
        ("https://www.youtube.com/watch?v=aqz-KE-bpKQ", "sites"),
        ("https://youtu.be/aqz-KE-bpKQ", "sites"),
        ("https://vimeo.com/1084537", "sites"),
        ("https://x.com/user/status/1577719286659006464", "sites"),
        ("zip://clips/a.mp4::https://example.com/all.zip", "archive"),
        ("tar://a.mp4::s3://bucket/all.tar", "archive"),
        ("s3://bucket/v.mp4", "storage"),
        ("hf://datasets/me/mine/v.mp4", "storage"),
        ("memory://v.mp4", "storage"),
        ("file:///videos/v.mp4", "storage"),
        ("/videos/v.mp4", "storage"),
        ("videos/v.mp4", "storage"),
        ("v.mp4", "storage"),
        ("C:\\videos\\v.mp4", "storage"),
    ],
)
def test_rows_go_by_scheme_and_site(tmp_path, recorders, url, fetcher):
    recorders()
    assert route(url, tmp_path).fetcher == fetcher


def test_media_that_lie_somewhere_already_need_no_url(tmp_path, recorders):
    recorders()
    assert route("", tmp_path, MediaRef("shard.tar", "mp4", 512, 10)).fetcher == "storage"


@pytest.mark.parametrize(
    ("url", "error_class"),
    [
        *((nothing, "invalid_url") for nothing in ("", "  ", "nan", "NaN", "None", "null", "N/A")),
        ("hello world", "invalid_url"),
        ("42", "invalid_url"),
        ("https://example.com/a\nHost: b", "invalid_url"),
        ("https://example.com/" + "a" * 40_000, "invalid_url"),
        ("http://", "invalid_url"),
        ("file:///etc/passwd", "local_path_refused"),
        ("/etc/passwd", "local_path_refused"),
        ("../secret.mp4", "local_path_refused"),
        ("rtmp://example.com/live", "unsupported_scheme"),
        ("javascript://alert(1)", "unsupported_scheme"),
        ("simplecache::file:///etc/passwd", "unsupported_scheme"),
        ("filecache::file:///etc/passwd.mp4", "unsupported_scheme"),
        ("my:video.mp4", "local_path_refused"),
        ("file:v.mp4", "invalid_url"),
        ("https://example.com/a.mp4 https://example.com/b.mp4", "invalid_url"),
        ("reference://?fo=http://10.0.0.1/", "unsupported_scheme"),
    ],
)
def test_rows_that_name_no_source_fail_by_themselves(tmp_path, url, error_class):
    with pytest.raises(DownloadError) as raised:
        route(url, tmp_path)
    assert raised.value.error_class == error_class
    assert not raised.value.retryable
    assert len(raised.value.message) < 500


def fetch_page(tmp_path: Path, body: bytes, **choices: object) -> Fetched:
    async def go() -> Fetched:
        async with Server({"/watch": answer(body), "/v.mp4": answer(MP4)}) as server:
            router = Router(options(**choices))
            try:
                request = FetchRequest(server.url("/watch"), tmp_path / "v")
                return await router.fetch(request, Budget())
            finally:
                await router.close()

    return asyncio.run(go())


@pytest.mark.parametrize("body", [PAGE, b"#EXTM3U\n#EXTINF:4,\nseg.ts\n"], ids=["page", "playlist"])
def test_a_page_or_playlist_that_came_instead_of_a_file_is_looked_through(
    tmp_path, recorders, body
):
    recorders("http")
    assert fetch_page(tmp_path, body).fetcher == "sites"


def test_media_are_taken_as_they_come_and_other_documents_are_not(tmp_path, recorders):
    recorders("http")
    assert fetch_page(tmp_path, MP4).fetcher == "http"
    with pytest.raises(DownloadError, match="json"):
        fetch_page(tmp_path, b'{"a": 1}')


def test_a_page_without_a_video_says_both_what_came_and_what_was_looked_for(tmp_path, recorders):
    recorders("http", finds=failure("not_media", "Unsupported URL"))
    with pytest.raises(DownloadError, match=r"html.*Unsupported URL") as raised:
        fetch_page(tmp_path, PAGE)
    assert raised.value.error_class == "not_media"


def test_what_went_wrong_on_the_page_is_said_when_there_was_a_video(tmp_path, recorders):
    recorders("http", finds=failure("too_large", "3 GB"))
    with pytest.raises(DownloadError, match="3 GB") as raised:
        fetch_page(tmp_path, PAGE)
    assert raised.value.error_class == "too_large"


def test_what_the_page_itself_took_is_counted_too(tmp_path, recorders):
    recorders("http")
    fetched = fetch_page(tmp_path, PAGE)
    assert fetched.attempts == 2
    assert fetched.downloaded_bytes >= len(PAGE)
    assert fetched.seconds > 0

    recorders("http", finds=failure("too_large", "3 GB", attempts=2, downloaded_bytes=1000))
    with pytest.raises(DownloadError) as raised:
        fetch_page(tmp_path, PAGE)
    assert raised.value.details["attempts"] == 3
    assert raised.value.details["downloaded_bytes"] >= 1000 + len(PAGE)


def test_without_yt_dlp_the_failure_says_how_to_get_it(tmp_path, recorders, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    recorders("http")
    with pytest.raises(DownloadError, match=r"clipmill\[ytdlp\]") as raised:
        fetch_page(tmp_path, PAGE)
    assert raised.value.error_class == "not_media"


def test_fetchers_are_made_when_needed_and_closed_together(tmp_path, recorders):
    recorder = recorders()

    async def go() -> None:
        router = Router(options())
        for url in ("s3://b/1", "s3://b/2", "https://example.com/v.mp4"):
            await router.fetch(FetchRequest(url, tmp_path / "v"), Budget())
        assert recorder.opened == ["storage", "http"]
        await router.close()
        await router.close()

    asyncio.run(go())
    assert recorder.closed == ["storage", "http"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("data:video/mp4;base64,AAAA", "nothing here fetches data: URLs"),
        ("mailto:someone", "nothing here fetches mailto: URLs"),
        ("magnet:?xt=urn:btih:1", "nothing here fetches magnet: URLs"),
        ("blob:https://example.com/1", "nothing here fetches blob: URLs"),
        ("http:x", "http:// and a host must come first"),
        ("http:///x.mp4", "http:// and a host must come first"),
        ("https:/example.com/v.mp4", "https:// and a host must come first"),
        ("https:\\\\example.com\\v.mp4", "https:// and a host must come first"),
        ("www.example.com/v.mp4", "If it is a link, write https:// before it"),
        ("//example.com/v.mp4", "If it is a link, write https:// before it"),
    ],
)
def test_what_is_no_path_is_not_called_one(tmp_path, url, said):
    with pytest.raises(DownloadError) as failed:
        route(url, tmp_path)
    assert said in failed.value.message
    assert "is a path" not in failed.value.message or "If it is a link" in said
