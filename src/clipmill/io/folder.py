"""A folder on any storage that fsspec knows, with atomic writes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any, cast

from fsspec.implementations.local import LocalFileSystem

from clipmill.core.errors import UserError
from clipmill.core.redact import redact_url
from clipmill.io.filesystem import open_filesystem
from clipmill.io.remote import RemoteFile, from_remote, to_remote


class Folder:
    """A folder given as a local path or a URL such as ``s3://bucket/videos``.

    What is missing is a ``FileNotFoundError`` everywhere, and what else goes wrong on a local disk
    an ``OSError``; whatever a library for remote storage raises becomes a ``StorageError``.

    Args:
        url: where; created on the first write.

    Raises:
        UserError: the URL's protocol is unknown or its library is not installed.
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self.url = os.fspath(url)
        self.fs, self.root = open_filesystem(self.url)
        self.is_local = isinstance(self.fs, LocalFileSystem)

    def __repr__(self) -> str:
        return f"Folder({redact_url(self.url)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Folder, (self.url,))

    def path(self, name: str = "") -> str:
        """Full path of a member inside its file system, refusing names that leave the folder."""
        if name.startswith("/") or ".." in name.split("/"):
            raise UserError(f"{name!r} is not a name inside {self.url}")
        return f"{self.root.rstrip('/')}/{name}" if name else self.root

    def local(self, name: str = "") -> Path:
        """The same as a ``Path``; only for local folders."""
        return Path(self.path(name))

    def url_of(self, name: str) -> str:
        """URL that opens a member from anywhere."""
        path = self.path(name)
        return path if self.is_local else cast(str, self.fs.unstrip_protocol(path))

    def exists(self, name: str = "") -> bool:
        """Whether a member (or the folder itself) exists."""
        if self.is_local:  # not by fsspec, to which Ctrl-C at that moment is a file that is missing
            return os.path.lexists(self.path(name))
        with self._reading(name):
            return bool(self.fs.exists(self.path(name)))

    def list(self) -> list[str]:
        """Names directly inside, sorted; empty when the folder does not exist."""
        self.fs.invalidate_cache(self.root)
        try:
            with self._reading(""):
                found = self.fs.ls(self.root, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for path in found if (name := path.rstrip("/").rsplit("/", 1)[-1]))

    def open(self, name: str) -> IO[bytes]:
        """Open a member for reading bytes."""
        with self._reading(name):
            file = self.fs.open(self.path(name), "rb")
        return cast(IO[bytes], file if self.is_local else RemoteFile(file, self.url_of(name)))

    def read_bytes(self, name: str) -> bytes:
        """A member's whole content."""
        with self._reading(name):
            return cast(bytes, self.fs.cat_file(self.path(name)))

    def read_json(self, name: str) -> Any:
        """A JSON member, parsed.

        Raises:
            ValueError: it is no JSON.
        """
        return json.loads(self.read_bytes(name))

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a member so that it is there whole or not at all."""
        if not self.is_local:
            with to_remote(self.url_of(name)):
                self.fs.pipe_file(self.path(name), data)
            return
        final = self.local(name)
        final.parent.mkdir(parents=True, exist_ok=True)
        draft = final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            draft.write_bytes(data)
            os.replace(draft, final)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON member atomically."""
        self.write_bytes(name, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())

    def put(self, local: Path, name: str) -> None:
        """Move a local file or folder here; on a local disk by one rename."""
        if not self.is_local:
            with to_remote(self.url_of(name)):
                if local.is_dir():
                    self.fs.put(f"{local}/", f"{self.path(name)}/", recursive=True)
                else:
                    self.fs.put_file(str(local), self.path(name))
            return
        final = self.local(name)
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.is_dir():
            shutil.rmtree(final)
        try:
            os.replace(local, final)
        except OSError as error:
            if error.errno != errno.EXDEV:  # the staging folder is on another disk
                raise
            _move_over(local, final)

    def remove(self, name: str) -> None:
        """Remove a member or a folder inside, if it exists."""
        if self.exists(name):
            with nullcontext() if self.is_local else to_remote(self.url_of(name), "removed"):
                self.fs.rm(self.path(name), recursive=True)

    def _reading(self, name: str) -> AbstractContextManager[None]:
        return nullcontext() if self.is_local else from_remote(self.url_of(name))


def _move_over(local: Path, final: Path) -> None:
    """Move to another disk; whatever cuts it off, one of both is there, whole."""
    draft = final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        _copy(local, draft)
        os.replace(draft, final)
    except OSError:
        _discard(draft)
        raise
    moved = local.with_name(f".{local.name}.moved")  # never half a folder under its own name
    os.replace(local, moved)
    _discard(moved)


def _copy(source: Path, target: Path) -> None:
    """Copy a file or folder, and stop at the first that fails; shutil's own goes on regardless."""
    if not source.is_dir():
        shutil.copyfile(source, target)
        return
    target.mkdir()
    for part in source.iterdir():
        _copy(part, target / part.name)


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
