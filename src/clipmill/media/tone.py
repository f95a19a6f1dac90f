"""High dynamic range made fit for eight bits: tone mapping, and BT.2020 colours as BT.709 ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import av
import numpy as np

Array = np.ndarray[Any, Any]

_PQ = 16
_HLG = 18
# Of what most is graded for; what a file says of its own peak does not reach PyAV.
_SOURCE_NITS = 1000.0
# Reference white of HDR (ITU-R BT.2408), which becomes the peak of the eight bits.
_TARGET_NITS = 203.0
_CURVE_STEPS = 4096
_DISPLAY_GAMMA = 2.4  # ITU-R BT.1886
_HLG_GAMMA = 1.2  # ITU-R BT.2100, table 5, for a display of 1000 nits
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
# ITU-R BT.2087, of linear light, from BT.2020 to BT.709.
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    dtype=np.float32,
)


def is_hdr(frame: Any) -> bool:
    """Whether a frame's values mean more light than eight bits can show."""
    return frame.color_trc in (_PQ, _HLG)


def tone_mapped(frame: Any) -> Any:
    """A picture for BT.709 displays, as ``rgb24``, of one in PQ or HLG and BT.2020.

    Each component goes through the curve of ITU-R BT.2390-10, 5.4.1 (EETF), from 1000 to 203
    nits; it leaves all below 93 nits as it is and rolls off above.

    Args:
        frame: in format ``rgb48le``, full range.
    """
    codes = frame.to_ndarray()
    nits = _nits(frame.color_trc)[codes]
    if frame.color_trc == _HLG:
        light = (nits @ _LUMA_2020)[..., None]
        nits = _SOURCE_NITS * nits * np.power(light, _HLG_GAMMA - 1)
    steps = np.sqrt(np.clip(nits, 0, _SOURCE_NITS) / _SOURCE_NITS) * (_CURVE_STEPS - 1)
    linear = _curve()[(steps + 0.5).astype(np.int32)]
    linear = np.clip(linear @ _TO_709.T, 0, 1)
    # The table's steps are even in square root, as codes are nearly.
    shades = _shades()[(np.sqrt(linear) * (_CURVE_STEPS - 1) + 0.5).astype(np.int32)]
    mapped = av.VideoFrame.from_ndarray(shades, format="rgb24")
    mapped.pts, mapped.time_base = frame.pts, frame.time_base
    return mapped


@cache
def _nits(transfer: int) -> Array:
    """Light of each 16-bit code: in nits for PQ, of the scene from 0 to 1 for HLG."""
    codes = np.arange(2**16) / (2**16 - 1)
    if transfer == _PQ:
        return _from_pq(codes).astype(np.float32)
    # ITU-R BT.2100, table 5: the inverse of HLG's OETF.
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)
    return scene.astype(np.float32)


@cache
def _curve() -> Array:
    """Light to show, 1 for the peak, for even steps of the square root of a component's light."""
    source = _to_pq(np.linspace(0, 1, _CURVE_STEPS) ** 2 * _SOURCE_NITS)
    peak = float(_to_pq(np.array(_SOURCE_NITS)))
    shown, highest = source / peak, float(_to_pq(np.array(_TARGET_NITS))) / peak
    knee = 1.5 * highest - 0.5
    t = (shown - knee) / (1 - knee)
    roll = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * highest
    )
    nits = _from_pq(np.where(shown < knee, shown, roll) * peak)
    return (nits / _TARGET_NITS).astype(np.float32)


@cache
def _shades() -> Array:
    linear = np.linspace(0, 1, _CURVE_STEPS) ** 2
    return (linear ** (1 / _DISPLAY_GAMMA) * 255 + 0.5).astype(np.uint8)


# SMPTE ST 2084.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def _from_pq(codes: Array) -> Array:
    power = np.power(codes, 1 / _M2)
    return 10_000 * np.power(np.maximum(power - _C1, 0) / (_C2 - _C3 * power), 1 / _M1)


def _to_pq(nits: Array) -> Array:
    power = np.power(nits / 10_000, _M1)
    return np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)
