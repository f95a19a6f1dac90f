"""Packets of one stream that are kept in memory, to be written into several files."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from clipmill.media.pyav import as_rational


class KeptPackets:
    """Packets that are as they were read each time they are given.

    A muxer changes the times of what it writes, but not the bytes.

    Args:
        packets: those with data, in order of decoding.
    """

    def __init__(self, packets: Sequence[Any]) -> None:
        self._packets = packets
        self._time_base = as_rational(packets[0].time_base) if packets else None
        self._times = [(packet.pts, packet.duration) for packet in packets]
        self._pts = [pts for pts, _ in self._times if pts is not None]
        self._is_ordered = len(self._pts) == len(packets) and all(
            before <= after for before, after in itertools.pairwise(self._pts)
        )

    def since(self, serial: int) -> Iterator[Any]:
        """Yield the packets from one on; their decoding times are whatever they are.

        Args:
            serial: the first packet, counted in order of decoding.
        """
        for number in range(serial, len(self._packets)):
            packet = self._packets[number]
            packet.time_base = self._time_base
            packet.pts, packet.duration = self._times[number]
            yield packet

    def since_ticks(self, ticks: int) -> Iterator[Any]:
        """Yield the packets from the last at a time on, or all where times are in no order."""
        serial = bisect.bisect_right(self._pts, ticks) - 1 if self._is_ordered else 0
        return self.since(max(serial, 0))
