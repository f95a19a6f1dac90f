"""How raw rows of an input become rows of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.core.registry import nearest
from clipmill.sources.base import MEDIA_COLUMN, MEDIA_TYPE, SUBTITLES_COLUMN, SUBTITLES_TYPE
from clipmill.sources.clips import CLIPS_TYPE, check_clip_type, read_clips
from clipmill.sources.columns import RESERVED, Columns
from clipmill.sources.valid_text import decoded

_LISTED_NAMES = 30


class RowShape:
    """How raw rows become rows of samples, settled once for a whole input.

    Args:
        raw: columns and types of the raw rows.
        columns: the user's choices.
        where: the input, for messages.
        has_media: the source knows where the bytes of its rows lie and gives each row a URL.
        has_text: the source has texts that go with its rows, apart from any column.
        has_subtitles: likewise subtitles.
        default_url: column with the URLs when the user chose none; None when the source's own
            names for its rows are better.

    Raises:
        InputError: a chosen column is missing or holds what it cannot hold.
    """

    def __init__(
        self,
        raw: pa.Schema,
        columns: Columns,
        where: str,
        *,
        has_media: bool = False,
        has_text: bool = False,
        has_subtitles: bool = False,
        default_url: str | None = "url",
    ) -> None:
        where = redact_url(where)
        self.has_media = has_media
        self.has_text = has_text
        self.has_subtitles = has_subtitles
        self.url = _url_column(raw, columns, where, default_url, is_optional=has_media)
        self.caption = _chosen(raw, columns.caption_col, "caption_col", where)
        self.clips = _chosen(raw, columns.clip_col, "clip_col", where)
        for name in (self.url, self.caption):
            if name is not None and not _may_be_text(raw.field(name).type, name == self.caption):
                raise InputError(
                    f"Column {name!r} of {where} holds {raw.field(name).type}, but text is needed."
                )
        if self.clips is not None:
            check_clip_type(raw.field(self.clips), where)
        used = {self.url, self.clips}
        if self.caption is not None and not pa.types.is_nested(raw.field(self.caption).type):
            used.add(self.caption)
        kept = _kept(raw, columns, where)
        self.kept = {name: new for name, new in _new_names(kept).items() if name not in used}
        self.schema = self._schema(raw)

    def _schema(self, raw: pa.Schema) -> pa.Schema:
        fields: list[tuple[str, pa.DataType]] = [("url", pa.string())]
        if self.caption is not None or self.has_text:
            fields.append(("caption", pa.string()))
        if self.clips is not None:
            fields.append(("clips", CLIPS_TYPE))
        if self.has_media:
            fields.append((MEDIA_COLUMN, MEDIA_TYPE))
        if self.has_subtitles:
            fields.append((SUBTITLES_COLUMN, SUBTITLES_TYPE))
        return pa.schema(fields + [(new, raw.field(name).type) for name, new in self.kept.items()])

    @property
    def needed(self) -> list[str]:
        """Raw columns that have to be read."""
        chosen = [name for name in (self.url, self.caption, self.clips) if name is not None]
        return list(dict.fromkeys([*chosen, *self.kept]))

    def apply(
        self,
        raw: pa.Table,
        *,
        url: pa.Array[Any] | None = None,
        text: pa.Array[Any] | None = None,
        media: pa.Array[Any] | None = None,
        subtitles: Sequence[Sequence[dict[str, Any]]] = (),
    ) -> pa.Table:
        """Shape raw rows.

        Args:
            raw: at least the needed columns.
            url: what to call rows that have no URL in a column; for sources with media.
            text: captions of rows that have none in a column; for sources with texts.
            media: where the bytes lie; for sources with media.
            subtitles: lines of each row; for sources with subtitles.
        """
        made = {"url": _first(self._text(raw, self.url), url)}
        if "caption" in self.schema.names:
            made["caption"] = _first(self._text(raw, self.caption), text)
        if self.clips is not None:
            made["clips"] = read_clips(raw.column(self.clips))
        if self.has_media:
            made[MEDIA_COLUMN] = media
        if self.has_subtitles:
            made[SUBTITLES_COLUMN] = pa.array(subtitles, SUBTITLES_TYPE)
        made |= {new: raw.column(name) for name, new in self.kept.items()}
        return pa.table(made, schema=self.schema)

    @staticmethod
    def _text(raw: pa.Table, name: str | None) -> pa.ChunkedArray[Any] | None:
        return None if name is None else as_text(raw.column(name), name)


def as_text(column: pa.ChunkedArray[Any], name: str) -> pa.ChunkedArray[Any]:
    """Values of any flat type as texts, of lists of texts the first that is not empty.

    Not-a-number is no text, bytes are taken for UTF-8.

    Raises:
        InputError: a type that has no text.
    """
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_list(column.type):
        found = (next(filter(None, texts or ()), None) for texts in column.to_pylist())
        return pa.chunked_array([pa.array(found, pa.string())])
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        if pa.types.is_binary(column.type) or pa.types.is_fixed_size_binary(column.type):
            return pa.chunked_array([decoded(column)])
        raise InputError(
            f"Column {name!r} holds {column.type} values that are not text: {error}"
        ) from error


def _may_be_text(kind: pa.DataType, may_be_list: bool) -> bool:
    return not pa.types.is_nested(kind) or (
        may_be_list and pa.types.is_list(kind) and pa.types.is_string(kind.value_type)
    )


def _first(
    column: pa.ChunkedArray[Any] | None, other: pa.Array[Any] | None
) -> pa.ChunkedArray[Any] | pa.Array[Any] | None:
    if column is None or other is None:
        return other if column is None else column
    return pc.coalesce(column, other)  # type: ignore[return-value]  # not a scalar, since no input is


def _url_column(
    raw: pa.Schema, columns: Columns, where: str, default: str | None, *, is_optional: bool
) -> str | None:
    if columns.url_col is not None:
        return _chosen(raw, columns.url_col, "url_col", where)
    if default in raw.names:
        return default
    if is_optional:
        return None
    if len(raw.names) == 1:
        return str(raw.names[0])
    raise InputError(
        f"{where} has no column 'url'. Say which column holds the URLs with url_col. "
        f"{nearest('url', raw.names[:_LISTED_NAMES])} {_listing(raw)}"
    )


def _chosen(raw: pa.Schema, name: str | None, option: str, where: str) -> str | None:
    if name is None or name in raw.names:
        return name
    hint = nearest(name, raw.names) if len(raw.names) <= _LISTED_NAMES else ""
    raise InputError(
        f"{where} has no column {name!r} ({option}). "
        + " ".join(part for part in (hint if "Did you" in hint else "", _listing(raw)) if part)
    )


def _listing(raw: pa.Schema) -> str:
    more = f" and {len(raw.names) - _LISTED_NAMES} more" if len(raw.names) > _LISTED_NAMES else ""
    return f"Its columns are: {', '.join(raw.names[:_LISTED_NAMES]) or 'none'}{more}."


def _kept(raw: pa.Schema, columns: Columns, where: str) -> Sequence[str]:
    if columns.save_additional_columns is None:
        return list(raw.names)
    for name in columns.save_additional_columns:
        _chosen(raw, name, "save_additional_columns", where)
    return list(dict.fromkeys(columns.save_additional_columns))


def _new_names(kept: Sequence[str]) -> dict[str, str]:
    """Names under which columns are kept: clipmill's own names are not free."""
    taken = {name for name in kept if name not in RESERVED}
    names = {}
    for name in kept:
        new = name
        while new in RESERVED or (new != name and new in taken):
            new = f"input_{new}"
        taken.add(new)
        names[name] = new
    return names
