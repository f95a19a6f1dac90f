"""Single members of remote archives, read by byte ranges."""

import asyncio
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from clipmill.core.errors import DownloadError
from clipmill.fetch.archive import ArchiveFetcher, parse_archive_url
from clipmill.fetch.base import Fetched, FetchRequest
from clipmill.fetch.options import FetchOptions

# Enough of an mp4 to be known as one.
VIDEO = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42" + bytes(range(256)) * 40


class Unlimited:
    async def reserve(self, size: int) -> None:
        pass

    def is_next(self) -> bool:
        return False


class Archives:
    """A web server of archives that counts what is asked of it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.sent_bytes = 0
        self.etag = '"1"'
        self.knows_ranges = True
        self.knows_suffix_ranges = True
        self.before_answer: Callable[[], None] = lambda: None

    async def answer(self, request: web.Request) -> web.Response:
        body = self.files[request.path.lstrip("/")]
        asked = request.headers.get("Range", "")
        self.requests.append(asked)
        self.before_answer()
        suffix_refused = asked.startswith("bytes=-") and not self.knows_suffix_ranges
        changed = request.headers.get("If-Range", self.etag) != self.etag
        if not self.knows_ranges or suffix_refused or changed:
            return web.Response(body=body)
        span = request.http_range
        start, stop, _ = slice(span.start, span.stop).indices(len(body))
        part = body[start:stop]
        self.sent_bytes += len(part)
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(body)}", "ETag": self.etag}
        return web.Response(status=206, body=part, headers=headers)


class Reader:
    """A fetcher and the server it reads from, within one event loop."""

    def __init__(self, folder: Path, base: str, fetcher: ArchiveFetcher) -> None:
        self.folder = folder
        self.base = base
        self.fetcher = fetcher

    async def fetch(self, url: str, name: str = "source", modalities=("video",)) -> Fetched:
        request = FetchRequest(url.replace("@", self.base), self.folder / name, modalities)
        return await self.fetcher.fetch(request, Unlimited())

    async def failure(self, url: str) -> DownloadError:
        with pytest.raises(DownloadError) as caught:
            await self.fetch(url, "failing")
        assert not (self.folder / "failing").exists()
        assert caught.value.details["fetcher"] == "archive"
        return caught.value

    def bytes(self, name: str = "source") -> bytes:
        return (self.folder / name).read_bytes()


@pytest.fixture
def archives() -> Archives:
    return Archives()


@pytest.fixture
def reading(tmp_path: Path, archives: Archives):
    """Run a coroutine function with a Reader; the options are the fetcher's."""

    def run(test, **options) -> None:
        options = {
            "allow_private_addresses": True,
            "retries": 1,
            "backoff_seconds": 0.01,
            **options,
        }

        async def main() -> None:
            app = web.Application()
            app.router.add_get("/{name:.*}", archives.answer)
            async with TestServer(app) as server:
                fetcher = ArchiveFetcher(FetchOptions(**options))
                try:
                    await test(Reader(tmp_path, str(server.make_url("")).rstrip("/"), fetcher))
                finally:
                    await fetcher.close()

        asyncio.run(main())

    return run


def zip_of(
    members: dict[str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b""
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.comment = comment
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tar_of(members: dict[str, bytes], mode: str = "w", **arguments) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **arguments) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_member_takes_one_request_beside_the_index(archives, reading, method):
    archives.files["a.zip"] = zip_of({"clips/a.mp4": VIDEO, "b.mp4": VIDEO * 20}, method)

    async def test(reader: Reader) -> None:
        fetched = await reader.fetch("zip://clips/a.mp4::@/a.zip")
        assert reader.bytes() == VIDEO
        assert len(archives.requests) == 2
        assert fetched.size == len(VIDEO)
        assert fetched.sha256 == hashlib.sha256(VIDEO).hexdigest()
        assert (fetched.extension, fetched.fetcher) == ("mp4", "archive")
        assert fetched.downloaded_bytes == archives.sent_bytes
        await reader.fetch("zip://b.mp4::@/a.zip", "second")
        assert reader.bytes("second") == VIDEO * 20
        assert len(archives.requests) == 3, "the index was read again"

    reading(test)


def test_many_at_once_share_one_reading_of_the_index(archives, reading):
    members = {f"{number:03}.mp4": VIDEO + bytes([number]) for number in range(30)}
    archives.files["a.zip"] = zip_of(members)

    async def test(reader: Reader) -> None:
        fetches = (reader.fetch(f"zip://{name}::@/a.zip", name) for name in members)
        await asyncio.gather(*fetches)
        assert all(reader.bytes(name) == data for name, data in members.items())
        assert len([asked for asked in archives.requests if asked.startswith("bytes=-")]) == 1
        assert len(archives.requests) == 31

    reading(test)


def test_a_large_zip_is_not_read_but_for_its_index_and_the_member(archives, reading):
    members = {f"{number:05}-{'x' * 60}.mp4": VIDEO for number in range(1500)}
    archives.files["a.zip"] = zip_of(members)

    async def test(reader: Reader) -> None:
        await reader.fetch(f"zip://{list(members)[700]}::@/a.zip")
        assert reader.bytes() == VIDEO
        assert len(archives.requests) == 3
        assert archives.sent_bytes < 300_000 < len(archives.files["a.zip"]) / 10

    reading(test)


def test_zip64_and_a_comment_at_the_end(archives, reading, monkeypatch):
    buffer = io.BytesIO()
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = b"c" * 60_000
        for name in ("a.mp4", "b.mp4"):
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(VIDEO)
    monkeypatch.undo()
    assert b"PK\x06\x06" in buffer.getvalue(), "not a ZIP64 after all"
    archives.files["a.zip"] = buffer.getvalue()

    async def test(reader: Reader) -> None:
        await reader.fetch("zip://b.mp4::@/a.zip")
        assert reader.bytes() == VIDEO

    reading(test)


def test_a_local_header_much_larger_than_the_index_says(archives, reading):
    """Some packers align data by padding the local header alone."""
    plain = zip_of({"a.mp4": VIDEO, "b.mp4": VIDEO})
    padding = b"\xff\xff" + (5000).to_bytes(2, "little") + bytes(5000)
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        start = archive.getinfo("b.mp4").header_offset
        directory = archive.start_dir
    header = bytearray(plain[start : start + 30])
    header[28:30] = len(padding).to_bytes(2, "little")
    name_end = start + 30 + len("b.mp4")
    end = bytearray(plain[directory:])
    place = end.rindex(b"PK\x05\x06") + 16
    end[place : place + 4] = (directory + len(padding)).to_bytes(4, "little")
    archives.files["a.zip"] = (
        plain[:start] + header + plain[start + 30 : name_end] + padding
        + plain[name_end:directory] + end
    )  # fmt: skip

    async def test(reader: Reader) -> None:
        await reader.fetch("zip://b.mp4::@/a.zip")
        assert reader.bytes() == VIDEO

    reading(test)


@pytest.mark.parametrize(
    "name", ["a b.mp4", "ü/日本.mp4", "100%25.mp4", "a::b.mp4", "../../up.mp4", "q?x=1#y.mp4"]
)
def test_members_with_odd_names(archives, reading, name):
    archives.files["a.zip"] = zip_of({name: VIDEO})
    archives.files["a.tar"] = tar_of({name: VIDEO})

    async def test(reader: Reader) -> None:
        await reader.fetch(f"zip://{name}::@/a.zip", "zip")
        await reader.fetch(f"tar://{name}::@/a.tar", "tar")
        assert reader.bytes("zip") == reader.bytes("tar") == VIDEO
        assert {path.name for path in reader.folder.iterdir()} == {"zip", "tar"}

    reading(test)


def test_a_percent_encoded_name_finds_its_member(archives, reading):
    archives.files["a.zip"] = zip_of({"a b.mp4": VIDEO})

    async def test(reader: Reader) -> None:
        await reader.fetch("zip://a%20b.mp4::@/a.zip")
        assert reader.bytes() == VIDEO

    reading(test)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_members_are_found_reading_headers_only_once(archives, reading, form):
    long = "deep/" * 17 + "b.mp4" if form == tarfile.USTAR_FORMAT else "x" * 300 + ".mp4"
    members = {"./a.mp4": VIDEO * 20, long: VIDEO + b"b", "c.mp4": VIDEO + b"c"}
    archives.files["a.tar"] = tar_of(members, format=form)

    async def test(reader: Reader) -> None:
        await reader.fetch(f"tar://{long}::@/a.tar", "b")
        await reader.fetch("tar://./a.mp4::@/a.tar", "a")
        asked = len(archives.requests)
        await reader.fetch("tar://a.mp4::@/a.tar", "again")
        assert len(archives.requests) == asked + 1
        await reader.fetch("tar://c.mp4::@/a.tar", "c")
        assert reader.bytes("a") == VIDEO * 20
        assert (reader.bytes("b"), reader.bytes("c")) == (VIDEO + b"b", VIDEO + b"c")
        assert len(archives.requests) <= 7

    reading(test)


def test_tar_members_asked_for_at_once(archives, reading):
    members = {f"{number}.mp4": VIDEO * 10 + bytes([number]) for number in range(12)}
    archives.files["a.tar"] = tar_of(members)

    async def test(reader: Reader) -> None:
        wanted = [reader.fetch(f"tar://{name}::@/a.tar", name) for name in reversed(members)]
        await asyncio.gather(*wanted)
        assert all(reader.bytes(name) == data for name, data in members.items())

    reading(test)


def test_archives_in_any_storage_and_on_disk(reading, tmp_path):
    files = fsspec.filesystem("memory")
    files.pipe_file("/bucket/a.tar", tar_of({"a.mp4": VIDEO}))
    (tmp_path / "a.zip").write_bytes(zip_of({"a.mp4": VIDEO}, zipfile.ZIP_DEFLATED))

    async def test(reader: Reader) -> None:
        await reader.fetch("tar://a.mp4::memory://bucket/a.tar", "tar")
        await reader.fetch(f"zip://a.mp4::{tmp_path}/a.zip", "zip")
        assert reader.bytes("tar") == reader.bytes("zip") == VIDEO

    reading(test, allow_local_paths=True)
    files.store.clear()


def test_only_metadata_wanted_means_only_the_index(archives, reading):
    archives.files["a.zip"] = zip_of({"a.mp4": VIDEO})

    async def test(reader: Reader) -> None:
        fetched = await reader.fetch("zip://a.mp4::@/a.zip", modalities=())
        assert (fetched.path, fetched.size) == (None, len(VIDEO))
        assert len(archives.requests) == 1

    reading(test)


def test_a_server_without_ranges_is_told_so(archives, reading):
    archives.knows_ranges = False
    archives.files["a.zip"] = zip_of({"a.mp4": VIDEO})
    archives.files["a.tar"] = tar_of({"a.mp4": VIDEO})

    async def test(reader: Reader) -> None:
        for url in ("zip://a.mp4::@/a.zip", "tar://a.mp4::@/a.tar"):
            error = await reader.failure(url)
            assert error.error_class == "bad_response"
            assert "without Range requests" in error.message
            assert not error.retryable

    reading(test)


def test_a_server_that_only_knows_ranges_from_the_start(archives, reading):
    archives.knows_suffix_ranges = False
    archives.files["a.zip"] = zip_of({"a.mp4": VIDEO})

    async def test(reader: Reader) -> None:
        await reader.fetch("zip://a.mp4::@/a.zip")
        assert reader.bytes() == VIDEO

    reading(test)


def test_an_archive_that_changes_is_not_mixed(archives, reading):
    archives.files["a.zip"] = zip_of({"a.mp4": VIDEO})

    def change() -> None:
        if len(archives.requests) == 2:
            archives.etag = '"2"'

    archives.before_answer = change

    async def test(reader: Reader) -> None:
        error = await reader.failure("zip://a.mp4::@/a.zip")
        assert error.error_class == "truncated"
        assert "changed" in error.message

    reading(test, retries=0)


def encrypted(data: bytes) -> bytes:
    data = data.replace(b"PK\x03\x04\x14\x00\x00", b"PK\x03\x04\x14\x00\x01")
    return data.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")


def damaged(data: bytes) -> bytes:
    place = data.index(VIDEO) + 5000
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def linking() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("a.mp4")
        info.type, info.linkname = tarfile.SYMTYPE, "b.mp4"
        archive.addfile(info)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "error_class", "says"),
    [
        ("a.zip", encrypted(zip_of({"a.mp4": VIDEO})), "bad_archive", "encrypted"),
        ("a.zip", zip_of({"a.mp4": VIDEO}, zipfile.ZIP_LZMA), "bad_archive", "lzma"),
        ("a.zip", damaged(zip_of({"a.mp4": VIDEO})), "truncated", "checksum"),
        ("a.zip", zip_of({"b.mp4": VIDEO}), "not_found", "1 other members"),
        ("a.zip", zip_of({"a.mp4": b"<html></html>"}), "not_media", "html"),
        ("a.zip", zip_of({"a.mp4": b""}), "empty_body", "no bytes"),
        ("a.zip", b"<html>Not found</html>" * 9000, "bad_archive", "not a zip"),
        ("a.zip", zip_of({"a.mp4": VIDEO})[:-30], "bad_archive", "not a zip"),
        ("a.tar", tar_of({"b.mp4": VIDEO}), "not_found", "1 other members"),
        ("a.tar", tar_of({"a.mp4": VIDEO}, "w:gz"), "bad_archive", "compressed by gz"),
        ("a.tar", tar_of({"a.mp4": VIDEO})[:6000], "truncated", "a.mp4"),
        ("a.tar", linking(), "bad_archive", "link to 'b.mp4'"),
        ("a.tar", b"<html>Not found</html>" * 9000, "bad_archive", "not a tar"),
    ],
)
def test_archives_and_members_that_cannot_be_read(archives, reading, name, data, error_class, says):
    archives.files[name] = data

    async def test(reader: Reader) -> None:
        error = await reader.failure(f"{name[-3:]}://a.mp4::@/{name}")
        assert error.error_class == error_class
        assert says in error.message

    reading(test)


def test_a_member_larger_than_the_limit_is_not_read(archives, reading):
    archives.files["a.zip"] = zip_of({"a.mp4": bytes(5_000_000)}, zipfile.ZIP_DEFLATED)

    async def test(reader: Reader) -> None:
        assert (await reader.failure("zip://a.mp4::@/a.zip")).error_class == "too_large"
        assert len(archives.requests) == 1

    reading(test, max_bytes=1_000_000)


def test_a_member_that_unpacks_to_more_than_it_declares_is_stopped(archives, reading):
    bomb = VIDEO + bytes(50_000_000)
    data = bytearray(zip_of({"a.mp4": bomb}, zipfile.ZIP_DEFLATED))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = (20_000).to_bytes(4, "little")
    archives.files["a.zip"] = bytes(data)

    async def test(reader: Reader) -> None:
        error = await reader.failure("zip://a.mp4::@/a.zip")
        assert error.error_class == "bad_archive"
        assert "20000 bytes declared" in error.message

    reading(test, max_bytes=1_000_000)


def test_private_addresses_and_local_paths_are_refused(archives, reading, tmp_path):
    archives.files["a.zip"] = zip_of({"a.mp4": VIDEO})

    async def test(reader: Reader) -> None:
        remote = await reader.failure("zip://a.mp4::@/a.zip")
        local = await reader.failure(f"zip://a.mp4::{tmp_path}/a.zip")
        assert remote.error_class == "forbidden_address"
        assert local.error_class == "local_path_refused"
        assert archives.requests == []

    reading(test, allow_private_addresses=False)


def test_who_gives_up_does_not_spoil_it_for_the_others(archives, reading):
    archives.files["a.tar"] = tar_of({f"{n}.mp4": VIDEO * 10 for n in range(20)})

    async def test(reader: Reader) -> None:
        impatient = asyncio.ensure_future(reader.fetch("tar://19.mp4::@/a.tar", "impatient"))
        while len(archives.requests) < 4:
            await asyncio.sleep(0.001)
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        assert not (reader.folder / "impatient").exists()
        await reader.fetch("tar://18.mp4::@/a.tar")
        assert reader.bytes() == VIDEO * 10

    reading(test)


def test_an_index_that_failed_is_read_again(archives, reading):
    archives.files["a.zip"] = b"being uploaded" * 100

    async def test(reader: Reader) -> None:
        errors = await asyncio.gather(*(reader.failure("zip://a.mp4::@/a.zip") for _ in range(2)))
        assert errors[0] is not errors[1]
        archives.files["a.zip"] = zip_of({"a.mp4": VIDEO})
        await reader.fetch("zip://a.mp4::@/a.zip")
        assert reader.bytes() == VIDEO

    reading(test)


@pytest.mark.parametrize(
    "url", ["zip://a.mp4", "zip://::https://h/a.zip", "rar://a::https://h/a.rar", "zip://a::b"]
)
def test_urls_that_name_no_member(url):
    with pytest.raises(DownloadError, match="names no member"):
        parse_archive_url(url)


def test_the_parts_of_a_url():
    assert parse_archive_url("ZIP://a::b.mp4::http://[::1]:80/x.zip?y=1") == (
        "zip",
        "a::b.mp4",
        "http://[::1]:80/x.zip?y=1",
    )
