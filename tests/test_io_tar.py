"""Tars written by hand are read by everyone; everyone's tars are read by their headers."""

import gzip
import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

import fsspec
import pytest

from clipmill.core.errors import InputError, ShardError
from clipmill.io.append import AppendFile
from clipmill.io.byte_reader import ByteReader
from clipmill.io.tar import TarReader, TarWriter, iter_members
from clipmill.io.tar_header import member_header

LONG = "deep/" * 30 + "x" * 60 + ".mp4"
UNSPLITTABLE = "y" * 150 + ".mp4"
NAMES = ["00000.mp4", "a/b.json", LONG, UNSPLITTABLE, "ünïcode-日本.txt", "z" * 100]


def write(path: Path, members: dict[str, bytes]) -> list[tuple[int, int, str]]:
    tar = TarWriter(path)
    places = [tuple(tar.add(name, data)) for name, data in members.items()]
    tar.close()
    return places


def contents(path: Path) -> dict[str, bytes]:
    with TarReader(path) as tar:
        return {member.name: tar.read(member) for member in tar}


@pytest.fixture
def members() -> dict[str, bytes]:
    return {name: bytes([number]) * (number * 511) for number, name in enumerate(NAMES)}


def test_tarfile_and_gnu_tar_read_what_is_written(tmp_path, members):
    write(tmp_path / "x.tar", members)
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert {info.name: tar.extractfile(info).read() for info in tar} == members
        assert {(info.mode, info.mtime, info.uid, info.gid) for info in tar} == {(0o644, 0, 0, 0)}
    (tmp_path / "out").mkdir()
    done = subprocess.run(
        ["tar", "xf", tmp_path / "x.tar", "-C", tmp_path / "out"], capture_output=True, check=True
    )
    assert done.stderr == b""
    assert {name: (tmp_path / "out" / name).read_bytes() for name in members} == members


def stretch(source, offset, size):
    with ByteReader(source) as file:
        return file.read(offset, size)


def test_places_lead_to_the_bytes(tmp_path, members):
    places = write(tmp_path / "x.tar", members)
    for (offset, size, sha256), data in zip(places, members.values(), strict=True):
        assert stretch(tmp_path / "x.tar", offset, size) == data
        assert sha256 == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "x.tar").stat().st_size % 10240 == 0
    assert [(m.offset, m.size) for m in iter_members(tmp_path / "x.tar")] == [
        place[:2] for place in places
    ]


@pytest.mark.parametrize(
    "dialect", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=str
)
def test_dialects_of_tarfile_are_read(tmp_path, members, dialect):
    if dialect == tarfile.USTAR_FORMAT:
        members.pop(UNSPLITTABLE)
    with tarfile.open(tmp_path / "x.tar", "w", format=dialect) as tar:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, UNSPLITTABLE * 2 if dialect else "00000.mp4"
        tar.addfile(link)
    assert contents(tmp_path / "x.tar") == members


@pytest.mark.parametrize("dialect", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_dialects_of_gnu_tar_are_read(tmp_path, dialect):
    names = ["00000.mp4", "00000.json"] + ([] if dialect in ("v7", "ustar") else [UNSPLITTABLE])
    for name in names:
        (tmp_path / name).write_bytes(name.encode() * 100)
    options = ["--format", dialect, "--hard-dereference", "-C", tmp_path, "-cf", tmp_path / "x.tar"]
    subprocess.run(["tar", *options, *names], check=True)
    assert contents(tmp_path / "x.tar") == {name: name.encode() * 100 for name in names}


@pytest.mark.parametrize("name", ["long.mp4", "ü.mp4"])
def test_more_than_eight_gigabytes(tmp_path, name):
    size = 9 * 2**30 + 1
    path = tmp_path / "big.tar"
    with path.open("wb") as file:  # sparse: takes no room
        head = member_header(name, size)
        file.write(head)
        file.seek(size + 511 - (size - 1) % 512, os.SEEK_CUR)
        file.write(member_header("after.txt", 3) + b"abc" + bytes(509 + 1024))
    with tarfile.open(path) as tar:
        assert [(info.name, info.size) for info in tar] == [(name, size), ("after.txt", 3)]
    listed = subprocess.run(["tar", "tvf", path], capture_output=True, check=True, text=True)
    assert str(size) in listed.stdout
    assert [tuple(m)[::2] for m in iter_members(path)] == [(name, size), ("after.txt", 3)]
    with tarfile.open(tmp_path / "pax.tar", "w") as tar:
        info = tarfile.TarInfo(name)
        info.size = size
        pax = info.tobuf(tarfile.PAX_FORMAT)
    (tmp_path / "pax.tar").write_bytes(pax)
    os.truncate(tmp_path / "pax.tar", len(pax) + size)
    assert next(iter_members(tmp_path / "pax.tar")).size == size


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../up.mp4", "a/../../b", "a//b", "", ".", "a/", "nul\0.mp4", "a\\b", "\n"],
)
def test_hostile_names_are_refused(tmp_path, name):
    tar = TarWriter(tmp_path / "x.tar")
    with pytest.raises(ValueError, match="not a safe name"):
        tar.add(name, b"x")
    assert tar.tell() == 0
    tar.close()


@pytest.mark.parametrize("known", [True, False], ids=["sha256 known", "sha256 unknown"])
@pytest.mark.parametrize("size", [0, 511, 512, 3_000_001])
def test_files_are_copied_in(tmp_path, size, known):
    data = os.urandom(size)
    (tmp_path / "in.mp4").write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    tar = TarWriter(tmp_path / "x.tar")
    stored = tar.add("a.mp4", tmp_path / "in.mp4", sha256=sha256 if known else None)
    tar.add("b.txt", b"after")
    tar.close()
    assert (stored.size, stored.sha256) == (size, sha256)
    assert contents(tmp_path / "x.tar") == {"a.mp4": data, "b.txt": b"after"}


def test_files_are_copied_where_the_kernel_refuses(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    (tmp_path / "in.mp4").write_bytes(b"x" * 2_500_000)
    tar = TarWriter(tmp_path / "x.tar")
    tar.add("a.mp4", tmp_path / "in.mp4", sha256="known")
    tar.close()
    assert contents(tmp_path / "x.tar") == {"a.mp4": b"x" * 2_500_000}


def test_a_killed_writer_is_continued(tmp_path, members):
    write(tmp_path / "whole.tar", members)
    first = TarWriter(tmp_path / "x.tar")
    names = list(members)
    for name in names[:3]:
        first.add(name, members[name])
    position = first.tell()
    first.add(names[3], b"not journalled")
    first.abandon()

    second = TarWriter(tmp_path / "x.tar")
    second.truncate(position)
    for name in names[3:]:
        second.add(name, members[name])
    second.close()
    assert (tmp_path / "x.tar").read_bytes() == (tmp_path / "whole.tar").read_bytes()


def test_a_failed_member_leaves_the_tar_as_before(tmp_path, monkeypatch):
    tar = TarWriter(tmp_path / "x.tar")
    tar.add("a.mp4", b"a")
    before = tar.tell()
    with pytest.raises(FileNotFoundError):
        tar.add("b.mp4", tmp_path / "missing.mp4")
    (tmp_path / "big").write_bytes(bytes(2_000_000))
    monkeypatch.setattr(AppendFile, "copy", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tar.add("b.mp4", tmp_path / "big", sha256="known")
    assert tar.tell() == before
    tar.add("c.mp4", b"c")
    tar.close()
    assert contents(tmp_path / "x.tar") == {"a.mp4": b"a", "c.mp4": b"c"}


def test_lost_work_is_noticed(tmp_path):
    tar = TarWriter(tmp_path / "x.tar")
    with pytest.raises(ShardError, match="0 bytes where an earlier worker had written 512"):
        tar.truncate(512)
    tar.close()


def test_a_file_that_shrinks_is_noticed(tmp_path):
    (tmp_path / "in").write_bytes(b"123")
    file = AppendFile(tmp_path / "out")
    with pytest.raises(ShardError, match="3 bytes, not the 10"):
        file.copy(tmp_path / "in", 10, None)
    file.close()


def test_storages_and_open_files(tmp_path, members):
    write(tmp_path / "x.tar", members)
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/tars/x.tar", (tmp_path / "x.tar").read_bytes())
    expected = list(iter_members(tmp_path / "x.tar"))
    assert list(iter_members("memory://tars/x.tar")) == expected
    with memory.open("/tars/x.tar") as file:
        assert list(iter_members(file)) == expected
        assert not file.closed
    offset, size = expected[3][1:]
    assert stretch("memory://tars/x.tar", offset, size) == members[expected[3].name]
    memory.rm("/tars", recursive=True)


def test_a_cut_off_tar_gives_what_is_whole_then_says_so(tmp_path, members):
    places = write(tmp_path / "x.tar", members)
    os.truncate(tmp_path / "x.tar", places[4][0] + 5)
    found = []
    with pytest.raises(InputError, match=r"x\.tar is cut short: ünïcode-日本\.txt would end"):
        found.extend(member.name for member in iter_members(tmp_path / "x.tar"))
    assert found == NAMES[:4]
    os.truncate(tmp_path / "x.tar", places[1][0] - 100)
    with pytest.raises(InputError, match="the header at"):
        list(iter_members(tmp_path / "x.tar"))


def test_a_tar_without_its_end_is_read(tmp_path, members):
    tar = TarWriter(tmp_path / "x.tar")
    tar.add("a.mp4", b"a")
    tar.abandon()
    assert contents(tmp_path / "x.tar") == {"a.mp4": b"a"}


def test_what_is_no_tar_is_said(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        list(iter_members(tmp_path / "missing.tar"))
    (tmp_path / "x.tar").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        list(iter_members(tmp_path / "x.tar"))
    (tmp_path / "x.tar").write_bytes(gzip.compress(bytes(1024)))
    with pytest.raises(InputError, match=r"compressed with gzip.*gunzip"):
        list(iter_members(tmp_path / "x.tar"))
    (tmp_path / "x.tar").write_bytes(b"<html>not found</html>".ljust(2048))
    with pytest.raises(InputError, match="not a readable tar, at byte 0: its checksum is wrong"):
        list(iter_members(tmp_path / "x.tar"))


def test_a_damaged_header_is_noticed(tmp_path):
    places = write(tmp_path / "x.tar", {"a.mp4": b"a", "b.mp4": b"b"})
    data = bytearray((tmp_path / "x.tar").read_bytes())
    data[places[1][0] - 512] ^= 1
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(InputError, match="at byte 1024: its checksum is wrong"):
        list(iter_members(tmp_path / "x.tar"))


def test_an_absurd_extension_header_is_refused(tmp_path):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 10**12
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(InputError, match="an extension header of 1000000000000 bytes"):
        list(iter_members(tmp_path / "x.tar"))


def test_sparse_members_are_refused(tmp_path):
    with (tmp_path / "sparse.mp4").open("wb") as file:
        file.truncate(10**6)
    options = ["--sparse", "-C", tmp_path, "-cf", tmp_path / "x.tar", "sparse.mp4"]
    for dialect in ("gnu", "posix"):
        subprocess.run(["tar", "--format", dialect, *options], check=True)
        with pytest.raises(InputError, match="stored sparse"):
            list(iter_members(tmp_path / "x.tar"))
