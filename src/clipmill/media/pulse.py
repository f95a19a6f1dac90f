"""The pulse of a media process: work that gets on beats, a decoder that hangs does not."""

from __future__ import annotations

_beats = 0


def beat() -> None:
    """Say that the job under way got on by a step: a packet, a frame, a buffer."""
    global _beats  # one job at a time is all that a media process does
    _beats += 1


def beats() -> int:
    """How often ``beat`` was called so far."""
    return _beats
