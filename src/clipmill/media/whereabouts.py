"""What a media process was at when it ended, so that it can be left out of the next try.

It is written into a file that the process has open from its start: that costs a microsecond, and
outlives a segmentation fault.
"""

from __future__ import annotations

import contextlib
import json
import os

_LONGEST_BYTES = 65536
_at: list[str] = []  # one job at a time is all that a media process does
_file: int | None = None


def tell_to(descriptor: int) -> None:
    """Write into this file from now on."""
    global _file
    _file = descriptor


def begin(*words: str) -> None:
    """Say that code is called now that may end the process, in words that the asker understands.

    Should it end, an error of it has them as ``details["at"]``.
    """
    global _at
    _at = list(words)
    if _file is not None:
        with contextlib.suppress(OSError):  # a full disk
            os.pwrite(_file, json.dumps(_at).encode() + b"\n", 0)


def end() -> None:
    """Say that it has returned."""
    begin()


def at() -> list[str]:
    """What was begun and has not returned."""
    return _at


def read(descriptor: int) -> list[str]:
    """What a process was at when it ended.

    Args:
        descriptor: of the file that it was to tell it to.
    """
    told = os.pread(descriptor, _LONGEST_BYTES, 0).partition(b"\n")[0]
    words: list[str] = json.loads(told) if told else []
    return words
