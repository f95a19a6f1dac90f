"""Which rows of a shard are samples to go on with, and why the others are not."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clipmill.sources.streams import reading
from clipmill.sources.table_columnar import open_parquet


class Present(NamedTuple):
    """Rows of one shard.

    Args:
        numbers: those that are there; None when nothing tells of failures.
        left_out: how many of the others failed with each class or were dropped.
    """

    numbers: npt.NDArray[np.int64] | None
    left_out: Counter[str]


def present_rows(table: str) -> Present:
    """Rows that a shard's table tells the success of.

    Args:
        table: local path or URL of the table.
    """
    with reading(table), open_parquet(table) as file:
        names = file.schema_arrow.names
        if "status" not in names:
            return Present(None, Counter())
        columns = [name for name in ("status", "error_class") if name in names]
        rows = file.read(columns=columns, use_threads=False)
    status = rows.column("status").to_pylist()
    is_there = np.array([value in (None, "success") for value in status], dtype=bool)
    left_out: Counter[str] = Counter()
    if not is_there.all():
        classes = rows.column(columns[-1]).to_pylist()
        for number in np.flatnonzero(~is_there):
            how = str(status[number])
            left_out[how if how == "dropped" else str(classes[number] or how)] += 1
    return Present(np.flatnonzero(is_there), left_out)
