"""The media files of one shard: one, or several when a size limit is set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from clipmill.formats.base import Member, MemberPlace, ShardFormat, ShardWriter


class Volumes:
    """Writers of one shard, a further one begun whenever the current one is full.

    The first volume bears the shard's name, the others ``<shard>-1``, ``<shard>-2`` and so on; each
    has its own table, so each is a shard to any reader.

    Args:
        layout: the shard format.
        staging: folder the writers write in.
        shard: shard name.
        limit: bytes of media a volume may reach, if the layout can hold as much; None for one
            volume, if it can.
        positions: where earlier writers stood, per volume name, to go on from there.
    """

    def __init__(
        self,
        layout: ShardFormat,
        staging: Path,
        shard: str,
        *,
        limit: int | None,
        positions: Mapping[str, int],
    ) -> None:
        self._layout = layout
        self._staging = staging
        self._shard = shard
        self._limit = min(filter(None, (limit, layout.max_shard_bytes)), default=None)
        self._writers: list[ShardWriter] = []
        self._positions: dict[str, int] = {}
        for name in positions or [shard]:
            self._begin(name, positions.get(name, 0))

    def _begin(self, name: str, position: int) -> None:
        writer = self._layout.writer(self._staging, name)
        writer.truncate(position)
        self._writers.append(writer)
        self._positions[name] = position

    @property
    def current(self) -> int:
        """Number of the volume that is written to."""
        return len(self._writers) - 1

    @property
    def positions(self) -> dict[str, int]:
        """Where each volume stands."""
        return dict(self._positions)

    def add(self, key: str, members: Mapping[str, Member], size: int) -> dict[str, MemberPlace]:
        """Append a sample of ``size`` media bytes, in a new volume when it does not fit."""
        writer = self._writers[-1]
        standing = self._positions[writer.shard]
        if self._limit is not None and standing and standing + size > self._limit:
            self._begin(f"{self._shard}-{len(self._writers)}", 0)
            writer = self._writers[-1]
        places = writer.add(key, members)
        self._positions[writer.shard] = writer.tell()
        return places

    def finish(self, table: pa.Table, volume_of_row: Sequence[int]) -> list[str]:
        """Write the tables and close every volume; names of all files, in commit order."""
        numbers = np.asarray(volume_of_row, dtype=np.int64)
        names: list[str] = []
        for number, writer in enumerate(self._writers):
            rows = table if len(self._writers) == 1 else table.filter(pa.array(numbers == number))
            names += writer.finish(rows)
        return names

    def abandon(self) -> None:
        """Close every file for a later worker to go on with."""
        for writer in self._writers:
            writer.abandon()
