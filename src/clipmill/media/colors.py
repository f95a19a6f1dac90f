"""Names of libav's colour numbers, and what they say about dynamic range."""

from __future__ import annotations

from typing import Any

PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}
SPACES = {
    0: "gbr",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    11: "smpte2085",
    12: "chroma-derived-nc",
    13: "chroma-derived-c",
    14: "ictcp",
}
RANGES = {1: "tv", 2: "pc"}

_BT2020 = 9
_PQ = 16
_HLG = 18


def hdr_kind(context: Any, bit_depth: int | None, *, dolby_vision: bool) -> str:
    """Which kind of high dynamic range a codec context's colours mean; ``sdr`` when none.

    Args:
        context: PyAV's codec context of a video.
        bit_depth: bits per colour component; None when unknown.
        dolby_vision: whether the stream carries a Dolby Vision record.
    """
    if dolby_vision:
        return "dolby_vision"
    if context.color_trc == _HLG:
        return "hlg"
    if context.color_trc == _PQ:
        hdr10 = context.color_primaries == _BT2020 and (bit_depth or 0) >= 10
        return "hdr10" if hdr10 else "pq"
    return "sdr"
