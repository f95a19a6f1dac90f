"""The rows of a shard as samples on their way through a pass."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from clipmill.core.keys import sample_key, sample_uid
from clipmill.core.sample import KeptCut, MediaRef, Sample, Subtitle
from clipmill.core.time import Span
from clipmill.run.write_spec import WriteSpec
from clipmill.sources.base import (
    CUTS_COLUMN,
    DAMAGE_COLUMN,
    HIDDEN,
    KEY_COLUMN,
    MEDIA_COLUMN,
    MEMBERS_COLUMN,
    SPAN_COLUMN,
    SUBTITLES_COLUMN,
    UID_COLUMN,
)

_SPECIAL = frozenset({"url", "caption", "clips", *HIDDEN})
_FIT_KEY = re.compile(r"[A-Za-z0-9_-]{1,200}")


def samples_of(
    inputs: pa.Table, numbers: Sequence[int], shard: int, write: WriteSpec
) -> Iterator[Sample]:
    """Samples of a shard, in order.

    A sample of a dataset keeps its key, unless that cannot be the name of a file or another row of
    the shard has it already.

    Args:
        inputs: the shard's rows, as its source gives them.
        numbers: the place of each in the shard.
        shard: its id.
        write: how the dataset's keys are made.
    """
    taken: set[str] = set()
    for row, values in zip(numbers, _python_rows(inputs), strict=True):
        media = tuple(MediaRef(**ref) for ref in values.get(MEDIA_COLUMN) or ())
        url = values.get("url")
        spans = values.get("clips")
        span = Span.from_row(values[SPAN_COLUMN]) if values.get(SPAN_COLUMN) else None
        key = values.get(KEY_COLUMN)
        if key is None or key in taken or not _FIT_KEY.fullmatch(key):
            key = sample_key(shard, row, write.samples_per_shard, write.shard_digits)
        taken.add(key)
        yield Sample(
            key=key,
            uid=uid_of(values),
            url=url,
            caption=values.get("caption"),
            spans=spans,
            span=span,
            subtitles=tuple(_subtitle(line) for line in values.get(SUBTITLES_COLUMN) or ()),
            cuts=_cuts(values.get(CUTS_COLUMN)),
            columns={name: value for name, value in values.items() if name not in _SPECIAL},
            media=media,
            members={
                ref["extension"]: MediaRef(**ref) if ref["path"] else None
                for ref in values.get(MEMBERS_COLUMN) or ()
            },
            damage=values.get(DAMAGE_COLUMN),
        )


def uid_of(values: Mapping[str, Any]) -> str:
    """Identity of a row: its own, else from its URL or file, and what it is of that."""
    if known := values.get(UID_COLUMN):
        return str(known)
    media, spans = values.get(MEDIA_COLUMN), values.get("clips")
    source = values.get("url") or (media[0]["path"] if media else "")
    if values.get(SPAN_COLUMN):
        span = Span.from_row(values[SPAN_COLUMN])
        spans = [[span.start, span.end]]
    return sample_uid(source, spans)


def _subtitle(line: Mapping[str, Any]) -> Subtitle:
    return Subtitle(**{**line, "automatic": bool(line.get("automatic"))})


def _cuts(cells: Sequence[Mapping[str, Any]] | None) -> tuple[KeptCut, ...] | None:
    """The cuts between frames of the source itself, rather than at another rate."""
    if cells is None:
        return None
    return tuple(
        KeptCut(cell["number"], cell["seconds"]) for cell in cells if cell["frame_rate"] is None
    )


def _python_rows(inputs: pa.Table) -> Iterator[dict[str, Any]]:
    """Rows as Python values; dates that Python does not know become their number."""
    columns = {}
    for name, column in zip(inputs.column_names, inputs.columns, strict=True):
        try:
            columns[name] = column.to_pylist()
        except (OverflowError, ValueError, pa.ArrowInvalid):  # beyond year 9999, unknown zone
            narrow = column.cast(pa.int32()) if pa.types.is_date32(column.type) else column
            columns[name] = narrow.cast(pa.int64()).to_pylist()
    for number in range(inputs.num_rows):
        yield {name: values[number] for name, values in columns.items()}
