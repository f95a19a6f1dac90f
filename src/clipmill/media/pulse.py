"""The pulse of a media process: work that gets on beats, a decoder that hangs does not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

_beats = 0  # one job at a time is all that a media process does
_is_unhurried = False


def beat() -> None:
    """Say that the job under way got on by a step: a packet, a frame, a buffer."""
    global _beats
    _beats += 1


def beats() -> int:
    """How often ``beat`` was called so far."""
    if _is_unhurried:
        beat()
    return _beats


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """What is done within is on no clock, such as importing libraries or fetching weights."""
    global _is_unhurried
    outer, _is_unhurried = _is_unhurried, True
    try:
        yield
    finally:
        _is_unhurried = outer
