"""The contract of a source: files of rows, planned by counting, read by parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from clipmill.sources.columns import Columns

MEDIA_COLUMN = "_media"
"""Hidden column: list of structs with the fields of ``core.sample.MediaRef``."""

KEY_COLUMN = "_key"
"""Hidden column: key that the sample has already and is to keep."""

UID_COLUMN = "_uid"
"""Hidden column: identity that the sample has already and is to keep."""

SPAN_COLUMN = "_span"
"""Hidden column: stretch of the media that the sample is, as ``core.time.Span.row`` gives it."""

SUBTITLES_COLUMN = "_subtitles"
"""Hidden column: lines that are known already, as ``core.sample.Subtitle``."""

CUTS_COLUMN = "_cuts"
"""Hidden column: where scenes begin, as an earlier run kept it in the column ``cuts``."""

MEMBERS_COLUMN = "_members"
"""Hidden column: files that go with the sample as they are, as ``_media``; a null path where it
should have one and has none."""

DAMAGE_COLUMN = "_damage"
"""Hidden column: why a row could not be read; null for those that could."""

HIDDEN = (
    MEDIA_COLUMN,
    KEY_COLUMN,
    UID_COLUMN,
    SPAN_COLUMN,
    SUBTITLES_COLUMN,
    CUTS_COLUMN,
    MEMBERS_COLUMN,
    DAMAGE_COLUMN,
)
"""Columns of sources that are no columns of datasets."""

MEDIA_TYPE = pa.list_(
    pa.struct(
        [
            ("path", pa.string()),
            ("extension", pa.string()),
            ("offset", pa.int64()),
            ("size", pa.int64()),
            ("row", pa.int64()),
            ("sha256", pa.string()),
        ]
    )
)


SUBTITLES_TYPE = pa.list_(
    pa.struct(
        [
            ("language", pa.string()),
            ("start_seconds", pa.float64()),
            ("end_seconds", pa.float64()),
            ("text", pa.string()),
            ("automatic", pa.bool_()),
        ]
    )
)


def media_ref(path: str | None, extension: str, **place: int | None) -> dict[str, Any]:
    """One element of ``_media``; what ``place`` leaves out is null."""
    whole = {"offset": None, "size": None, "row": None, "sha256": None}
    return {"path": path, "extension": extension, **whole, **place}


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of a source, as planned.

    Args:
        url: local path or fsspec URL.
        rows: number of rows in it.
        size: bytes.
        version: modification time or etag, whatever tells that it changed; may be empty.
    """

    url: str
    rows: int
    size: int
    version: str


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive rows of one input file: ``[start, start + count)`` of ``files[file]``."""

    file: int
    start: int
    count: int


class Source(ABC):
    """Rows of samples that can be counted cheaply and read by parts, in any order.

    A source is picklable after ``files`` and ``schema`` were asked for, so that a worker reads its
    shard by itself. Its rows have the columns ``url`` (string), ``caption`` (string, when a caption
    column was chosen), ``clips`` (list of [start, end] as strings, when a clip column was chosen),
    ``_media`` (``MEDIA_TYPE``, when the bytes need no fetching), then the kept input columns. Of
    samples of a dataset, ``_key``, ``_span``, ``_subtitles`` and ``_cuts`` tell what is known.
    An input column whose name clipmill uses itself is kept as ``input_<name>``.

    Reads keep a cursor for the next one, so only one may run at a time.
    """

    columns: Columns
    """The column choices it was made with."""

    @abstractmethod
    def files(self) -> Sequence[InputFile]:
        """The files in reading order, with their row counts."""

    @abstractmethod
    def schema(self) -> pa.Schema:
        """Names and types of the rows, settled over all files."""

    @abstractmethod
    def read(self, part: Part) -> pa.Table:
        """Rows of one part, in order, with exactly ``schema()``."""

    def media_folder(self) -> str | None:
        """The folder that the media of rows lie in, where it is another than that of the files."""
        return None

    def left_out(self) -> Counter[str]:
        """Rows of the input that are no samples any more, by why; of a dataset, its failures."""
        return Counter()

    def read_urls(self, part: Part) -> pa.ChunkedArray[Any]:
        """The ``url`` column of one part; a source that can read it alone cheaply says how."""
        return self.read(part).column("url")
