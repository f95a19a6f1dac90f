"""Choose rows by a condition: then so many per source, a sample, in an order, up to a limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Integral
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from clipmill.core.errors import UserError
from clipmill.core.registry import nearest
from clipmill.core.words import counted
from clipmill.dataset.engine import row_of, table_of, told_plainly
from clipmill.dataset.expression import (
    Expression,
    parse_condition,
    parse_order,
    parse_value,
)
from clipmill.dataset.funnel import Amount, Funnel, length_ms
from clipmill.dataset.relation import PLACE, Relation
from clipmill.dataset.selection import no_rows
from clipmill.dataset.sql_tree import DATA

if TYPE_CHECKING:
    import duckdb

_SOURCES = ("source_key", "url")
_UNKNOWN_WEIGHT = "weight IS NULL OR weight < 0 OR NOT isfinite(weight)"


@dataclass(frozen=True, slots=True)
class Options:
    """What is done with rows that pass, in this order.

    Args:
        per_source: keep at most so many rows of each source, the first in the order asked for.
        sample: keep so many rows, or such a share of them, by a hash of the key.
        seed: for another sample.
        order: sort by, such as ``motion.mean desc``. Default: as the dataset.
        limit: keep the first so many rows.
        weight: how often a row is to be drawn relative to others: an expression.
    """

    per_source: int | None = None
    sample: float | None = None
    seed: int = 0
    order: str | None = None
    limit: int | None = None
    weight: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("per_source", 1), ("limit", 0)):
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, Integral) or int(value) < least:
                option = f"--{name.replace('_', '-')}"
                raise UserError(f"{option} must be a whole number of at least {least}.")
        sample = 1.0 if self.sample is None else float(self.sample)
        if not (0 < sample <= 1 or (sample > 1 and sample.is_integer())):
            raise UserError("--sample must be a number of rows, or a share between 0 and 1.")

    def dump(self) -> dict[str, Any]:
        """Those that were given."""
        given = {
            name: int(value) if isinstance(value, Integral) else value  # NumPy's are no JSON
            for name, value in asdict(self).items()
            if value is not None
        }
        if self.sample is None:
            given.pop("seed")
        return given


def make_options(given: Mapping[str, Any]) -> Options:
    """Options by their names.

    Raises:
        UserError: there is no such option, or its value is out of range.
    """
    known = [field.name for field in fields(Options)]
    for name in given:
        if name not in known:
            raise UserError(f"select has no option {name!r}. {nearest(name, known)}")
    return Options(**given)


class Choice:
    """Rows of a dataset that pass a condition.

    Args:
        relation: the dataset.
        condition: text of it.
        options: what is done with rows that pass.

    Raises:
        UserError: the condition or an option is wrong; says where.
    """

    def __init__(self, relation: Relation, condition: str, options: Options) -> None:
        self.relation = relation
        self.options = options
        schema = relation.schema
        self.condition = parse_condition(condition, schema)
        self.weight = parse_value(options.weight, schema) if options.weight else None
        self.order = parse_order(options.order, schema) if options.order else []
        self.source = self._source(schema) if options.per_source else None
        self.funnel = Funnel(self.condition.parts, list(relation.called))
        self._length, self._length_columns = length_ms(schema)

    def batches(self) -> Iterator[pa.Table]:
        """The chosen rows: ``key``, ``shard`` and perhaps ``weight``; the funnel fills meanwhile.

        Raises:
            UserError: a value cannot be worked out, or a weight is none.
        """
        yield no_rows(weighted=self.weight is not None)
        found = self.relation.over_chunks(self._passing)
        if not (self.order or self.options.limit is not None or self.source
                or self.options.sample is not None):  # fmt: skip
            for rows in map(self._counted, found):
                yield self._final(rows)
            return
        with self.relation.engine.cursor() as connection, told_plainly():
            self._collect(connection, found)
            self._reduce(connection)
            order = ", ".join([*self._order(), "position"])
            limit = "" if self.options.limit is None else f"LIMIT {self.options.limit}"
            chosen = f"SELECT * FROM picked ORDER BY {order} {limit}"
            if limit:
                connection.execute(f"CREATE TEMP TABLE first AS {chosen}")
                self.funnel.then(f"limit {self.options.limit}", _amount(connection, "first"))
                chosen = "SELECT * FROM first ORDER BY rowid"
            for batch in connection.sql(chosen).to_arrow_reader(65_536):
                yield self._final(pa.Table.from_batches([batch]))

    def _source(self, schema: pa.Schema) -> str:
        for name in _SOURCES:
            if name in schema.names:
                return name
        raise UserError(f"--per-source needs a column {' or '.join(_SOURCES)}; there is none.")

    def _passing(
        self, connection: duckdb.DuckDBPyConnection, number: int
    ) -> tuple[list[tuple[Any, ...]], pa.Table]:
        """The numbers of one chunk for the funnel, and its rows that pass."""
        schema = self.relation.schema
        has_status = "status" in schema.names
        paths = {("key",), (PLACE,), *self._length_columns, *self.funnel.columns}
        paths |= {("status",)} if has_status else set()
        paths |= {(self.source,)} if self.source else set()
        for expression in self._expressions():
            paths |= set(expression.columns)
        scan = self.relation.scan(number, paths)
        ok = f"({DATA}.status = 'success') IS true" if has_status else "true"
        own = {"key": f"{DATA}.key", "shard": f"{DATA}.{PLACE}", **self._own()}
        told = [f"{ok} AS ok", f"{self._length} AS ms", *self.funnel.truths()]
        told += [f"{value} AS {name}" for name, value in own.items()]
        kept = ", ".join(f"CASE WHEN code = 0 THEN {name} END AS {name}" for name in own)
        connection.execute(
            f"CREATE TEMP TABLE seen AS SELECT code, ms, {kept} FROM (SELECT *, "
            f"{self.funnel.code()} AS code FROM (SELECT {', '.join(told)} FROM ({scan}) AS {DATA}))"
        )
        counts = "SELECT code, count(*), CAST(sum(ms) AS BIGINT) FROM seen GROUP BY code"
        numbers = connection.execute(counts).fetchall()
        rows = f"SELECT {', '.join([*own, 'ms'])} FROM seen WHERE code = 0"
        return numbers, table_of(connection, rows)

    def _own(self) -> dict[str, str]:
        found = {f"o{number}": part.sql for number, (part, _) in enumerate(self.order)}
        if self.source:
            found["source"] = f'{DATA}."{self.source}"'
        if self.weight:
            found["weight"] = f"CAST({self.weight.sql} AS DOUBLE)"
        return found

    def _expressions(self) -> list[Expression]:
        weight = [self.weight] if self.weight else []
        return [self.condition, *weight, *(part for part, _ in self.order)]

    def _counted(self, found: tuple[list[tuple[Any, ...]], pa.Table]) -> pa.Table:
        numbers, rows = found
        for code, count, ms in numbers:
            self.funnel.add(code, count, ms)
        return rows

    def _collect(
        self,
        connection: duckdb.DuckDBPyConnection,
        found: Iterator[tuple[list[tuple[Any, ...]], pa.Table]],
    ) -> None:
        """All rows that pass in one table, which may lie on disk."""
        position = 0
        for number, rows in enumerate(map(self._counted, found)):
            self.relation.engine.add("more", rows)
            begin = "CREATE TEMP TABLE picked AS" if number == 0 else "INSERT INTO picked"
            place = f"{position} + row_number() OVER () AS position"
            connection.execute(f"{begin} SELECT *, {place} FROM more")
            position += len(rows)

    def _reduce(self, connection: duckdb.DuckDBPyConnection) -> None:
        options = self.options
        if options.per_source:
            order = ", ".join([*self._order(), "position"])
            rank = f"row_number() OVER (PARTITION BY source ORDER BY {order})"
            kept = f"source IS NULL OR {rank} <= {options.per_source}"
            self._keep(connection, f"QUALIFY {kept}", f"{options.per_source} per source")
        if options.sample is not None:
            digest = f"left(md5({options.seed} || ':' || key), 16)"
            if options.sample < 1:
                kept = f"WHERE {digest} < '{int(options.sample * 16**16):016x}'"
            else:
                kept = f"ORDER BY {digest}, position LIMIT {int(options.sample)}"
            self._keep(connection, kept, f"sample {options.sample:g}")

    def _keep(self, connection: duckdb.DuckDBPyConnection, rule: str, words: str) -> None:
        connection.execute(f"CREATE TEMP TABLE less AS SELECT * FROM picked {rule}")
        connection.execute("DROP TABLE picked")
        connection.execute("ALTER TABLE less RENAME TO picked")
        self.funnel.then(words, _amount(connection, "picked"))

    def _order(self) -> list[str]:
        return [f"o{number} {direction}" for number, (_, direction) in enumerate(self.order)]

    def _final(self, rows: pa.Table) -> pa.Table:
        if not self.weight:
            return rows.select(["key", "shard"])
        found = rows.select(["key", "shard", "weight"])
        with self.relation.engine.cursor() as connection, told_plainly():
            self.relation.engine.add("chosen", found)
            check_weights(connection, "chosen", f"--weight {self.weight.text!r}")
        return found


def check_weights(connection: duckdb.DuckDBPyConnection, table: str, source: str) -> None:
    """Refuse rows that cannot be drawn by their weight.

    Args:
        connection: that knows the table, which has ``key`` and ``weight``.
        table: its name.
        source: what gave the weights, for the message.

    Raises:
        UserError: a weight is negative, infinite or unknown.
    """
    wrong = f"SELECT count(*), any_value(key) FROM {table} WHERE {_UNKNOWN_WEIGHT}"
    count, key = row_of(connection, wrong)
    if count:
        raise UserError(
            f"{source} gives {counted(count, 'row')} no weight of 0 or more, such as sample {key}. "
            "coalesce(..., 0) gives one to what is unknown."
        )


def _amount(connection: duckdb.DuckDBPyConnection, table: str) -> Amount:
    counts = f"SELECT count(*), CAST(coalesce(sum(ms), 0) AS BIGINT) FROM {table}"
    return Amount(*row_of(connection, counts))
