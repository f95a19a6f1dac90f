"""What is said when this machine's disk takes no more, whichever process notices it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from clipmill.core.errors import RunError

_NO_ROOM = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EMFILE,
    errno.ENFILE,
)


def is_no_room(error: BaseException) -> bool:
    """Whether the machine, and not what was written, is why it failed."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def no_room(error: OSError, place: str | os.PathLike[str]) -> RunError:
    """The error of a run that was stopped by it.

    Args:
        error: as the system told it.
        place: what was written to, where the error does not tell.
    """
    written = error.filename2 or error.filename or place  # a copy names what it reads first
    return RunError(
        f"{error.strerror or error} while writing {written}. Nothing finished is lost: make room "
        "there (or choose another --temp-dir, if it lies in that) and give the same command again."
    )


@contextmanager
def room_needed(place: str | os.PathLike[str]) -> Iterator[None]:
    """Turn a full disk into advice.

    Args:
        place: what is written to, where the error does not tell.

    Raises:
        RunError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if not is_no_room(error):
            raise
        raise no_room(error, place) from error
