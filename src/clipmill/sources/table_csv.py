"""CSV and TSV: quoted newlines, types settled over the whole file, errors that name the line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv as pa_csv

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.sources.column_types import TextEvidence
from clipmill.sources.streams import FileFacts
from clipmill.sources.table_format import TablePlan, check_names
from clipmill.sources.table_text import BlockFormat, BlockScan

_OTHER_DELIMITERS = {
    ";": "Save it with commas, or give what pandas.read_csv(..., sep=';') reads.",
    "\t": "Read it with input_format tsv.",
}


class CsvFormat(BlockFormat):
    """Delimited text with a line of column names.

    Args:
        delimiter: the one character between fields.
    """

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        before = re.escape(delimiter.encode()) + rb"\r\n"
        self._quoted = re.compile(rb"(?:\A|(?<=[" + before + rb']))"[^"]*+(?:""[^"]*+)*+("|\Z)')

    def last_record_end(self, data: bytes) -> int:
        """After the last newline that is not inside quotes."""
        end = data.rfind(b"\n")
        if b'"' not in data:
            return end + 1
        spans = [
            (match.start(), match.end(), bool(match[1])) for match in self._quoted.finditer(data)
        ]
        for start, stop, is_closed in reversed(spans):
            if end >= stop and is_closed:
                break
            if end > start:
                end = data.rfind(b"\n", 0, start)
        return end + 1

    def open_quote(self, block: bytes) -> int | None:
        """Where a quote begins that the block does not close; None when all are closed."""
        found = self._quoted.finditer(block)
        return next((match.start() for match in found if not match[1]), None)

    def scan(self, facts: FileFacts) -> BlockScan:
        """Read the header, then count rows and collect evidence for the types."""
        return _CsvScan(self, facts.url)

    def parse(self, block: bytes, plan: TablePlan, schema: pa.Schema, url: str) -> pa.Table:
        """All wanted columns as the texts they are."""
        known = set(schema.names)
        wanted = [name for name in plan.header if name in known]
        return self.parse_texts(block, plan.header, wanted, url, line=None)

    def parse_texts(
        self, block: bytes, header: tuple[str, ...], wanted: list[str], url: str, line: int | None
    ) -> pa.Table:
        """Fields of a block as texts; ``line`` is where the block starts, for messages."""
        try:
            return pa_csv.read_csv(
                pa.BufferReader(block),  # type: ignore[arg-type]  # the stubs know no native files
                read_options=pa_csv.ReadOptions(
                    column_names=list(header), use_threads=False, block_size=len(block) + 1
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=True
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(header, pa.string()),
                    include_columns=wanted,
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            raise InputError(self._what_is_wrong(block, header, url, line, error)) from error

    def _what_is_wrong(
        self, block: bytes, header: tuple[str, ...], url: str, line: int | None, error: Exception
    ) -> str:
        rows = csv.reader(io.StringIO(block.decode(), newline=""), delimiter=self.delimiter)
        before = 0
        csv.field_size_limit(max(csv.field_size_limit(), len(block)))
        for row in rows:
            if row and len(row) != len(header):
                where = f", line {line + before}" if line is not None else ""
                return (
                    f"{redact_url(url)}{where}: {len(row)} fields, but the header names "
                    f"{len(header)} columns. Quote fields that contain {self.delimiter!r} or "
                    "line breaks."
                )
            before = rows.line_num
        return f"{redact_url(url)} cannot be read as CSV: {error}"


class _CsvScan(BlockScan):
    def __init__(self, table_format: CsvFormat, url: str) -> None:
        self._format = table_format
        self._url = url
        self._header: tuple[str, ...] = ()
        self._evidence: dict[str, TextEvidence] = {}
        self._last = b"", 1

    def begin(self, block: bytes) -> int:
        size = 0

        def counted_lines() -> Iterator[str]:
            nonlocal size
            for line in io.StringIO(block.decode(), newline=""):
                size += len(line.encode())
                yield line

        rows = csv.reader(counted_lines(), delimiter=self._format.delimiter)
        names = next((row for row in rows if row), [])
        _check_header(names, self._url)
        _check_delimiter(names, self._url)
        self._header = tuple(
            name or f"Unnamed: {index}"
            for index, name in enumerate(names)  # pandas' index column
        )
        check_names(self._header, self._url)
        self._evidence = {name: TextEvidence() for name in self._header}
        return size

    def add(self, block: bytes, line: int) -> int:
        header, url = self._header, self._url
        table = self._format.parse_texts(block, header, list(header), url, line)
        for name, evidence in self._evidence.items():
            evidence.add(table.column(name))
        self._last = block, line
        return table.num_rows

    def finish(self) -> TablePlan:
        # Blocks end with a record, so that only the last one may end within quotes.
        block, line = self._last
        if (start := self._format.open_quote(block)) is not None:
            line += block.count(b"\n", 0, start)
            raise InputError(
                f"{redact_url(self._url)}, line {line}: a quote is opened that is never closed, so "
                "that all that follows would be one field. Close it, or double a quote that is "
                "meant as one."
            )
        schema = pa.schema([(name, kind.type()) for name, kind in self._evidence.items()])
        return TablePlan(rows=0, schema=schema, header=self._header, evidence=self._evidence)


def _check_header(names: list[str], url: str) -> None:
    data = next((name for name in names if "://" in name), None)
    if data is not None:
        raise InputError(
            f"{redact_url(url)} has no line of column names: its first line holds "
            f"{redact_url(data)!r}. Add a header, or read it as txt when each line is one URL."
        )


def _check_delimiter(names: list[str], url: str) -> None:
    if len(names) != 1:
        return
    for delimiter, remedy in _OTHER_DELIMITERS.items():
        if delimiter in names[0]:
            raise InputError(
                f"{redact_url(url)} looks separated by {delimiter!r} instead of ',': its first "
                f"line is {names[0][:80]!r}. {remedy}"
            )
