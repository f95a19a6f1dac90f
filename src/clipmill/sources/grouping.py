"""Bringing rows with one URL together, in memory of a few bytes per row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_BUCKETS = 16
_PIECE_ROWS = 1 << 20


@dataclass(frozen=True, slots=True)
class GroupedRows:
    """Rows in groups, groups in the order of their first rows.

    Args:
        begins: per place in the order, whether a group begins there.
        order: row number per place; None when it is the order the rows had.
    """

    begins: npt.NDArray[np.bool_]
    order: npt.NDArray[np.uint32] | npt.NDArray[np.uint64] | None

    def shard_starts(self, samples_per_shard: int) -> npt.NDArray[np.int64]:
        """Where shards of at most so many rows start, and the end of the last.

        A group is only cut when it has more rows than a shard.
        """
        rows = len(self.begins)
        starts = [0]
        while starts[-1] + samples_per_shard < rows:
            start = starts[-1]
            stop = start + samples_per_shard
            if not self.begins[stop]:
                inner = np.flatnonzero(self.begins[start + 1 : stop])
                stop = start + 1 + int(inner[-1]) if len(inner) else stop
            starts.append(stop)
        return np.array([*starts, rows] if rows else [0], dtype=np.int64)


def group_rows(urls: Iterable[pa.ChunkedArray[Any]], rows: int) -> GroupedRows:
    """Find the groups among all URLs of an input; a row without URL is a group of its own.

    Args:
        urls: the URL column in batches.
        rows: how many there are in all.
    """
    hashes, is_alone = _hashes(urls, rows)
    number = np.uint32 if rows < 1 << 32 else np.uint64
    first: npt.NDArray[Any] = np.arange(rows, dtype=number)
    for bucket in range(_BUCKETS):
        _set_first(first, _members(hashes, is_alone, bucket, number), hashes)
    del hashes, is_alone
    order: Any = None
    if not np.all(first[1:] >= first[:-1]):
        order = np.argsort(first, kind="stable").astype(number)
        first = first[order]
    begins = np.ones(rows, dtype=np.bool_)
    begins[1:] = first[1:] != first[:-1]
    return GroupedRows(begins, order)


def _members(
    hashes: npt.NDArray[np.uint64], is_alone: npt.NDArray[np.bool_], bucket: int, number: Any
) -> npt.NDArray[Any]:
    """Rows whose hash falls into a bucket, found piece by piece to spare memory."""
    found = []
    for start in range(0, len(hashes), _PIECE_ROWS):
        piece = slice(start, start + _PIECE_ROWS)
        is_member = (hashes[piece] & np.uint64(_BUCKETS - 1)) == bucket
        found.append((np.flatnonzero(is_member & ~is_alone[piece]) + start).astype(number))
    return np.concatenate(found) if found else np.empty(0, dtype=number)


def _set_first(
    first: npt.NDArray[Any], members: npt.NDArray[Any], hashes: npt.NDArray[np.uint64]
) -> None:
    """Note for every member the first row with its hash; members are ascending."""
    values = hashes[members]
    by_value = np.argsort(values, kind="stable")
    values, members = values[by_value], members[by_value]
    begins = np.ones(len(values), dtype=np.bool_)
    begins[1:] = values[1:] != values[:-1]
    group = np.cumsum(begins) - 1
    first[members] = members[begins][group] if len(members) else members


def _hashes(
    urls: Iterable[pa.ChunkedArray[Any]], rows: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """64-bit hashes of the URLs, and which rows have none.

    Python's own hash is seeded per process, so nobody can craft URLs that collide; it only decides
    which rows are equal, never their order, so plans do not depend on the seed.
    """
    hashes = np.zeros(rows, dtype=np.uint64)
    is_alone = np.zeros(rows, dtype=np.bool_)
    row = 0
    for batch in urls:
        texts = batch.to_numpy()
        count = len(texts)
        signed = np.fromiter(map(hash, texts), dtype=np.int64, count=count)
        hashes[row : row + count] = signed.view(np.uint64)
        is_alone[row : row + count] = [not text for text in texts]
        row += count
    return hashes, is_alone
