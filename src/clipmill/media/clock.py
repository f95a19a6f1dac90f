"""What the times in a file are worth: clocks jump, and single times are damaged."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

MISSING = int(np.iinfo(np.int64).min)
"""Stands for a timestamp that a packet does not have."""
_ASTRAY_SECONDS = 10
_MAX_TICKS = 2**62


def known_times(ticks: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Times as int64, with ``MISSING`` in place of a broken file's nonsense."""
    return np.where((ticks > -_MAX_TICKS) & (ticks < _MAX_TICKS), ticks, MISSING)


def astray(pts: np.ndarray[Any, Any], time_base: Fraction) -> np.ndarray[Any, Any]:
    """Which times are far from both neighbours', which are near each other: damaged ones.

    Args:
        pts: int64 (N,), in ticks, in order of decoding.
        time_base: seconds per tick.

    Returns:
        bool (N,).
    """
    found = np.zeros(len(pts), dtype=bool)
    if len(pts) > 2:
        far = float(_ASTRAY_SECONDS / time_base)
        times = pts.astype(np.float64)
        steps, apart = np.abs(np.diff(times)) > far, np.abs(times[2:] - times[:-2]) > far
        beside = (pts[2:] != MISSING) & (pts[:-2] != MISSING)
        found[1:-1] = steps[:-1] & steps[1:] & ~apart & beside
    return found


def forward(
    pts: np.ndarray[Any, Any],
    duration: np.ndarray[Any, Any],
    keyframe: np.ndarray[Any, Any],
    second: int,
) -> np.ndarray[Any, Any]:
    """Times that go on where a file's clock jumps back, as in joined broadcasts.

    Whatever is decoded before a key frame is shown before it, in every codec; so a key frame that
    claims to be earlier begins a new count. One that is only a little early is held back instead,
    else every such slip would move sound and picture apart.
    """
    latest = np.maximum.accumulate(pts)
    if not (keyframe[1:] & (pts[1:] < latest[:-1])).any():
        return pts
    times, shift, last, end = [], 0, int(pts[0]), int(pts[0])
    for time, length, is_key in zip(
        pts.tolist(), duration.tolist(), keyframe.tolist(), strict=True
    ):
        time += shift
        if is_key and time < last - second:
            shift += end - time
            time = end
        elif is_key:
            time = max(time, last)
        times.append(time)
        if time >= last:
            last, end = time, time + max(length, 1)
    return np.array(times, dtype=np.int64)
