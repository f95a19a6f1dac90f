"""What libraries raise on one row is that row's failure; bugs of ours are not hidden."""

import asyncio
import errno
from pathlib import Path

import pytest

from clipmill.core.errors import DownloadError, RunError
from clipmill.fetch.base import FetchRequest
from clipmill.fetch.border import surprises_of
from clipmill.fetch.manners import parse_retry_after
from clipmill.fetch.router import Router
from fetch_server import Budget, options


def fetch(url: str, tmp_path: Path) -> DownloadError:
    async def go() -> None:
        router = Router(options(retries=0, allow_private_addresses=False))
        try:
            await router.fetch(FetchRequest(url, tmp_path / "v"), Budget())
        finally:
            await router.close()

    with pytest.raises(DownloadError) as raised:
        asyncio.run(go())
    return raised.value


@pytest.mark.parametrize(
    "url",
    [
        *("github://a/b.mp4", "dbfs://a/b", "data://x", "asyncwrapper://x", "webhdfs:///x"),
        *(
            "gist://",
            "ftp://a:b:c/x",
            "zip://a::github://x/y",
            "zip://a::data://x",
            "zip://a::s3://[",
        ),
        *("s3://[", "abfs://[x", "hf://", "http://[", "zip://a::http://["),
    ],
)
def test_no_url_stops_a_run(tmp_path, url):
    error = fetch(url, tmp_path)
    assert not error.retryable
    assert error.error_class in ("unsupported_scheme", "invalid_url", "library", "storage")


def test_what_a_library_raises_is_told_in_its_words(tmp_path):
    error = fetch("memory://a/\ud800/../\x85", tmp_path)
    error.message.encode()
    request = FetchRequest("s3://user:secret@bucket/v.mp4", tmp_path / "v")
    with pytest.raises(DownloadError, match=r"s3://REDACTED@bucket/v.mp4: ValueError: ") as raised:
        with surprises_of(request):
            raise ValueError("not a frame of clipmill")
    assert raised.value.error_class == "library"
    assert not raised.value.retryable


def test_bugs_of_ours_stay_bugs(tmp_path):
    with pytest.raises(AttributeError), surprises_of(FetchRequest("s3://b/v", tmp_path / "v")):
        parse_retry_after(1)  # type: ignore[arg-type]  # not a str, which is the bug


def test_a_full_disk_is_trouble_of_the_run_whoever_notices(tmp_path):
    with pytest.raises(RunError, match="Make room or choose another --temp-dir"):
        with surprises_of(FetchRequest("s3://b/v", tmp_path / "v")):
            raise OSError(errno.ENOSPC, "No space left on device")
