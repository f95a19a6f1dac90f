"""DuckDB, locked in: it reads the files of one dataset, writes none, and its errors become ours."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from clipmill.core.errors import ClipmillError, InputError, UserError
from clipmill.core.redact import redact_url
from clipmill.io.folder import Folder

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "1GiB"
"""What DuckDB may take before it puts sorts and joins on disk."""


class Engine:
    """A DuckDB connection with a scratch folder; closed, nothing is left of either.

    Args:
        folder: the dataset whose tables it may read. Default: it reads no files.
        scratch: where its scratch folder is made. Default: where the system has such.
        threads: how many it may use. Default: as many as there are cores.
    """

    def __init__(
        self,
        folder: Folder | None = None,
        *,
        scratch: Path | None = None,
        threads: int | None = None,
    ) -> None:
        import duckdb

        self._scratch = tempfile.TemporaryDirectory(prefix="clipmill-", dir=scratch)
        self.scratch = Path(self._scratch.name)
        # Handing reads to further threads costs a sixth of a query over local files.
        waits = folder is not None and not folder.is_local
        self.connection = duckdb.connect(
            config={
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": str(self.scratch / "spill"),
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "python_enable_replacements": "false",
                **({} if waits else {"async_threads": "0"}),
                **({} if threads is None else {"threads": threads}),
            }
        )
        self._numbers = count()
        self._added: dict[str, Path] = {}
        self._lock(folder)

    def _lock(self, folder: Folder | None) -> None:
        """Leave no file in reach but the dataset's and those of the scratch folder."""
        allowed = [f"{self.scratch}/"]
        if folder is not None:
            allowed.append(folder.url_of("").rstrip("/") + "/")
            if not folder.is_local:
                self.connection.register_filesystem(folder.fs)
        self.connection.execute(f"SET allowed_directories = {text_list(allowed)}")
        self.connection.execute("SET enable_external_access = false")
        self.connection.execute("SET lock_configuration = true")

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and remove the scratch folder."""
        self.connection.close()
        self._scratch.cleanup()

    def add(self, name: str, table: pa.Table) -> None:
        """Make a table known by a name, to all connections.

        It goes through a file, since DuckDB loads pandas, if that is installed, to take an Arrow
        table.
        """
        path = self.scratch / f"{name}-{next(self._numbers)}.parquet"
        pq.write_table(table, path)
        if name in self._added:
            self._added[name].unlink()
        self._added[name] = path
        source = f"read_parquet({text(str(path))})"
        self.cursor().execute(f"CREATE OR REPLACE VIEW {quoted(name)} AS SELECT * FROM {source}")

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the same database, for another thread."""
        return self.connection.cursor()


def row_of(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """The one row that a query gives."""
    (row,) = connection.execute(sql).fetchall()  # no other call leaves the connection free
    return tuple(row)


def try_out(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Bind a query without running it; errors show the line as it was written."""
    connection.execute(f"EXPLAIN\n{sql}").fetchall()


def table_of(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """What a query gives."""
    table: pa.Table = connection.sql(sql).to_arrow_table()
    return table


@contextmanager
def told_plainly(place: str = "", *, shows_line: bool = False) -> Iterator[None]:
    """Turn what DuckDB raises into errors of ours.

    Args:
        place: of the dataset, for messages.
        shows_line: whether what was asked is what a user wrote, so that its lines may be shown.

    Raises:
        UserError: what was asked cannot be done.
        InputError: a table cannot be read.
    """
    import duckdb

    try:
        yield
    except (duckdb.IOException, duckdb.HTTPException, duckdb.InvalidInputException) as error:
        if isinstance(cause := error.__cause__, ClipmillError):
            raise cause from error
        if place and (
            ".parquet" in str(error) or not isinstance(error, duckdb.InvalidInputException)
        ):
            told = f"{redact_url(place)} cannot be read: {_sentence(error)}"
            raise InputError(told) from error
        raise UserError(_sentence(error, shows_line=shows_line)) from error
    except duckdb.OutOfMemoryException as error:
        raise UserError(
            f"The query needs more than {MEMORY_LIMIT} and the room for temporary files: "
            f"{_sentence(error).partition(' Possible')[0]}. Point TMPDIR to a larger disk."
        ) from error
    except duckdb.InternalException:
        raise  # a bug, of DuckDB or of ours
    except duckdb.Error as error:
        raise UserError(_sentence(error, shows_line=shows_line)) from error


def _sentence(error: Exception, *, shows_line: bool = False) -> str:
    """What DuckDB says, without its prefix and its lists of all there is."""
    text = re.sub(r"^(\w+ )+Error: ", "", str(error).strip())
    said, _, shown = text.partition("\n\nLINE ")
    said = " ".join(line.strip() for line in said.splitlines() if line.strip())
    said = _without_struct_types(re.split(r" Candidate (?:bindings|functions|macros):? ", said)[0])
    lines = shown.splitlines()[:2]
    if not shows_line or len(lines) < 2 or "^" not in lines[1]:
        return said
    number, _, line = lines[0].partition(": ")
    caret = max(lines[1].index("^") - len(f"LINE {number}: "), 0)
    return f"{said}\n  {line}\n  {' ' * caret}^"


def _without_struct_types(said: str) -> str:
    """The same with structs named as such, and what fields the first of them has."""
    fields: list[str] = []
    while (start := said.find("STRUCT(")) >= 0:
        inner = start + len("STRUCT(")
        end, depth, names = inner, 1, [""]
        while end < len(said) and depth:
            depth += {"(": 1, ")": -1}.get(said[end], 0)
            if depth == 1 and said[end] == ",":
                names.append("")
            elif depth:
                names[-1] += said[end]
            end += 1
        fields = fields or [name.split()[0].strip('"') for name in names]
        said = f"{said[:start]}a struct{said[end:]}"
    if not fields:
        return said
    # What DuckDB advises is to cast, and no value becomes a struct by that.
    said = re.split(r" - an explicit cast| You might need to add explicit", said)[0].rstrip(".")
    return f"{said}. {name_a_field(fields)}"


def name_a_field(fields: Sequence[str]) -> str:
    """Advice to someone who named a struct where a value is needed."""
    more = f" and {len(fields) - 3} more" if len(fields) > 3 else ""
    return f"Name one of its fields: {', '.join(fields[:3])}{more}."


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A string as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def text_list(values: list[str]) -> str:
    """A list of strings as SQL writes it."""
    return "[" + ", ".join(map(text, values)) + "]"


def sql_types(schema: pa.Schema) -> dict[str, str]:
    """DuckDB's type of each field of an Arrow schema, by name."""
    with Engine() as engine:
        engine.add("typed", pa.Table.from_batches([], schema))
        found = engine.connection.execute("DESCRIBE typed").fetchall()
        return {row[0]: row[1] for row in found}
