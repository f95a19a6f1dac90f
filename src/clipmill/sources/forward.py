"""Reading rows by number from something that is cheap to go through forwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipmill.core.errors import InputError

Chunk = tuple[int, Callable[[], pa.Table]]
"""Rows of a chunk, and what reads it: skipping a chunk need not parse it."""


class ForwardReader:
    """A cursor over the chunks of one file: each is visited once as long as reads ascend.

    Args:
        open_at: begins a pass at the seek point of the given index.
        seek_rows: first row of every seek point, ascending; the first is 0.
    """

    def __init__(
        self, open_at: Callable[[int], Iterator[Chunk]], seek_rows: npt.NDArray[np.int64]
    ) -> None:
        self._open_at = open_at
        self._seek_rows = seek_rows
        self._chunks: Iterator[Chunk] | None = None
        self._start = 0
        self._rows = 0
        self._load: Callable[[], pa.Table] | None = None
        self._table: pa.Table | None = None

    def read(self, start: int, count: int) -> pa.Table:
        """Rows ``[start, start + count)``; ``count`` is at least 1."""
        self._go_to(start)
        pieces = []
        while True:
            begin = start - self._start
            piece = self._current().slice(begin, min(count, self._rows - begin))
            pieces.append(piece)
            start += piece.num_rows
            count -= piece.num_rows
            if not count:
                return pa.concat_tables(pieces, promote_options="permissive")
            self._advance()

    def _go_to(self, row: int) -> None:
        seek = int(np.searchsorted(self._seek_rows, row, side="right")) - 1
        seek_row = int(self._seek_rows[seek])
        end = self._start + self._rows
        if self._chunks is None or row < self._start or seek_row > end:
            self._chunks = self._open_at(seek)
            self._start, self._rows = seek_row, 0
        while row >= self._start + self._rows:
            self._advance()

    def _advance(self) -> None:
        assert self._chunks is not None
        chunk = next(self._chunks, None)
        if chunk is None:
            raise InputError(
                "An input file has fewer rows than when it was planned: it has changed."
            )
        self._start += self._rows
        self._rows, self._load = chunk
        self._table = None

    def _current(self) -> pa.Table:
        if self._table is None:
            assert self._load is not None
            self._table = self._load()
        return self._table
