"""The file that is fetched into; when our own disk fails the run is in trouble, not the sample."""

from __future__ import annotations

import io
import os
from pathlib import Path

from clipmill.core.errors import RunError


def open_target(path: Path, *, over: bool = False) -> io.FileIO:
    """Open a file to write, or to write over.

    Args:
        path: where it lies.
        over: keep the bytes that lie there until they are written over; see ``cut_off``.

    Raises:
        RunError: the disk does not take it.
    """
    try:
        return io.FileIO(path, "wb", opener=_open_as_it_is if over else None)
    except OSError as error:
        raise disk_trouble(path.parent, error) from error


def _open_as_it_is(path: str, flags: int) -> int:
    return os.open(path, flags & ~os.O_TRUNC, 0o666)


def cut_off(file: io.FileIO, size: int) -> None:
    """Cut off what an earlier file left behind the first ``size`` bytes."""
    if os.fstat(file.fileno()).st_size > size:
        file.truncate(size)


def write_all(file: io.FileIO, data: bytes) -> None:
    """Write all of the data, however few bytes the system takes at once.

    Raises:
        RunError: the disk does not take it.
    """
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise disk_trouble(Path(str(file.name)).parent, error) from error


def disk_trouble(folder: Path, error: OSError) -> RunError:
    """The error of a folder that cannot be written to."""
    return RunError(
        f"{folder} cannot be written to: {error}. Make room or choose another --temp-dir; "
        "give the same command again."
    )
