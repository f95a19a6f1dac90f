"""H.264 as an mp4 holds it: parameter sets apart, and NAL units with their lengths in front.

Layouts after ISO/IEC 14496-15 (the ``avcC`` box) and ITU-T H.264, 7.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

SLICE, IDR_SLICE = 1, 5
_START_CODE = re.compile(rb"\x00\x00\x00?\x01")


@dataclass(frozen=True, slots=True)
class DecoderConfiguration:
    """The content of an ``avcC`` box.

    Args:
        profile: profile, compatibility and level: three bytes.
        length_size: bytes in front of each NAL unit that say its length.
        sps: sequence parameter sets.
        pps: picture parameter sets.
        tail: what follows them, in high profiles.
    """

    profile: bytes
    length_size: int
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    tail: bytes

    @classmethod
    def read(cls, data: bytes) -> DecoderConfiguration | None:
        """Read a box's content; None when it is something else."""
        if len(data) < 7 or data[0] != 1:
            return None
        sps, position = _read_sets(data, 6, data[5] & 31)
        if position >= len(data):
            return None
        pps, position = _read_sets(data, position + 1, data[position])
        return cls(data[1:4], (data[4] & 3) + 1, sps, pps, data[position:])

    def write(self) -> bytes:
        """The box's content."""
        head = b"\x01" + self.profile + bytes([0xFC | self.length_size - 1])
        parts = [head, bytes([0xE0 | len(self.sps)]), *map(_with_length, self.sps)]
        parts += [bytes([len(self.pps)]), *map(_with_length, self.pps), self.tail]
        return b"".join(parts)

    @property
    def ids(self) -> set[int]:
        """Numbers by which its parameter sets are known, of both kinds."""
        return {_golomb(unit[4:]) for unit in self.sps} | {_golomb(unit[1:]) for unit in self.pps}

    def with_sets(self, sps: Sequence[bytes], pps: Sequence[bytes]) -> DecoderConfiguration:
        """The same with further parameter sets, at the higher of both levels."""
        level = max(self.profile[2], *(unit[3] for unit in sps))
        return replace(
            self,
            profile=self.profile[:2] + bytes([level]),
            sps=(*self.sps, *sps),
            pps=(*self.pps, *pps),
        )


def split_stream(data: bytes) -> list[bytes]:
    """The NAL units of a stream with start codes."""
    return [unit for unit in _START_CODE.split(data) if unit]


def with_lengths(units: Iterable[bytes], length_size: int) -> bytes:
    """The slices among NAL units, each with its length in front."""
    slices = (unit for unit in units if unit[0] & 31 in (SLICE, IDR_SLICE))
    return b"".join(len(unit).to_bytes(length_size, "big") + unit for unit in slices)


def begins_anew(packet: bytes, length_size: int) -> bool:
    """Whether a packet holds an IDR picture, after which nothing before it counts."""
    position = 0
    while position + length_size < len(packet):
        length = int.from_bytes(packet[position : position + length_size], "big")
        kind = packet[position + length_size] & 31
        if kind in (SLICE, IDR_SLICE):
            return kind == IDR_SLICE
        position += length_size + length
    return False


def is_refresh(packet: bytes, extradata: bytes) -> bool:
    """Whether a packet in either layout holds an IDR picture, so that decoding can begin with it.

    Args:
        packet: of a file.
        extradata: what its decoder is told: the ``avcC`` box, or parameter sets with start codes.
    """
    configuration = DecoderConfiguration.read(extradata)
    if configuration:
        return begins_anew(packet, configuration.length_size)
    return any(unit[0] & 31 == IDR_SLICE for unit in split_stream(packet))


def _read_sets(data: bytes, position: int, count: int) -> tuple[tuple[bytes, ...], int]:
    sets = []
    for _ in range(count):
        length = int.from_bytes(data[position : position + 2], "big")
        sets.append(data[position + 2 : position + 2 + length])
        position += 2 + length
    return tuple(sets), position


def _with_length(unit: bytes) -> bytes:
    return len(unit).to_bytes(2, "big") + unit


def _golomb(data: bytes) -> int:
    """The unsigned Exp-Golomb number that bytes begin with (9.1)."""
    bits = "".join(f"{byte:08b}" for byte in data[:8])
    zeros = len(bits) - len(bits.lstrip("0"))
    return int(bits[zeros : 2 * zeros + 1] or "1", 2) - 1
