"""Rows around a damaged place in an input file: read what can be read, say why the rest cannot."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from clipmill.core.errors import DamagedInput
from clipmill.sources.base import DAMAGE_COLUMN, Part, Source


def read_around_damage(source: Source, part: Part) -> pa.Table:
    """Rows of one part; those that cannot be read are null, and ``_damage`` says why.

    What can be read are the rows before the first and after the last damaged one; between the two
    all are lost.

    Args:
        source: the rows.
        part: which of them.

    Returns:
        As many rows as the part has; the column ``_damage`` is there only when something is lost.
    """
    try:
        return source.read(part)
    except DamagedInput as error:
        damage = error
    file, start, count = part.file, part.start, part.count
    before = _longest(lambda rows: source.read(Part(file, start, rows)), count - 1)
    first = 0 if before is None else before.num_rows
    after = _longest(
        lambda rows: source.read(Part(file, start + count - rows, rows)), count - first - 1
    )
    lost = count - first - (0 if after is None else after.num_rows)
    schema = source.schema()
    reason = (
        f"Rows {start + first + 1:,} to {start + first + lost:,} of an input file are lost: "
        f"{damage.message} Once the file is whole again, add them with --extend."
    )
    gap = pa.Table.from_arrays([pa.nulls(lost, field.type) for field in schema], schema=schema)
    gap = gap.append_column(DAMAGE_COLUMN, pa.array([reason] * lost, pa.string()))
    pieces = [piece for piece in (before, gap, after) if piece is not None]
    return pa.concat_tables(pieces, promote_options="default")


def _longest(read: Callable[[int], pa.Table], most: int) -> pa.Table | None:
    """The largest table of 1 to ``most`` rows that can be read, by bisection."""
    best, least = None, 1
    while least <= most:
        rows = (least + most + 1) // 2
        try:
            best, least = read(rows), rows + 1
        except DamagedInput:
            most = rows - 1
    return best
