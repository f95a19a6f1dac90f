"""The least that must be decoded for some frames of a video."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from clipmill.media.frame_index import FrameIndex


class Stretch(NamedTuple):
    """Packets that are decoded one after the other, in order of decoding.

    Args:
        first: where decoding begins: a key frame, or the file's first packet.
        last: the last one with a wanted frame, inclusive.
        wanted: number of the first frame that is wanted of it.
    """

    first: int
    last: int
    wanted: int


def plan(index: FrameIndex, numbers: np.ndarray[Any, Any]) -> list[Stretch]:
    """The stretches that yield some frames; packets between them need not be decoded.

    Args:
        index: the source's frames.
        numbers: int64 (N,), rising; at least one.
    """
    serials = index.packet[numbers]
    if index.ordered_by_decoder:
        # Where a frame will come out is not known before; nor by how much frames are moved.
        return [Stretch(0, len(index.packets.number) - 1, int(numbers[0]))]
    starts = _starts(index, serials)
    order = np.argsort(serials)
    serials, starts, numbers = serials[order], starts[order], numbers[order]
    # A frame may need an earlier start than those whose packets come before its own.
    starts = np.minimum.accumulate(starts[::-1])[::-1]
    begins = np.flatnonzero(starts[1:] > serials[:-1] + 1) + 1
    firsts = np.concatenate(([0], begins))
    lasts = np.append(begins, len(serials)) - 1
    wanted = np.minimum.reduceat(numbers, firsts)
    return [
        Stretch(*stretch)
        for stretch in zip(
            starts[firsts].tolist(), serials[lasts].tolist(), wanted.tolist(), strict=True
        )
    ]


def earlier(index: FrameIndex, stretch: Stretch) -> Stretch:
    """The same stretch, begun one key frame earlier."""
    keyframes = np.flatnonzero(index.packets.keyframe[: stretch.first])
    return stretch._replace(first=int(keyframes[-1]) if len(keyframes) else 0)


def _starts(index: FrameIndex, serials: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Where decoding must begin for each of some packets.

    At the last key frame that is neither decoded nor shown after it: what is decoded after a key
    frame and shown before it (an open GOP's leading pictures) leans on what came before.
    """
    keyframes = np.flatnonzero(index.packets.keyframe)
    times = index.packets.time
    place = np.searchsorted(keyframes, serials, side="right") - 1
    while True:
        known = place >= 0
        early = np.zeros_like(known)
        early[known] = times[keyframes[place[known]]] > times[serials[known]]
        if not early.any():
            break
        place[early] -= 1
    return np.where(place >= 0, keyframes[np.maximum(place, 0)] if len(keyframes) else 0, 0)
