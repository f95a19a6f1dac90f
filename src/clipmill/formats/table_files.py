"""``<shard>/<key>.<extension>`` where ``<shard>.parquet`` alone tells what files are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow.parquet as pq

from clipmill.core.errors import InputError
from clipmill.core.sample import MediaRef
from clipmill.formats.files import FilesFormat
from clipmill.formats.tables import table_name
from clipmill.io.folder import Folder


class TableFilesFormat(FilesFormat):
    """Files for programs that would take a JSON file beside them for one of their own."""

    def read_samples(
        self, folder: Folder, shard: str
    ) -> Iterator[tuple[str, Mapping[str, MediaRef], Mapping[str, Any]]]:
        """Samples in key order, with what the table says of them."""
        rows = {row["key"]: row for row in read_rows(folder, shard)}
        for key, refs, known in super().read_samples(folder, shard):
            if key in rows:
                yield key, refs, {**known, **rows[key]}


def read_rows(folder: Folder, shard: str) -> Iterator[dict[str, Any]]:
    """Rows of a shard's table.

    Raises:
        InputError: it is missing.
    """
    try:
        with folder.open(table_name(shard)) as file:
            for batch in pq.ParquetFile(file).iter_batches(batch_size=4096):
                yield from batch.to_pylist()
    except FileNotFoundError as error:
        raise InputError(f"{folder.url_of(table_name(shard))} does not exist.") from error
