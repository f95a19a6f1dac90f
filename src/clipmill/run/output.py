"""The output folder of a run: its identity, its lock, and which shards are done."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from clipmill import __version__
from clipmill.core.config import fingerprint
from clipmill.core.errors import OutputError
from clipmill.core.keys import shard_name
from clipmill.core.registry import load
from clipmill.core.registry import names as registered
from clipmill.io.folder import Folder
from clipmill.io.layout import RUN_FOLDER, STATS_SUFFIX
from clipmill.run.recipe import Recipe

FORMAT_VERSION = 1
LOCK_FILE = f"{RUN_FOLDER}/lock"
_OURS = re.compile(r"\d+(-\d+)?([._].*)?|dataset\.json|columns|selections|_sources")
"""Names that a dataset's own files and folders have, but for the run's."""


def scratch_folder(output: Folder, temp_dir: str | None) -> Path:
    """Local folder for work in hand: inside a local output, so that a commit is one rename."""
    if output.is_local and temp_dir is None:
        return output.local(RUN_FOLDER) / "staging"
    base = Path(temp_dir) if temp_dir else Path(tempfile.gettempdir())
    scratch = base / f"clipmill-{os.getuid()}-{fingerprint(output.url_of(''))}"
    if scratch.exists() and scratch.stat().st_uid != os.getuid():
        raise OutputError(f"{scratch} belongs to somebody else. Choose another --temp-dir.")
    return scratch


def make_scratch(scratch: Path) -> None:
    """Make the folder for work in hand, where it is not there yet.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{scratch} cannot be made for work in hand: {error.strerror}. "
            "Choose another --temp-dir."
        ) from error


def clear(output: Folder, scratch: Path, layout: str | None = None) -> None:
    """Remove an earlier dataset: what makes shards count as done first, foreign files never.

    Args:
        output: its folder.
        scratch: local folder for work in hand.
        layout: the shard format it was written in; None for the usual one.
    """
    known = layout in registered("clipmill.formats")
    index = load("clipmill.formats", str(layout)).index_files if known else ()
    names = [name for name in output.list() if _OURS.fullmatch(name) or name in index]
    for name in sorted(names, key=lambda name: not name.endswith(".json")):
        output.remove(name)
    shutil.rmtree(scratch, ignore_errors=True)


def done_shards(output: Folder) -> set[str]:
    """Names of shards whose stats file exists."""
    return {
        name.removesuffix(STATS_SUFFIX) for name in output.list() if name.endswith(STATS_SUFFIX)
    }


class RunLock:
    """Keeps a second run from writing the same local folder; object stores have no such lock."""

    def __init__(self, output: Folder) -> None:
        self._fd: int | None = None
        if not output.is_local:
            return
        path = output.local(LOCK_FILE)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise OutputError(f"{output.url} cannot be written: {error.strerror}.") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._fd, 20, 0).decode() or "unknown"
            os.close(self._fd)
            raise OutputError(
                f"{output.url} is being written by another clipmill run (process {holder}). "
                "Wait for it, or stop it first."
            ) from error
        os.ftruncate(self._fd, 0)
        with suppress(OSError):  # it only tells others who we are
            os.pwrite(self._fd, str(os.getpid()).encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Let others in."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class WorkersPresent:
    """Held by every worker while it lives, so that a new run waits for those of a killed one.

    Args:
        scratch: local folder for work in hand.
    """

    def __init__(self, scratch: Path) -> None:
        make_scratch(scratch)
        self._fd = os.open(scratch / ".workers", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    @staticmethod
    def wait_until_gone(scratch: Path, timeout_seconds: float = 30.0) -> None:
        """Wait for workers of an earlier run whose main process died.

        Raises:
            OutputError: they are still there after ``timeout_seconds``, or there is no such folder.
        """
        make_scratch(scratch)
        fd = os.open(scratch / ".workers", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + timeout_seconds
        try:
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                except BlockingIOError as error:
                    if time.monotonic() > deadline:
                        raise OutputError(
                            f"Workers of an earlier run still write in {scratch}. "
                            "Stop them (clipmill.run.worker) and start again."
                        ) from error
                    time.sleep(0.1)
        finally:
            os.close(fd)


def describe(recipe: Recipe, run: str, inputs: list[dict[str, Any]]) -> dict[str, Any]:
    """Content of ``dataset.json``."""
    return {
        "format_version": FORMAT_VERSION,
        "tool": f"clipmill {__version__}",
        "run": run,
        "recipe": recipe.public_dump(),
        "fingerprint": recipe.fingerprint(),
        "identity": recipe.identity(),
        "inputs": inputs,
        "rows": sum(part["rows"] for part in inputs),
        "shards": sum(part["shards"] for part in inputs),
    }


def shard_ids(inputs: Iterable[dict[str, Any]]) -> list[int]:
    """Every shard id of a dataset, in order."""
    return [
        shard
        for part in inputs
        for shard in range(part["first_shard"], part["first_shard"] + part["shards"])
    ]


def shard_names(inputs: Iterable[dict[str, Any]], digits: int) -> list[str]:
    """Every shard name of a dataset, in order."""
    return [shard_name(shard, digits) for shard in shard_ids(inputs)]
