"""Rows that a retry moved into new shards are taken out of those they were in."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.core.keys import row_of_key
from clipmill.dataset.dataset import Dataset
from clipmill.io.layout import STATS_SUFFIX
from clipmill.run.stats import RowTally

_TOLD = ["key", "status", "error_class", "error_message", "retryable"]


def drop_rows(dataset: Dataset, shard: str, rows: set[int], digits: int) -> None:
    """Take rows without media out of a shard's tables and stats.

    Args:
        dataset: the dataset.
        shard: shard name.
        rows: numbers in the shard.
        digits: of its keys that name the shard.
    """
    volumes = [name for name in dataset.shards if name.partition("-")[0] == shard]
    tally = RowTally()
    for volume in volumes:
        name = dataset.layout.table_name(volume)
        assert name is not None
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / name
            with dataset.folder.open(name) as file:
                _filter_parquet(pq.ParquetFile(file), draft, rows, digits, tally)
            dataset.folder.put(draft, name)
    stats = {**dataset.stats[shard], **tally.fields()}
    dataset.folder.write_json(f"{shard}{STATS_SUFFIX}", stats)


def _filter_parquet(
    old: pq.ParquetFile, target: Path, rows: set[int], digits: int, tally: RowTally
) -> None:
    with pq.ParquetWriter(target, old.schema_arrow) as writer:
        for batch in old.iter_batches():
            known = batch.select(_TOLD).to_pylist()
            keep = [row_of_key(row["key"], digits) not in rows for row in known]
            for row, stays in zip(known, keep, strict=True):
                if stays:
                    tally.add(row)
            writer.write_batch(batch.filter(pa.array(keep)))
