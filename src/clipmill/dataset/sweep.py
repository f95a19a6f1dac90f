"""How many rows a threshold on a column would keep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from clipmill.core.errors import InputError
from clipmill.dataset.distribution import is_list, is_number, measured, success, value_type
from clipmill.dataset.engine import Engine, quoted, row_of, told_plainly
from clipmill.dataset.funnel import length_ms
from clipmill.dataset.relation import Relation
from clipmill.dataset.resolve import Path, type_at
from clipmill.dataset.sql_tree import DATA

if TYPE_CHECKING:
    from clipmill.dataset.dataset import Dataset

_MS_PER_HOUR = 3_600_000


@dataclass(slots=True)
class Kept:
    """What a threshold on one column would keep.

    Args:
        rule: such as ``all of picture.luminance.values < 0.1``.
        condition: the same as a condition for ``select``.
        rows: rows that pass, ``hours`` long together; ``unknown`` rows do not.
    """

    rule: str
    condition: str
    rows: int
    hours: float
    unknown: int

    def dump(self) -> dict[str, Any]:
        """As JSON-like values."""
        return asdict(self)


def sweep(
    dataset: Dataset, columns: Sequence[str], below: Sequence[float], above: Sequence[float]
) -> list[Kept]:
    """What thresholds would keep: of raw values of frames, all, their mean, the first, or any.

    Args:
        dataset: of ours or of the peers.
        columns: as of ``distributions``.
        below: thresholds that values must lie below.
        above: thresholds that values must lie above.

    Raises:
        InputError: there is no such column, or it holds no numbers.
    """
    found = []
    with Engine(dataset.folder) as engine:
        relation = Relation(dataset, engine)
        length, needed = length_ms(relation.schema)
        for name in columns:
            path = measured(name, relation.schema)
            rules = [
                rule
                for sign, limits in (("<", below), (">", above))
                for limit in limits
                for rule in _rules(path, relation.schema, sign, limit)
            ]
            parts = []
            for _, condition in rules:
                passes = f"FILTER ({condition})"
                parts += [
                    f"count(*) {passes}",
                    f"CAST(coalesce(sum({length}) {passes}, 0) AS BIGINT)",
                    f"count(*) FILTER (({condition}) IS NULL)",
                ]
            ok, status = success(relation)
            scan = relation.whole([path, *needed, *status])
            query = f"SELECT {', '.join(parts)} FROM ({scan}) AS {DATA} WHERE {ok}"
            with engine.cursor() as connection, told_plainly(dataset.folder.url):
                numbers = row_of(connection, query)
            for at, (rule, condition) in enumerate(rules):
                rows, ms, unknown = numbers[3 * at : 3 * at + 3]
                found.append(Kept(rule, condition, rows, round(ms / _MS_PER_HOUR, 6), unknown))
    return found


def _rules(path: Path, schema: pa.Schema, sign: str, limit: float) -> Iterable[tuple[str, str]]:
    """Ways to hold a column against a threshold: in words, and as conditions."""
    name = ".".join(path)
    value = ".".join(map(quoted, path))
    kind = type_at(schema, path)
    if not math.isfinite(limit):
        raise InputError(f"{limit} is no threshold: it must be a finite number.")
    if not is_number(value_type(kind)):
        raise InputError(f"{name!r} holds no numbers that could lie {sign} {limit:g}.")
    if not is_list(kind):
        return [(f"{name} {sign} {limit:g}", f"{value} {sign} {limit!r}")]
    furthest, nearest = ("max", "min") if sign == "<" else ("min", "max")
    numbers = f"list_filter({value}, lambda one: NOT isnan(one))"
    return [
        (f"all of {name} {sign} {limit:g}", f"list_{furthest}({numbers}) {sign} {limit!r}"),
        (f"mean of {name} {sign} {limit:g}", f"list_avg({numbers}) {sign} {limit!r}"),
        (f"first of {name} {sign} {limit:g}", f"{numbers}[1] {sign} {limit!r}"),
        (f"any of {name} {sign} {limit:g}", f"list_{nearest}({numbers}) {sign} {limit!r}"),
    ]
