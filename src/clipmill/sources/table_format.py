"""The contract of a table format, and which format a file has."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.core.registry import nearest
from clipmill.sources.column_types import TextEvidence
from clipmill.sources.forward import ForwardReader
from clipmill.sources.streams import FileFacts

FORMAT_ALIASES = {
    "csv": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "json": "json",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "txt": "txt",
    "parquet": "parquet",
    "pq": "parquet",
    "arrow": "arrow",
    "feather": "arrow",
    "ipc": "arrow",
    "arrows": "arrow",
}
"""Names and file extensions by which users know each format."""
TABLE_EXTENSIONS = frozenset(FORMAT_ALIASES)
_COMPRESSION_SUFFIXES = (".gz", ".gzip", ".zst", ".zstd")


@dataclass(slots=True)
class TablePlan:
    """What one pass over a file found, small enough to be sent to every worker.

    Args:
        rows: number of rows.
        schema: columns and types of this file alone, in their plain forms.
        chunk_rows: first row of every chunk that reading can begin at or skip by; None when the
            file itself tells.
        chunk_bytes: first byte of every chunk in the decompressed file, and the end of the last.
        header: column names that stand in the file only once.
        evidence: per column, what its texts can be read as; for formats without types.
    """

    rows: int
    schema: pa.Schema
    chunk_rows: npt.NDArray[np.int64] | None = None
    chunk_bytes: npt.NDArray[np.int64] | None = None
    header: tuple[str, ...] = ()
    evidence: Mapping[str, TextEvidence] = field(default_factory=dict)


class TableFormat(ABC):
    """How files of one format are planned and read."""

    is_text: bool = False
    """Whether values are written as text, so that a column may always be read as text."""

    @abstractmethod
    def plan(self, facts: FileFacts) -> TablePlan:
        """Count the rows and settle the types of one file, in bounded memory."""

    @abstractmethod
    def reader(self, facts: FileFacts, plan: TablePlan, schema: pa.Schema) -> ForwardReader:
        """A cursor over rows with (at least) those columns of ``schema`` that the file has."""


def bare_name(url: str) -> str:
    """File name of a path or URL in lower case, without compression suffix and URL query."""
    if url.startswith(("http://", "https://")):
        url = url.split("?")[0].split("#")[0]
    name = url.split("::")[0].rstrip("/").rsplit("/", 1)[-1].lower()
    for suffix in _COMPRESSION_SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def extension_of(url: str) -> str:
    """Extension of a path or URL in lower case, without dot and compression suffix."""
    return bare_name(url).rpartition(".")[2] if "." in bare_name(url) else ""


def format_named(name: str) -> str:
    """The format a user means by a name such as ``ndjson`` or ``csv.gz``.

    Raises:
        InputError: there is no such format.
    """
    plain = name.lower().lstrip(".")
    for suffix in _COMPRESSION_SUFFIXES:
        plain = plain.removesuffix(suffix)
    if plain not in FORMAT_ALIASES:
        raise InputError(
            f"There is no table format named {name!r}. {nearest(plain, sorted(FORMAT_ALIASES))}"
        )
    return FORMAT_ALIASES[plain]


def detect_format(facts: FileFacts) -> str:
    """Tell a file's format by its content where that is certain, else by its name.

    Raises:
        InputError: neither says anything.
    """
    head = facts.head
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    if head.startswith(b"FEA1"):
        raise InputError(
            f"{redact_url(facts.url)} is a Feather file of version 1. "
            "Write it again with pandas.DataFrame.to_feather, or as Parquet."
        )
    named = FORMAT_ALIASES.get(extension_of(facts.url))
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise InputError(
            f"{redact_url(facts.url)} is a web page, not a table. To download what a page shows, "
            "give a list of pages, or a text file with one per line."
        )
    if named in ("parquet", "arrow"):
        raise InputError(
            f"{redact_url(facts.url)} is called {named} but is not: "
            f"its first bytes are {head[:8]!r}."
        )
    if named in ("json", None) and text.startswith((b"{", b"[")):
        return "jsonl" if _is_json_lines(text) else "json"
    if named:
        return named
    raise InputError(
        f"{redact_url(facts.url)}: cannot tell which table format this is. Name it with "
        f"input_format (one of {', '.join(sorted(set(FORMAT_ALIASES.values())))})."
    )


def _is_json_lines(text: bytes) -> bool:
    """Whether JSON text is one object per line rather than one document."""
    if not text.startswith(b"{"):
        return False
    first, newline, rest = text.partition(b"\n")
    if not newline:
        rest = b""
    try:
        value = json.loads(first)
    except ValueError:
        return False
    if not isinstance(value, dict):
        return False
    return bool(rest.strip()) or not _is_column_wise(value)


def _is_column_wise(value: Mapping[str, object]) -> bool:
    return bool(value) and all(isinstance(column, dict | list) for column in value.values())


def check_names(names: Sequence[str], url: str) -> None:
    """Refuse a table whose columns cannot be told apart.

    Raises:
        InputError: a name appears twice.
    """
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InputError(
            f"{redact_url(url)} has two columns named {twice[0]!r}. Rename one of them."
        )
