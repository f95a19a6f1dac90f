"""The Parquet table of a shard."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_GROUP = 65_536
COMPRESSION: Final = "zstd"
"""Half of Snappy's size on URLs and texts at the same speed; every current reader knows it."""


def table_name(shard: str) -> str:
    """File name of a shard's table."""
    return f"{shard}.parquet"


def write_table(staging: Path, shard: str, table: pa.Table) -> str:
    """Write a shard's table, the same bytes for the same rows, and name it.

    Args:
        staging: folder to write in.
        shard: shard name.
        table: one row per sample.
    """
    name = table_name(shard)
    pq.write_table(table, staging / name, compression=COMPRESSION, row_group_size=ROWS_PER_GROUP)
    return name
