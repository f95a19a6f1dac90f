"""The column groups of a shard that is made and annotated in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from clipmill.core.seen import Cell
from clipmill.dataset.columns import MARKED, ColumnGroup, row_marks
from clipmill.run.columns_job import Redo
from clipmill.run.job import Job
from clipmill.run.shard_columns import ShardColumns, cells_as_text, write_cells
from clipmill.steps.base import Annotate


class OutputColumns:
    """What steps say of the rows of one shard, from the journal to the tables beside its own.

    Args:
        job: the run.
        shard: name of the shard.
    """

    def __init__(self, job: Job, shard: str) -> None:
        self._output = job.output
        self._shard = shard
        self._steps: list[Annotate] = []
        self._groups: list[ColumnGroup] = []
        if job.recipe.annotate:
            from clipmill.steps.load import group_name, made_steps

            self._steps = made_steps(job.recipe.annotate, job.recipe.modules)
            decoder = job.recipe.run.decoder
            self._groups = [
                ColumnGroup(job.output, group_name(step, decoder)) for step in self._steps
            ]

    def as_texts(self, cells: Mapping[int, Cell]) -> dict[str, str]:
        """The cells of a row for its journal, by group."""
        return {
            self._groups[number].name: cells_as_text(self._steps[number].columns, [cell])
            for number, cell in cells.items()
        }

    def write(
        self, staging: Path, table: pa.Table, rows: Sequence[Mapping[str, Any]], state: str
    ) -> list[str]:
        """Write a table for each group and volume of the shard, and name them.

        Cells of rows that a retry left as they are come from the tables that are there.

        Args:
            staging: folder to write in.
            table: of the shard, in the order of the rows.
            rows: as journalled.
            state: of the shard.
        """
        names = []
        volumes = np.array([row["volume"] for row in rows], np.int64)
        for volume in np.unique(volumes).tolist() if self._groups else ():
            places = np.flatnonzero(volumes == volume)
            known = [name for name in MARKED if name in table.column_names]
            mine = table.select(known).take(pa.array(places, pa.int64()))
            marks = pa.table({"key": mine.column("key"), "mark": row_marks(mine)})
            shard = f"{self._shard}-{volume}" if volume else self._shard
            for step, group in zip(self._steps, self._groups, strict=True):
                columns = ShardColumns(group, step, marks, shard=shard, there=[], redo=Redo())
                for number, place in enumerate(places.tolist()):
                    if text := rows[place].get("cells", {}).get(group.name):
                        columns.take_up({"rows": [number], "cells": text})
                path = group.table_path(shard)
                (staging / path).parent.mkdir(parents=True, exist_ok=True)
                write_cells(columns.table(state)[0], staging / path)
                names.append(path)
        return names
