"""How the values of columns are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from clipmill.core.errors import InputError
from clipmill.dataset.engine import Engine, quoted, row_of, told_plainly
from clipmill.dataset.joined import named
from clipmill.dataset.relation import Relation
from clipmill.dataset.resolve import Path, fields_of, first_names, leaves, type_at
from clipmill.dataset.sql_tree import DATA

if TYPE_CHECKING:
    import duckdb

    from clipmill.dataset.dataset import Dataset

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
BINS = 40
TOP_VALUES = 10
COLUMNS_AT_ONCE = 8
"""So many are read in one go: tables of more would go to disk, one by one would read anew."""
_PLAIN = ("status", "error_class", "error_message", "seconds")
"""Fields of a column group that are not the step's."""


@dataclass(slots=True)
class Distribution:
    """The values of one column in successful rows.

    Args:
        column: its name; of a list of numbers, all of its numbers count.
        rows: successful rows.
        unknown: rows without a value, by cause: the step ``failed``, has not seen the row
            (``missing``), the sample is without it (``absent``), or it is ``null`` or no number.
        values: number of values.
        mean, least, greatest: of the values, where they are numbers.
        quantiles: exact, linear between neighbours.
        histogram: counts of 40 bins of the same width from the 1st to the 99th percentile, the
            first and last with all that lies beyond.
        top: the most frequent values, where they are not numbers.
    """

    column: str
    rows: int
    unknown: dict[str, int]
    values: int = 0
    mean: float | None = None
    least: float | None = None
    greatest: float | None = None
    quantiles: dict[str, float] = field(default_factory=dict)
    histogram: list[int] = field(default_factory=list)
    top: list[tuple[str, int]] = field(default_factory=list)

    def dump(self) -> dict[str, Any]:
        """As JSON-like values."""
        return asdict(self)


def distributions(dataset: Dataset, columns: Sequence[str]) -> list[Distribution]:
    """How the values of some columns are distributed over successful rows.

    Args:
        dataset: of ours or of the peers.
        columns: such as ``motion.mean``; of a struct with raw ``values``, those. Default, if empty:
            all numbers that steps gave, and the samples' lengths.

    Raises:
        InputError: there is no such column.
    """
    with Engine(dataset.folder) as engine:
        relation = Relation(dataset, engine)
        names = list(columns) or default_columns(relation)
        paths = [measured(name, relation.schema) for name in names]
        found = []
        with engine.cursor() as connection, told_plainly(dataset.folder.url):
            for at in range(0, len(paths), COLUMNS_AT_ONCE):
                part = paths[at : at + COLUMNS_AT_ONCE]
                _read(connection, relation, part)
                found += [
                    _distribution(connection, number, path, type_at(relation.schema, path))
                    for number, path in enumerate(part)
                ]
        return found


def default_columns(relation: Relation) -> list[str]:
    """All numbers that steps gave, but for raw values of frames; and the samples' lengths."""
    found = []
    for path, kind in leaves(relation.schema):
        is_said = path[0] in relation.groups and path[1] not in _PLAIN
        if (is_said or path == ("probe", "duration_seconds")) and is_number(kind):
            found.append(".".join(path))
    if not found:
        raise InputError(
            f"{relation.dataset.folder.url} has no columns of steps yet: `clipmill annotate`. Name "
            f"columns of its own: {', '.join(first_names(relation.schema))}."
        )
    return found


def measured(name: str, schema: pa.Schema) -> Path:
    """The column that a name means; of a score, its raw values.

    Raises:
        InputError: there is none, or it is a struct with more than one thing in it.
    """
    path = named(name, schema)
    fields = [one.name for one in fields_of(type_at(schema, path))]
    if "values" in fields:
        return (*path, "values")
    if fields:
        told = ", ".join(f"{name}.{one}" for one in fields if one not in _PLAIN)
        raise InputError(f"{name!r} holds more than one thing. Choose: {told}.")
    return path


def _read(connection: duckdb.DuckDBPyConnection, relation: Relation, paths: Sequence[Path]) -> None:
    """Read columns into a table: of each its values, and the state of its cells."""
    ok, status = success(relation)
    told, wanted = [], [*paths, *status]
    for number, path in enumerate(paths):
        state = "'success'"
        if path[0] in relation.called:
            state = f"{quoted(path[0])}.status"
            wanted.append((path[0], "status"))
        value = ".".join(map(quoted, path))
        told.append(
            f"{value} AS v{number}, CASE WHEN {value} IS NOT NULL THEN 'value' WHEN {state} = "
            f"'failed' THEN 'failed' WHEN {state} IS NULL THEN 'missing' WHEN {state} = 'absent' "
            f"THEN 'absent' ELSE 'null' END AS s{number}"
        )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE cells AS SELECT {', '.join(told)} "
        f"FROM ({relation.whole(wanted)}) AS {DATA} WHERE {ok}"
    )


def _distribution(
    connection: duckdb.DuckDBPyConnection, number: int, path: Path, kind: pa.DataType
) -> Distribution:
    """Describe one of the columns that were read."""
    counts = f"SELECT s{number}, count(*) FROM cells GROUP BY ALL ORDER BY ALL"
    counted = dict(connection.execute(counts).fetchall())
    found = Distribution(".".join(path), sum(counted.values()), counted)
    counted.pop("value", None)
    value = f"unnest(v{number})" if is_list(kind) else f"v{number}"
    listed = f"SELECT {value} AS value FROM cells"
    inner = value_type(kind)
    if not is_number(inner):
        rows = connection.execute(
            f"SELECT CAST(value AS VARCHAR), count(*) FROM ({listed}) WHERE value IS NOT NULL "
            f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {TOP_VALUES}"
        ).fetchall()
        found.top = [(text, number) for text, number in rows]
        found.values = row_of(connection, f"SELECT count(value) FROM ({listed})")[0]
        return found
    if pa.types.is_decimal(inner):
        listed = f"SELECT CAST(value AS DOUBLE) AS value FROM ({listed})"
    _describe(connection, listed, found)
    return found


def _describe(connection: duckdb.DuckDBPyConnection, listed: str, found: Distribution) -> None:
    """Fill in what is said of numbers."""
    # Sorted on disk if need be, where quantile_cont() would hold all values in memory.
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE sorted AS SELECT value FROM ({listed}) "
        "WHERE isfinite(value) ORDER BY value"
    )
    found.values, found.mean, found.least, found.greatest = row_of(
        connection, "SELECT count(*), avg(value), min(value), max(value) FROM sorted"
    )
    if not found.values:
        return
    found.mean = float(f"{found.mean:.9g}")  # the order of adding up may differ
    quantiles = _quantiles(connection, found.values)
    found.quantiles = {
        f"p{level * 100:g}": value for level, value in zip(QUANTILES, quantiles, strict=True)
    }
    low, high = quantiles[0], quantiles[-1]
    width = (high - low) / BINS or 1.0
    place = f"least(greatest(floor((value - ({low!r})) / {width!r}), 0), {BINS - 1})"
    rows = connection.execute(
        f"SELECT CAST({place} AS INTEGER), count(*) FROM sorted GROUP BY 1"
    ).fetchall()
    found.histogram = [0] * BINS
    for number, count in rows:
        found.histogram[number] = count


def _quantiles(connection: duckdb.DuckDBPyConnection, count: int) -> list[float]:
    """Those of ``QUANTILES`` of the sorted values, linear between neighbours."""
    places = [level * (count - 1) for level in QUANTILES]
    asked = {min(int(place) + more, count - 1) for place in places for more in (0, 1)}
    listed = ", ".join(map(str, sorted(asked)))
    held = dict(
        connection.execute(f"SELECT rowid, value FROM sorted WHERE rowid IN ({listed})").fetchall()
    )
    found = []
    for place in places:
        low, high = held[int(place)], held[min(int(place) + 1, count - 1)]
        found.append(float(low + (high - low) * (place - int(place))))
    return found


def success(relation: Relation) -> tuple[str, list[Path]]:
    """Whether a row is one to look at, as SQL, and the column that tells."""
    if "status" not in relation.base.names:
        return "true", []
    return f"{DATA}.status = 'success'", [("status",)]


def value_type(kind: pa.DataType) -> pa.DataType:
    """The type of a list's values; of other things, their own."""
    return kind.value_type if isinstance(kind, pa.ListType | pa.LargeListType) else kind


def is_list(kind: pa.DataType) -> bool:
    """Whether a column has several values a row."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether values can be held against a threshold."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )
