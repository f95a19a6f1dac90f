"""How encoders take the channels of sound."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import av

USUAL_LAYOUTS = ("", "mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")
"""What so many channels are taken for whose file does not say how they are arranged."""
_SCRAMBLED = frozenset({("libopus", "5.0"), ("libopus", "6.1")})
"""Arrangements that libav takes, and whose channels it puts in each other's places."""
_PROOF_RATE = 48_000


def coded_layout(name: str, layout: str, channels: int) -> str | None:
    """How an encoder takes channels without mixing them; None when it does not.

    Args:
        name: libav's name of the encoder.
        layout: libav's name of how the channels are arranged.
        channels: how many.
    """
    if layout == f"{channels} channels" and channels < len(USUAL_LAYOUTS):
        layout = USUAL_LAYOUTS[channels]
    # Speakers at the sides and at the back are one to most decoders.
    alike = (layout.replace("(side)", ""), layout)
    return next((one for one in alike if _takes_layout(name, one)), None)


@cache
def _takes_layout(name: str, layout: str) -> bool:
    if (name, layout) in _SCRAMBLED:
        return False
    context: Any = av.CodecContext.create(name, "w")
    context.layout, context.sample_rate = layout, _PROOF_RATE
    context.format, context.time_base = (
        context.codec.audio_formats[0],
        Fraction(1, _PROOF_RATE),
    )
    try:
        context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True
