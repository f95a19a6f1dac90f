"""Conditions worked out for rows at hand, a few at a time."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from clipmill.dataset.engine import Engine, told_plainly
from clipmill.dataset.expression import Expression
from clipmill.dataset.projection import projection, tree_of
from clipmill.dataset.sql_tree import DATA

_ROWS = "rows"


class Evaluator:
    """Works conditions out on one connection, since to make one takes longer than any of them.

    Args:
        scratch: folder for its files, should the process be killed. Default: the system's.
    """

    def __init__(self, scratch: Path | None = None) -> None:
        self._engine = Engine(scratch=scratch, threads=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._engine.close()

    def evaluate(self, condition: Expression, table: pa.Table) -> list[bool | None]:
        """What a condition says of each row; None where something it needs is unknown.

        Args:
            condition: made by ``parse_condition`` with the table's schema.
            table: rows.

        Raises:
            UserError: a value cannot be worked out.
        """
        with told_plainly():
            names = dict.fromkeys(path[0] for path in condition.columns)
            counted = pa.array(range(len(table)), pa.int64())  # so that there is a column anyway
            rows = table.select(list(names)).append_column("clipmill_row", counted)
            self._engine.add(_ROWS, rows)
            tree = tree_of(condition.columns)
            listed = projection("r", tree, table.schema, table.schema, {}) or ["1 AS one"]
            scan = f"SELECT {', '.join(listed)} FROM {_ROWS} AS r"
            asked = f"SELECT CAST({condition.sql} AS BOOLEAN) FROM ({scan}) AS {DATA}"
            found = self._engine.connection.sql(asked).to_arrow_table()
            values: list[bool | None] = found.column(0).to_pylist()
        return values
