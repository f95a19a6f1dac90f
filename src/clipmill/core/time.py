"""Exact time inside, seconds outside: rational timestamps and half-open spans."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

ROUNDED_SECONDS = Fraction(1, 1000)
"""Matroska, WebM, FLV and people round times to a millisecond; a difference adds two of them."""
_CLOCK = re.compile(r"^\s*(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)\s*$")
MAX_SECONDS = 10**12
"""Where times end; beyond it numbers of other programs, such as floats, do too."""
_SECONDS = re.compile(r"^\s*\d+(?:\.\d+)?\s*s?\s*$")


def parse_seconds(value: str | int | float | Fraction) -> Fraction:
    """Read a point in time exactly.

    Args:
        value: seconds as a number or text (``12``, ``"12.5"``, ``"12.5s"``), or a clock time
            (``MM:SS``, ``HH:MM:SS``, ``HH:MM:SS.mmm``). A float is read by its shortest decimal
            form, so ``0.1`` is one tenth exactly.

    Raises:
        ValueError: the value is negative, not finite, or not a time.
    """
    if isinstance(value, str):
        clock = _CLOCK.match(value)
        if clock:
            hours, minutes, seconds = clock.groups()
            return _checked(int(hours or 0) * 3600 + int(minutes) * 60 + Fraction(seconds))
        if not _SECONDS.match(value):
            raise ValueError(f"{value!r} is not a time: give seconds or HH:MM:SS.mmm")
        return _checked(Fraction(value.strip().rstrip("s").strip()))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value!r} is not a finite time")
        value = Fraction(repr(value))
    return _checked(Fraction(value))


def _checked(time: Fraction) -> Fraction:
    if time < 0:
        raise ValueError("a time before the start of the source is not a time in it")
    if time > MAX_SECONDS:
        raise ValueError(f"more than {MAX_SECONDS} seconds is not a time in a source")
    return time


def format_clock(seconds: Fraction | float) -> str:
    """Write a time as ``HH:MM:SS.mmm``, rounded to the nearest millisecond."""
    milliseconds = round(Fraction(seconds) * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open stretch ``[start, end)`` of a source, in exact seconds from its first timestamp.

    Args:
        start: first instant inside, in seconds.
        end: first instant after, in seconds; greater than ``start``.

    Raises:
        ValueError: the span is empty, reversed or starts before zero.
    """

    start: Fraction
    end: Fraction

    def __post_init__(self) -> None:
        if self.start < 0:
            raise ValueError(f"span starts at {float(self.start)} s, before the source does")
        if self.end <= self.start:
            raise ValueError(
                f"span [{float(self.start)}, {float(self.end)}) is empty or reversed: "
                "its end must be greater than its start"
            )

    @classmethod
    def parse(cls, pair: Iterable[str | int | float]) -> Span:
        """Read a ``[start, end]`` pair of seconds or clock times."""
        values = list(pair)
        if len(values) != 2:
            raise ValueError(f"{values!r} is not a [start, end] pair")
        return cls(parse_seconds(values[0]), parse_seconds(values[1]))

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Span:
        """Read a cell of a ``span`` column, exactly."""
        return cls(
            Fraction(row["start_ticks"], row["timescale"]),
            Fraction(row["end_ticks"], row["timescale"]),
        )

    def row(self) -> dict[str, Any]:
        """A cell of a ``span`` column: seconds for people, ticks of ``1 / timescale`` s exactly."""
        timescale = math.lcm(self.start.denominator, self.end.denominator)
        return {
            "start_seconds": float(self.start),
            "end_seconds": float(self.end),
            "start_ticks": int(self.start * timescale),
            "end_ticks": int(self.end * timescale),
            "timescale": timescale,
        }

    @property
    def duration(self) -> Fraction:
        """Length in exact seconds."""
        return self.end - self.start

    @property
    def start_seconds(self) -> float:
        """Start as a float, for tables and people."""
        return float(self.start)

    @property
    def end_seconds(self) -> float:
        """End as a float, for tables and people."""
        return float(self.end)
