"""Where libraries' surprises become one row's failure, while bugs of ours stay what they are."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clipmill.core.errors import ClipmillError
from clipmill.core.redact import plain_text, redact_url
from clipmill.fetch.base import FetchRequest
from clipmill.fetch.failures import failure
from clipmill.fetch.target import disk_trouble

_OURS = Path(__file__).resolve().parents[1]
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_of_library(error: BaseException) -> bool:
    """Whether the innermost frame of an error's traceback lies outside clipmill."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and _OURS not in Path(frames[-1].filename).resolve().parents


@contextmanager
def surprises_of(request: FetchRequest) -> Iterator[None]:
    """Make what a library raises on what one row says or brings that row's failure.

    Raises:
        DownloadError: ``library``.
        RunError: this machine's disk is full.
    """
    try:
        yield
    except ClipmillError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            raise disk_trouble(request.target.parent, error) from error
        if not is_of_library(error):
            raise
        shown = plain_text(redact_url(request.url))
        raise failure(
            "library", f"{shown[:200]}: {type(error).__name__}: {error}", final_url=shown
        ) from error
