"""Make selections: rows that pass a condition, or that a query names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from clipmill.core.config import fingerprint
from clipmill.core.errors import UserError
from clipmill.core.words import counted
from clipmill.dataset.ask import asked
from clipmill.dataset.choose import Choice, Options, check_weights
from clipmill.dataset.engine import Engine, row_of
from clipmill.dataset.funnel import Amount, Funnel, length_ms
from clipmill.dataset.relation import PLACE, SHARD, Relation
from clipmill.dataset.selection import Selection, SelectionWriter, no_rows
from clipmill.dataset.sql_tree import DATA

if TYPE_CHECKING:
    import duckdb

    from clipmill.dataset.dataset import Dataset

_QUERY = re.compile(r"\s*(--[^\n]*\n\s*)*(select|with|from)\b", re.IGNORECASE)


def select(
    dataset: Dataset,
    query: str,
    options: Options | None = None,
    *,
    name: str | None = None,
    overwrite: bool = False,
) -> Selection:
    """Select samples of a dataset, and save their keys if the selection is given a name.

    Args:
        dataset: of ours or of the peers.
        query: a condition on successful rows, such as ``motion.mean > 0.3``; or a whole query that
            gives ``key``, and perhaps ``shard`` and ``weight``: ``select key from data where ...``.
        options: what is done with rows that pass a condition.
        name: to save it under; letters, digits, ``_``, ``-`` and ``.``.
        overwrite: replace one of the same name that says something else.

    Raises:
        UserError: the query or the name is wrong, or there is another selection of that name.
    """
    options = options or Options()
    with Engine(dataset.folder) as engine:
        relation = Relation(dataset, engine)
        made = (_Queried if _QUERY.match(query) else _Chosen)(relation, query, options)
        if name is None:
            rows = pa.concat_tables(made.batches())
            return Selection(dataset, made.facts(), rows)
        with SelectionWriter(dataset.folder, name) as writer:
            for batch in made.batches():
                writer.add(batch)
            facts = made.facts()
            writer.commit(facts, overwrite=overwrite)
        return Selection(dataset, facts, name=name)


class _Chosen:
    """Rows that pass a condition."""

    def __init__(self, relation: Relation, query: str, options: Options) -> None:
        self.relation = relation
        self.query = query
        self.options = options
        self.choice = Choice(relation, query, options)
        self.funnel = self.choice.funnel

    def batches(self) -> Iterator[pa.Table]:
        return self.choice.batches()

    def facts(self) -> dict[str, Any]:
        """Content of ``NAME.json``, once all rows were given."""
        dataset = self.relation.dataset
        states = {shard: dataset.state(shard) for shard in dataset.shards}
        return {
            "query": self.query,
            "options": self.options.dump(),
            "dataset": {
                "fingerprint": fingerprint(states),
                "rows": self.funnel.all.rows,
                "hours": self.funnel.all.dump()["hours"],
                "groups": {name: group.name for name, group in self.relation.groups.items()},
                "shards": states,
            },
            **self.funnel.left.dump(),
            "funnel": self.funnel.dump(),
        }


class _Queried(_Chosen):
    """Rows whose keys a whole query gives."""

    def __init__(self, relation: Relation, query: str, options: Options) -> None:
        if given := list(options.dump()):
            raise UserError(
                f"--{given[0].replace('_', '-')} goes with a condition; a whole query says it "
                "itself, such as 'order by', 'limit' or a column called weight."
            )
        self.relation = relation
        self.query = query
        self.options = options
        self.funnel = Funnel([], [])

    def batches(self) -> Iterator[pa.Table]:
        length, columns = length_ms(self.relation.schema)
        with asked(self.relation, self.query) as (connection, sql):
            names = connection.sql(sql).columns
            if "key" not in names:
                raise UserError(
                    f"The query gives no column 'key', but {', '.join(names)}. Select key, too."
                )
            connection.execute(f"CREATE TEMP TABLE asked AS {sql}")
            places = self.relation.whole([("key",), (PLACE,), *columns])
            connection.execute(
                f"CREATE TEMP TABLE places AS SELECT key, {PLACE} AS shard, {length} AS ms FROM "
                f"({places}) AS {DATA} WHERE key IN (SELECT key FROM asked)"
            )
            tells_shard = SHARD in names and SHARD not in self.relation.base.names
            same = "a.key = p.key AND a.shard = p.shard" if tells_shard else "a.key = p.key"
            is_ordered = re.search(r"\border\s+by\b", self.query, re.IGNORECASE)
            weight = ", arg_min(CAST(a.weight AS DOUBLE), a.rowid) AS weight"
            connection.execute(
                f"CREATE TEMP TABLE found AS SELECT p.key, p.shard, any_value(p.ms) AS ms"
                f"{weight if 'weight' in names else ''} FROM places p JOIN asked a ON {same} "
                f"GROUP BY p.key, p.shard "
                f"ORDER BY {'min(a.rowid), ' if is_ordered else ''}min(p.rowid)"
            )
            self._check(connection)
            if "weight" in names:
                check_weights(connection, "found", "The query's column 'weight'")
            yield no_rows(weighted="weight" in names)
            listed = "key, shard, weight" if "weight" in names else "key, shard"
            for batch in connection.sql(
                f"SELECT {listed} FROM found ORDER BY rowid"
            ).to_arrow_reader(65_536):
                yield pa.Table.from_batches([batch])

    def _check(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Count what there is, and refuse keys that are no sample's."""
        strange = (
            "SELECT count(*), any_value(key) FROM asked WHERE key NOT IN (FROM places SELECT key)"
        )
        count, key = row_of(connection, strange)
        if count:
            raise UserError(
                f"The query gives {counted(count, 'key')} of no sample, such as {key!r}."
            )
        rows, ms = row_of(
            connection, "SELECT count(*), CAST(coalesce(sum(ms), 0) AS BIGINT) FROM found"
        )
        self.funnel.all.add(*_everything(self.relation))
        self.funnel.stages[0].condition = "the query"
        self.funnel.stages[0].left = Amount(rows, ms)
        removed = Amount(self.funnel.all.rows - rows, self.funnel.all.ms - ms)
        self.funnel.stages[0].alone = self.funnel.stages[0].in_turn = removed


def _everything(relation: Relation) -> tuple[int, int]:
    """Rows of a dataset, and their length in milliseconds."""
    length, columns = length_ms(relation.schema)

    def count(connection: duckdb.DuckDBPyConnection, number: int) -> tuple[int, int]:
        scan = relation.scan(number, columns)
        counts = (
            f"SELECT count(*), CAST(coalesce(sum({length}), 0) AS BIGINT) FROM ({scan}) AS {DATA}"
        )
        rows, ms = row_of(connection, counts)
        return rows, ms

    found = list(relation.over_chunks(count))
    return sum(rows for rows, _ in found), sum(ms for _, ms in found)
