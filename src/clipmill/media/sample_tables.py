"""What an mp4 says it holds, learnt before libav makes room for all of it."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

from clipmill.core.errors import ProcessError
from clipmill.io.stretch import Place, mapped, size_of

_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"})
_FIRST_BOXES = frozenset(
    {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx"}
)
_HEADER_BYTES = 8
_WIDE_HEADER_BYTES = 16
_PER_SAMPLE_FIELDS = 0xF00
# A table of a million samples is read in a fraction of a second.
_CHEAP_SAMPLES = 1_000_000
# Old sound tables count single samples, of which one byte may hold several.
_SAMPLES_PER_BYTE = 16


def refuse_impossible_tables(place: Place) -> None:
    """Refuse an mp4 whose tables name more samples than a file of its size can hold.

    A table of samples of one size takes twelve bytes, however many samples it names, but libav
    makes an entry for each.

    Raises:
        ProcessError: as said (``truncated``).
    """
    size = size_of(place)
    if size < _HEADER_BYTES:
        return
    with mapped(place) as (data, start, end):
        if data[start + 4 : start + 8] not in _FIRST_BOXES:
            return
        samples = sum(_uncovered_samples(data, *box) for box in boxes(data, start, end))
    if samples > max(_CHEAP_SAMPLES, size * _SAMPLES_PER_BYTE):
        raise ProcessError(
            f"it announces {samples} samples, which {size} bytes cannot hold",
            error_class="truncated",
        )


def boxes(data: mmap.mmap, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start and end of its content) of all boxes that hold no boxes themselves."""
    todo = [(start, stop)]
    while todo:
        position, end = todo.pop()
        while position + _HEADER_BYTES <= end:
            length, header = _number(data, position, 4), _HEADER_BYTES
            if length == 1:
                length, header = _number(data, position + 8, 8), _WIDE_HEADER_BYTES
            if length == 0:
                length = end - position
            if length < header:
                break
            kind = data[position + 4 : position + 8]
            content = position + header, min(position + length, end)
            position += length
            if kind in _PARENTS:
                todo.append(content)
            else:
                yield kind, *content


def _uncovered_samples(data: mmap.mmap, kind: bytes, start: int, stop: int) -> int:
    """Samples that a table names without a byte for each."""
    if kind == b"stsz" and stop - start >= 12 and _number(data, start + 4, 4):
        return _number(data, start + 8, 4)
    if kind == b"trun" and stop - start >= 8 and not _number(data, start, 4) & _PER_SAMPLE_FIELDS:
        return _number(data, start + 4, 4)
    return 0


def _number(data: mmap.mmap, position: int, size: int) -> int:
    return int.from_bytes(data[position : position + size], "big")
