"""A folder anywhere: what its storage's library raises becomes one error that says what to do."""

import errno
import io
import os
import pickle
import resource
from contextlib import contextmanager

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from clipmill.core.errors import InputError, ShardError, StorageError, UserError
from clipmill.io.byte_reader import ByteReader
from clipmill.io.folder import Folder
from clipmill.io.layout import read_manifest, read_stats, shard_order


class ForeignError(Exception):
    """What a storage library has of its own."""


class RefusingFileSystem(MemoryFileSystem):
    """A store that lists and opens nothing."""

    protocol = "refusing"

    def _refuse(self, *args, **kwargs):
        raise ForeignError("Access Denied to https://x?token=hunter2")

    ls = cat_file = pipe_file = put_file = rm = exists = _refuse

    def _open(self, path, mode="rb", **kwargs):
        if path.endswith("opens"):
            return _Broken()
        return self._refuse()


class _Broken(io.BytesIO):
    """A file whose bytes cannot be had once it is open."""

    def seek(self, *args):
        raise ForeignError("connection lost")

    def read(self, *args):
        raise ForeignError("connection lost")


fsspec.register_implementation("refusing", RefusingFileSystem, clobber=True)


@pytest.mark.parametrize(
    ("verb", "act"),
    [
        ("read", lambda folder, _: folder.list()),
        ("read", lambda folder, _: folder.exists("x")),
        ("read", lambda folder, _: folder.open("x")),
        ("read", lambda folder, _: folder.read_bytes("x")),
        ("read", lambda folder, _: folder.open("opens").read()),
        ("read", lambda folder, _: ByteReader(folder.url_of("opens"))),
        ("written", lambda folder, _: folder.write_bytes("x", b"")),
        ("written", lambda folder, file: folder.put(file, "x")),
    ],
)
def test_a_foreign_error_becomes_ours_and_keeps_its_cause(tmp_path, verb, act):
    (tmp_path / "file").write_bytes(b"data")
    with pytest.raises(StorageError) as caught:
        act(Folder("refusing://bucket/out"), tmp_path / "file")
    told = str(caught.value)
    assert f"cannot be {verb}: " in told
    assert "bucket/out" in told
    assert "hunter2" not in told
    assert isinstance(caught.value.__cause__, ForeignError)
    assert "\n" not in told


def test_it_is_tried_again_in_a_run_and_exit_2_elsewhere():
    error = pickle.loads(pickle.dumps(StorageError("gone")))
    assert isinstance(error, ShardError)
    assert isinstance(error, UserError)
    assert error.exit_code == 2


def test_what_is_missing_is_told_as_on_a_local_disk(tmp_path):
    for folder in (Folder("memory://nothing-here"), Folder(tmp_path / "nothing")):
        assert folder.list() == []
        for read in (folder.open, folder.read_bytes):
            with pytest.raises(FileNotFoundError):
                read("x")


def test_a_local_disk_keeps_its_own_errors(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file") as caught:
        Folder(tmp_path / "file").write_bytes("x", b"")
    assert not isinstance(caught.value, UserError)


def test_an_interrupt_is_no_missing_file(tmp_path, monkeypatch):
    """fsspec's own answer to whatever happens while it looks is that nothing is there."""
    (tmp_path / "a").touch()
    folder = Folder(str(tmp_path))

    def interrupted(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "lstat", interrupted)
    monkeypatch.setattr(os, "stat", interrupted)
    with pytest.raises(KeyboardInterrupt):
        folder.exists("a")


def test_a_remote_file_is_read_in_any_order():
    folder = Folder("memory://any-order")
    folder.write_bytes("x", b"0123456789")
    with folder.open("x") as file:
        assert file.seek(4) == 4
        assert file.read(2) == b"45"
        assert file.tell() == 6
        assert file.read() == b"6789"
    assert file.closed
    folder.remove("x")


@contextmanager
def _files_of_at_most(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_move_to_another_disk_that_is_cut_off_loses_nothing(tmp_path, monkeypatch, is_folder):
    staged, out = tmp_path / "staged", tmp_path / "out"
    if is_folder:
        staged.mkdir()
    file = staged / "a.mp4" if is_folder else staged
    file.write_bytes(bytes(5000))
    replace, tries = os.replace, []

    def other_disk(source, target):
        tries.append(source)
        if (source, target) == (staged, out / "00000"):
            raise OSError(errno.EXDEV, "another disk")
        if len(tries) == 3:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", other_disk)
    with _files_of_at_most(1000), pytest.raises(OSError, match="too large") as full:
        Folder(out).put(staged, "00000")
    assert full.value.filename2.startswith(f"{out}/.00000.")
    assert list(out.iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        Folder(out).put(staged, "00000")
    assert file.stat().st_size == 5000
    Folder(out).put(staged, "00000")
    assert not staged.exists()
    assert (out / "00000" / "a.mp4" if is_folder else out / "00000").stat().st_size == 5000


@pytest.mark.parametrize(
    "content", [b'{"count": 3', b"", b"\xff\xfe\x00garbage", b"[1, 2]", b"null", b"{}"]
)
def test_damaged_descriptions_are_named_with_a_way_out(tmp_path, content):
    folder = Folder(tmp_path)
    for name in ("dataset.json", "00007_stats.json"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"dataset\.json is damaged: .* --overwrite"):
        read_manifest(folder)
    with pytest.raises(InputError, match=r"00007_stats\.json is damaged: .* redoes this shard"):
        read_stats(folder, "00007")


def test_shards_sort_by_number_then_volume():
    names = ["100000", "99999-10", "00002", "99999", "99999-2", "extra"]
    assert sorted(names, key=shard_order) == [
        "extra", "00002", "99999", "99999-2", "99999-10", "100000",
    ]  # fmt: skip
