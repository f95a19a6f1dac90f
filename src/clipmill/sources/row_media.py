"""What rows tell of their media; a table came from anywhere, and so may name any file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import pyarrow as pa

from clipmill.core.errors import DamagedInput
from clipmill.sources.base import MEDIA_TYPE, media_ref
from clipmill.sources.streams import is_http, is_local
from clipmill.sources.table_format import extension_of

Refs = list[dict[str, Any]]
"""Where one sample's media lie, as mappings of the fields of ``core.sample.MediaRef``."""


class RowMedia(NamedTuple):
    """What a row tells of its media.

    Args:
        refs: where they lie; empty when they are not there to be used.
        url: where they may be fetched, when the row names a place that is not its dataset's own.
        damage: of the file that they should lie in, when they are not found there.
        members: other members of its that were asked for, where they are there.
    """

    refs: Refs
    url: str | None = None
    damage: DamagedInput | None = None
    members: Sequence[dict[str, Any]] = ()


class OwnFolder:
    """The folder of a table, whose files alone the table may name to be used in place.

    Args:
        url: the folder.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._root = os.path.realpath(url or "/") if is_local(url) else ""

    def file(self, name: str) -> str | None:
        """The file of this name in the folder; None when it is, or may be, somewhere else.

        Web servers may send us anywhere, so that their files are fetched like other URLs.
        """
        if is_http(self._url) or urlsplit(self._url).scheme in ("file", "local"):
            return None
        if not name or name.startswith("/") or "://" in name or "::" in name or "\0" in name:
            return None
        if ".." in unquote(name).split("/"):
            return None
        path = f"{self._url}/{name}"
        if self._root and os.path.commonpath([self._root, os.path.realpath(path)]) != self._root:
            return None
        return path

    def url(self, name: str) -> str:
        """What a name stands for as a URL or path, to be judged like any other in a list."""
        if "://" in name or "::" in name or name.startswith("/"):
            return name
        return f"{self._url}/{quote(name) if is_http(self._url) else name}"


def with_file(media: RowMedia, name: str, own: OwnFolder) -> RowMedia:
    """What is known of a row and, beside it, a file that one of its cells names."""
    path = own.file(name)
    if path is None:
        return media._replace(url=media.url or own.url(name))
    return media._replace(refs=[*media.refs, media_ref(path, extension_of(path))])


def named_files(names: pa.ChunkedArray[Any], folder: OwnFolder) -> tuple[pa.Array[Any], Any]:
    """Files that a column names: what to call each, and where it lies if that is in the folder.

    Returns:
        A column of paths or URLs, and one of media.
    """
    found = [with_file(RowMedia([]), name, folder) if name else None for name in names.to_pylist()]
    urls = [one and (one.refs[0]["path"] if one.refs else one.url) for one in found]
    return pa.array(urls, pa.string()), media_column([one or RowMedia([]) for one in found])


def row_urls(media: Sequence[RowMedia], table: str, start: int) -> pa.Array[Any]:
    """What to call rows: by their place when their media are there, else as they name it."""
    names = [f"{table}#{start + row}" if one.refs else one.url for row, one in enumerate(media)]
    return pa.array(names, pa.string())


def media_column(media: Sequence[RowMedia]) -> pa.Array[Any]:
    """References as the column that sources give."""
    return pa.array([one.refs or None for one in media], MEDIA_TYPE)
