"""Bytes that lie in storages: object stores, local files, tar members, Parquet cells."""

import asyncio
import hashlib
import io
import os
import tarfile
import threading
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipmill.core.errors import DownloadError, RunError
from clipmill.core.sample import MediaRef
from clipmill.fetch.base import Fetched, FetchRequest
from clipmill.fetch.options import FetchOptions
from clipmill.fetch.storage import StorageFetcher
from clipmill.io.stretch import Stretch, read_at

# Enough of an mp4 to be known as one.
VIDEO = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42" + bytes(range(256)) * 40


class Unlimited:
    def __init__(self) -> None:
        self.reserved = 0

    async def reserve(self, size: int) -> None:
        self.reserved += size

    def is_next(self) -> bool:
        return False


def fetch(
    target: Path,
    url: str = "",
    *,
    media: MediaRef | None = None,
    budget: Unlimited | None = None,
    modalities: tuple[str, ...] = ("video",),
    in_place: bool = False,
    **options,
) -> Fetched:
    async def run() -> Fetched:
        fetcher = StorageFetcher(FetchOptions(retries=1, backoff_seconds=0.01, **options))
        try:
            request = FetchRequest(url, target, modalities, media=media, in_place=in_place)
            return await fetcher.fetch(request, budget or Unlimited())
        finally:
            await fetcher.close()

    return asyncio.run(run())


def failure(target: Path, url: str = "", **arguments) -> DownloadError:
    before = set(target.parent.iterdir())
    with pytest.raises(DownloadError) as caught:
        fetch(target, url, **arguments)
    assert set(target.parent.iterdir()) == before, "something was left behind"
    assert caught.value.details["fetcher"] == "storage"
    return caught.value


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "staging").mkdir()
    return tmp_path / "staging" / "source"


@pytest.fixture
def memory():
    files = fsspec.filesystem("memory")
    files.pipe_file("/bucket/a b.mp4", VIDEO)
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def test_a_file_of_any_fsspec_storage(target, memory):
    budget = Unlimited()
    fetched = fetch(target, "memory://bucket/a b.mp4", budget=budget)
    assert target.read_bytes() == VIDEO
    assert fetched.size == fetched.downloaded_bytes == budget.reserved == len(VIDEO)
    assert fetched.sha256 == hashlib.sha256(VIDEO).hexdigest()
    assert (fetched.extension, fetched.fetcher, fetched.attempts) == ("mp4", "storage", 1)
    assert fetched.final_url == "memory://bucket/a b.mp4"


def test_only_metadata_wanted_means_only_a_look(target, memory):
    fetched = fetch(target, "memory://bucket/a b.mp4", modalities=())
    assert fetched.path is None
    assert fetched.size == len(VIDEO)
    assert not target.exists()


def test_a_local_file_is_linked_and_takes_no_room(tmp_path, target):
    source = tmp_path / "video 100%.mp4"
    source.write_bytes(VIDEO)
    budget = Unlimited()
    for url in (str(source), source.as_uri()):
        fetched = fetch(target, url, allow_local_paths=True, budget=budget)
        assert target.stat().st_ino == source.stat().st_ino
        assert fetched.sha256 == hashlib.sha256(VIDEO).hexdigest()
        target.unlink()
    assert budget.reserved == 0


def test_a_local_file_on_another_disk_is_copied(target):
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == target.parent.stat().st_dev:
        pytest.skip("needs two file systems")
    source = shared_memory / f"clipmill-test-{os.getpid()}.mp4"
    source.write_bytes(VIDEO)
    budget = Unlimited()
    try:
        fetched = fetch(target, str(source), allow_local_paths=True, budget=budget)
    finally:
        source.unlink()
    assert target.read_bytes() == VIDEO
    assert fetched.downloaded_bytes == 0
    assert budget.reserved == len(VIDEO)


def member_of_a_tar(path: Path) -> MediaRef:
    with tarfile.open(path, "w") as tar:
        for name, data in ("a.txt", b"a caption"), ("a.mp4", VIDEO), ("b.mp4", VIDEO[::-1]):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    with tarfile.open(path) as tar:
        place = tar.getmember("a.mp4").offset_data
    return MediaRef(str(path), "mp4", place, len(VIDEO))


def test_a_member_of_a_local_tar_that_is_only_read_is_left_where_it_lies(tmp_path, target):
    media, budget = member_of_a_tar(tmp_path / "00000.tar"), Unlimited()
    fetched = fetch(target, media=media, in_place=True, budget=budget)
    assert fetched.path == Stretch(target, media.offset, len(VIDEO))
    assert target.samefile(media.path), "a link, so that replacing the tar does no harm"
    assert (budget.reserved, fetched.downloaded_bytes) == (0, 0)
    assert read_at(fetched.path, 0, len(VIDEO) + 1) == VIDEO
    target.unlink()
    copied = fetch(target, media=media)
    assert copied.path == target
    assert target.read_bytes() == VIDEO
    assert (fetched.size, fetched.sha256) == (copied.size, copied.sha256)


def test_a_member_is_left_on_another_disk_too(target):
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == target.parent.stat().st_dev:
        pytest.skip("needs a second file system")
    tar = shared_memory / f"clipmill-{os.getpid()}.tar"
    try:
        media, budget = member_of_a_tar(tar), Unlimited()
        fetched = fetch(target, media=media, in_place=True, budget=budget)
        assert target.is_symlink()
        assert budget.reserved == 0
        assert read_at(fetched.path, 0, len(VIDEO)) == VIDEO
    finally:
        tar.unlink(missing_ok=True)


def test_a_symbolic_link_gives_the_file_it_names(tmp_path, target):
    (tmp_path / "real.mp4").write_bytes(VIDEO)
    (tmp_path / "link.mp4").symlink_to("real.mp4")
    fetch(target, str(tmp_path / "link.mp4"), allow_local_paths=True)
    assert not target.is_symlink()
    assert target.read_bytes() == VIDEO


@pytest.mark.parametrize("form", ["{}", "file://{}", "FILE:{}", "local://{}"])
def test_local_paths_are_refused_unless_allowed(tmp_path, target, form):
    (tmp_path / "video.mp4").write_bytes(VIDEO)
    error = failure(target, form.format(tmp_path / "video.mp4"))
    assert error.error_class == "local_path_refused"
    assert "--allow-local-paths" in error.message


def test_what_is_not_a_regular_file_is_refused_without_waiting_for_it(tmp_path, target):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        error = failure(target, str(path), allow_local_paths=True)
        assert (error.error_class, error.retryable) == ("not_media", False)


@pytest.mark.parametrize(
    "url",
    [
        "simplecache::memory://bucket/a b.mp4",
        "filecache://x",
        "reference://x",
        "dir://etc/passwd",
        "zip://x::file:///etc/passwd",
        "http://127.0.0.1/a.mp4",
        "nonsense://x/y",
    ],
)
def test_storages_that_wrap_others_or_are_unknown_are_refused(target, memory, url):
    assert failure(target, url).error_class == "unsupported_scheme"


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://127.0.0.1/a.mp4", "github://a/b.mp4", "dbfs://a/b", "data://x", "webhdfs:///x"),
        *("asyncwrapper://x", "gist://", "ftp://a:b:c/x", "simplecache::s3://b/x"),
    ],
)
def test_only_object_stores_may_be_named(target, url):
    assert failure(target, url).error_class == "unsupported_scheme"


def test_a_store_whose_name_cannot_be_read_is_no_url(target):
    assert failure(target, "s3://[").error_class == "invalid_url"


@pytest.mark.parametrize(
    ("url", "error_class"),
    [
        ("memory://bucket/missing.mp4", "not_found"),
        ("memory://bucket", "not_media"),
        ("/nowhere/at/all.mp4", "not_found"),
        ("/" + "x" * 5000, "not_found"),
        ("a\x00b", "invalid_url"),
        ("file://elsewhere/a.mp4", "invalid_url"),
    ],
)
def test_missing_files_and_odd_names(target, memory, url, error_class):
    assert failure(target, url, allow_local_paths=True).error_class == error_class


def test_contents_are_looked_at(target, memory):
    memory.pipe_file("/bucket/page.mp4", b"<!DOCTYPE html><html>404</html>")
    memory.pipe_file("/bucket/empty.mp4", b"")
    assert failure(target, "memory://bucket/page.mp4").error_class == "not_media"
    assert failure(target, "memory://bucket/empty.mp4").error_class == "empty_body"


def test_what_is_too_large_is_not_read(target, memory):
    error = failure(target, "memory://bucket/a b.mp4", max_bytes=1000)
    assert error.error_class == "too_large"
    assert error.details["downloaded_bytes"] == 0


def test_a_local_file_that_is_only_read_may_be_of_any_size(tmp_path, target):
    media = member_of_a_tar(tmp_path / "00000.tar")
    assert failure(target, media=media, max_bytes=1000).error_class == "too_large"
    assert fetch(target, media=media, in_place=True, max_bytes=1000).size == len(VIDEO) > 1000


def test_a_file_without_read_permission(target, memory, monkeypatch):
    def refuse(self, path, **_):
        raise PermissionError("Access Denied: key id XYZ is unknown")

    monkeypatch.setattr(type(memory), "info", refuse)
    error = failure(target, "memory://bucket/a b.mp4")
    assert (error.error_class, error.retryable) == ("access_denied", False)
    assert "key id XYZ is unknown" in error.message


def test_a_storage_that_fails_once_is_asked_again(target, memory, monkeypatch):
    real, calls = type(memory).cat_file, []

    def flaky(self, path, **arguments):
        calls.append(path)
        if len(calls) == 1:
            raise ConnectionResetError("reset by peer")
        return real(self, path, **arguments)

    monkeypatch.setattr(type(memory), "cat_file", flaky)
    budget = Unlimited()
    fetched = fetch(target, "memory://bucket/a b.mp4", budget=budget)
    assert fetched.attempts == 2
    assert budget.reserved == len(VIDEO)
    assert target.read_bytes() == VIDEO


def test_a_bug_is_not_a_failed_sample(target, memory, monkeypatch):
    monkeypatch.setattr(type(memory), "info", lambda self, path: {"nothing": "of use"})
    with pytest.raises(KeyError):
        fetch(target, "memory://bucket/a b.mp4")


def test_a_full_disk_ends_the_run(tmp_path, memory):
    with pytest.raises(RunError, match="cannot be written"):
        fetch(tmp_path / "no such folder" / "source", "memory://bucket/a b.mp4")


def test_a_storage_that_hangs_is_given_up_at_the_deadline(target, memory, monkeypatch):
    release = threading.Event()
    real = type(memory).cat_file

    def hang(self, path, **arguments):
        release.wait(10)
        return real(self, path, **arguments)

    monkeypatch.setattr(type(memory), "cat_file", hang)
    try:
        error = failure(target, "memory://bucket/a b.mp4", total_timeout_seconds=0.2)
    finally:
        release.set()
    assert error.error_class == "timeout"


def test_a_thread_that_outlives_its_fetch_leaves_the_next_file_of_that_name_alone(
    target, memory, monkeypatch
):
    release, calls = threading.Event(), []
    real = type(memory).cat_file

    def hang_once(self, path, **arguments):
        calls.append(threading.current_thread())
        if len(calls) == 1:
            release.wait(10)
        return real(self, path, **arguments)

    monkeypatch.setattr(type(memory), "cat_file", hang_once)
    try:
        assert failure(target, "memory://bucket/a b.mp4", total_timeout_seconds=0.2)
        memory.pipe_file("/bucket/next.mp4", VIDEO + b"next")
        fetch(target, "memory://bucket/next.mp4")
    finally:
        release.set()
    calls[0].join(10)
    assert target.read_bytes() == VIDEO + b"next"
    assert list(target.parent.iterdir()) == [target]


def test_a_file_that_is_there_already_is_written_over(target, memory):
    target.write_bytes(b"")
    before = target.stat().st_ino
    fetch(target, "memory://bucket/a b.mp4")
    assert target.read_bytes() == VIDEO
    assert target.stat().st_ino == before


def test_a_member_of_a_local_tar_by_offset(tmp_path, target):
    other = VIDEO[:64] + b"other" * 100
    path = tmp_path / "00000.tar"
    with tarfile.open(path, "w") as archive:
        for name, data in (("0.mp4", VIDEO), ("1.mp4", other)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    with tarfile.open(path) as archive:
        place = archive.getmember("1.mp4")
    media = MediaRef(str(path), "mp4", place.offset_data, place.size)
    fetched = fetch(target, media=media)
    assert target.read_bytes() == other
    assert (fetched.size, fetched.extension) == (len(other), "mp4")

    beyond = MediaRef(str(path), "mp4", path.stat().st_size - 10, 1000)
    assert failure(target.with_name("b"), media=beyond).error_class == "truncated"


def test_texts_and_pictures_of_a_dataset_come_as_they_are(tmp_path, target):
    members = {"txt": b"", "json": b"{}", "jpg": b"\xff\xd8\xff\xe0JFIF", "npy": b"\x93NUMPY\x01"}
    for extension, data in members.items():
        (tmp_path / f"x.{extension}").write_bytes(data)
        fetched = fetch(target, media=MediaRef(str(tmp_path / f"x.{extension}"), extension))
        assert target.read_bytes() == data
        assert fetched.size == len(data)
        target.unlink()
    (tmp_path / "x.mp4").write_bytes(b"<html></html>")
    error = failure(target, media=MediaRef(str(tmp_path / "x.mp4"), "mp4"))
    assert error.error_class == "not_media"


def test_a_stretch_of_a_remote_file_reads_no_more_than_that(target, memory, monkeypatch):
    memory.pipe_file("/bucket/00000.tar", b"x" * 777 + VIDEO + b"y" * 100_000)
    read, real = [], type(memory).cat_file

    def counting(self, path, **arguments):
        read.append(arguments)
        return real(self, path, **arguments)

    monkeypatch.setattr(type(memory), "cat_file", counting)
    fetch(target, media=MediaRef("memory://bucket/00000.tar", "mp4", 777, len(VIDEO)))
    assert target.read_bytes() == VIDEO
    assert read == [{"start": 777, "end": 777 + len(VIDEO)}]


def test_cells_of_a_parquet_file_read_one_row_group_once(tmp_path, target, monkeypatch):
    rows = [VIDEO + bytes([number]) for number in range(6)]
    table = pa.table({"key": [str(n) for n in range(6)], "mp4": pa.array(rows, pa.binary())})
    path = tmp_path / "00000.parquet"
    pq.write_table(table, path, row_group_size=2)
    groups, real = [], pq.ParquetFile.read_row_group

    def counting(self, group, **arguments):
        groups.append((group, arguments["columns"]))
        return real(self, group, **arguments)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counting)

    async def run() -> None:
        fetcher = StorageFetcher(FetchOptions())
        for row in (2, 3, 5):
            media = MediaRef(str(path), "mp4", row=row)
            fetched = await fetcher.fetch(FetchRequest("", target, media=media), Unlimited())
            assert target.read_bytes() == rows[row]
            assert fetched.extension == "mp4"
            target.unlink()
        await fetcher.close()

    asyncio.run(run())
    assert groups == [(1, ["mp4"]), (2, ["mp4"])]


def test_cells_in_the_hub_form_and_in_large_row_groups(tmp_path, target, monkeypatch):
    monkeypatch.setattr("clipmill.io.parquet_cells.KEPT_COLUMN_BYTES", 10)
    cells = [{"bytes": VIDEO + bytes([number]), "path": None} for number in range(4)]
    pq.write_table(pa.table({"video": cells}), tmp_path / "a.parquet")
    fetch(target, media=MediaRef(str(tmp_path / "a.parquet"), "video", row=2))
    assert target.read_bytes() == VIDEO + b"\x02"


@pytest.mark.parametrize(("column", "row"), [("mp4", 1), ("mp4", 9), ("webm", 0)])
def test_cells_that_are_not_there(tmp_path, target, column, row):
    table = pa.table({"mp4": pa.array([VIDEO, None], pa.binary())})
    pq.write_table(table, tmp_path / "a.parquet")
    error = failure(target, media=MediaRef(str(tmp_path / "a.parquet"), column, row=row))
    assert error.error_class == "not_found"


def test_a_missing_storage_library_says_what_to_install(target, monkeypatch):
    def missing(url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    error = failure(target, "s3://bucket/a.mp4")
    assert error.error_class == "missing_extra"
    assert 'pip install "clipmill[s3]"' in error.message
    assert error.retryable
    assert error.details["attempts"] == 1


def test_s3_whole_and_in_part(bucket, target):
    fsspec.filesystem("s3").pipe_file(f"{bucket}/a.mp4", VIDEO)
    fetched = fetch(target, f"{bucket}/a.mp4")
    assert target.read_bytes() == VIDEO
    assert fetched.downloaded_bytes == len(VIDEO)
    target.unlink()
    fetch(target, media=MediaRef(f"{bucket}/a.mp4", "mp4", 0, 100))
    assert target.read_bytes() == VIDEO[:100]
    assert failure(target.with_name("b"), f"{bucket}/b.mp4").error_class == "not_found"
