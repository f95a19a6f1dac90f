"""Many table files as one table: planned side by side, typed together, read by row numbers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pyarrow as pa

from clipmill.core.errors import DamagedInput, InputError
from clipmill.core.redact import redact_url
from clipmill.sources.base import InputFile, Part
from clipmill.sources.column_types import TextEvidence, check_depth, conform, storable, unify
from clipmill.sources.forward import ForwardReader
from clipmill.sources.streams import FileFacts, is_unchanged, look_at
from clipmill.sources.table_columnar import ArrowFormat, ParquetFormat
from clipmill.sources.table_csv import CsvFormat
from clipmill.sources.table_format import TableFormat, TablePlan, detect_format
from clipmill.sources.table_json import JsonFormat, JsonLinesFormat
from clipmill.sources.table_text import TxtFormat

FORMATS: dict[str, TableFormat] = {
    "csv": CsvFormat(","),
    "tsv": CsvFormat("\t"),
    "json": JsonFormat(),
    "jsonl": JsonLinesFormat(),
    "txt": TxtFormat(),
    "parquet": ParquetFormat(),
    "arrow": ArrowFormat(),
}
PLANNING_THREADS = 16
OPEN_READERS = 4
BROKEN_TOLD = 3
_NOTHING = pa.schema([])


class Tables:
    """Rows of one or more table files, as they are.

    Args:
        urls: local paths or fsspec URLs, in reading order.
        table_format: read all of them as this format. Default: by content and name of each.
        leave_out: says which columns are not part of the table. Default: none.
    """

    def __init__(
        self,
        urls: Sequence[str],
        table_format: str | None = None,
        leave_out: Callable[[pa.Field[Any]], bool] | None = None,
    ) -> None:
        self.urls = list(urls)
        self._format = table_format
        self._leave_out = leave_out
        self._planned: list[tuple[FileFacts, str, TablePlan]] = []
        self._schema = _NOTHING
        self._readers: OrderedDict[tuple[int, tuple[str, ...]], ForwardReader] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        self.plan()
        return {**self.__dict__, "_readers": OrderedDict(), "_leave_out": None}

    def plan(self) -> None:
        """Look at every file once; further calls do nothing.

        Raises:
            InputError: a file cannot be read, the files do not go together, or there are no rows.
        """
        if self._planned or not self.urls:
            return
        with ThreadPoolExecutor(min(PLANNING_THREADS, max(1, len(self.urls)))) as threads:
            tried = list(threads.map(self._try_one, self.urls))
        planned = [plan for plan in tried if not isinstance(plan, InputError)]
        if broken := [error for error in tried if isinstance(error, InputError)]:
            raise broken[0] if len(self.urls) == 1 else InputError(_broken_files(broken, tried))
        schema = unify(self._schemas(planned))
        if not sum(plan.rows for _, _, plan in planned):
            raise InputError(_no_rows(self.urls, schema))
        fields = [field for field in schema if not (self._leave_out and self._leave_out(field))]
        all_text = all(FORMATS[name].is_text for _, name, _ in planned)
        self._schema = pa.schema([(field.name, storable(field.type, all_text)) for field in fields])
        for _, _, plan in planned:
            plan.schema, plan.evidence = _NOTHING, {}
        self._planned = [
            (replace(facts, head=facts.head[:8]), name, plan) for facts, name, plan in planned
        ]

    def _try_one(self, url: str) -> tuple[FileFacts, str, TablePlan] | InputError:
        try:
            return self._plan_one(url)
        except InputError as error:
            return error

    def _plan_one(self, url: str) -> tuple[FileFacts, str, TablePlan]:
        facts = look_at(url)
        if not facts.head and self._format not in ("parquet", "arrow"):
            return facts, self._format or "txt", TablePlan(rows=0, schema=_NOTHING)
        name = self._format or detect_format(facts)
        plan = FORMATS[name].plan(facts)
        check_depth(plan.schema, url)
        return facts, name, plan

    @staticmethod
    def _schemas(
        planned: Sequence[tuple[FileFacts, str, TablePlan]],
    ) -> Iterable[tuple[str, pa.Schema, bool]]:
        evidence: dict[str, TextEvidence] = {}
        for _, _, plan in planned:
            for column, found in plan.evidence.items():
                evidence.setdefault(column, TextEvidence()).merge(found)
        types = {column: found.type() for column, found in evidence.items()}
        for facts, name, plan in planned:
            schema = plan.schema
            if plan.evidence:
                schema = pa.schema([(column, types[column]) for column in schema.names])
            yield facts.url, schema, FORMATS[name].is_text

    @property
    def schema(self) -> pa.Schema:
        """Columns and types, settled over all files."""
        self.plan()
        return self._schema

    def files(self) -> list[InputFile]:
        """The files with their row counts."""
        self.plan()
        return [
            InputFile(facts.url, plan.rows, facts.size, facts.version)
            for facts, _, plan in self._planned
        ]

    def read(self, part: Part, names: Sequence[str]) -> pa.Table:
        """The named columns of one part, with the settled types, in the order given.

        Raises:
            DamagedInput: they cannot be decoded.
            InputError: the file cannot be reached, or is not the one that was planned.
        """
        self.plan()
        facts, _, _ = self._planned[part.file]
        wanted = pa.schema([self._schema.field(name) for name in names])
        try:
            raw = self._reader(part.file, wanted).read(part.start, part.count)
        except DamagedInput as error:
            self._readers.popitem()  # its cursor stands nowhere now
            if not is_unchanged(facts):
                raise InputError(
                    f"{redact_url(facts.url)} was changed while the run was going on. "
                    f"{error.message}"
                ) from error
            raise
        return conform(raw, wanted, facts.url)

    def _reader(self, file: int, wanted: pa.Schema) -> ForwardReader:
        key = (file, tuple(wanted.names))
        reader = self._readers.pop(key, None)
        if reader is None:
            facts, name, plan = self._planned[file]
            reader = FORMATS[name].reader(facts, plan, wanted)
        self._readers[key] = reader
        while len(self._readers) > OPEN_READERS:
            self._readers.popitem(last=False)
        return reader


def _broken_files(broken: Sequence[InputError], files: Sequence[object]) -> str:
    told = " ".join(error.message for error in broken[:BROKEN_TOLD])
    more = len(broken) - BROKEN_TOLD
    rest = f" And {more} more." if more > 0 else ""
    return (
        f"{len(broken)} of {len(files)} input files cannot be used: {told}{rest} Mend them, or go "
        "on without them: move them elsewhere, or name the others by a glob."
    )


def _no_rows(urls: Sequence[str], schema: pa.Schema) -> str:
    what = (
        redact_url(urls[0])
        if len(urls) == 1
        else f"The {len(urls)} input files from {redact_url(urls[0])} on"
    )
    if schema.names:
        return f"{what}: there is a header ({', '.join(schema.names[:10])}) but no rows."
    return f"{what}: there are no rows, the input is empty."
