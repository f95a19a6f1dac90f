"""Whatever a user has, opened as the source that reads it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from clipmill.core.errors import InputError
from clipmill.core.media_names import MEDIA_EXTENSIONS
from clipmill.core.redact import redact_url
from clipmill.core.registry import load, names, nearest
from clipmill.sources.base import Source
from clipmill.sources.columns import Columns
from clipmill.sources.folder_kind import kind_of_folder
from clipmill.sources.memory import open_rows
from clipmill.sources.paths import expand, is_folder
from clipmill.sources.samples import SampleSource
from clipmill.sources.streams import is_http
from clipmill.sources.table_format import (
    FORMAT_ALIASES,
    TABLE_EXTENSIONS,
    extension_of,
    format_named,
)

GROUP = "clipmill.sources"
_HUB_DATASET = re.compile(r"hf://datasets/[\w.-]+/[\w.@-]+/?$")
_KIND_ALIASES = {"webdataset": "shards", "files": "shards", "videofolder": "folder"}
_TAR_EXTENSIONS = frozenset({"tar", "tgz"})


def open_source(
    given: Any,
    columns: Columns | None = None,
    spill: Path | None = None,
    kind: str | None = None,
    *,
    as_samples: bool = False,
    parent: str | None = None,
    members: Sequence[str] = (),
) -> Source:
    """Open an input of any kind.

    Args:
        given: a path, glob, folder, brace expression or fsspec URL of a table, a folder of media,
            shards or a Hugging Face dataset; or rows: a list or generator of URLs or of dicts, a
            pandas DataFrame, an Arrow table or reader, a ``datasets.Dataset``, anything with
            ``to_arrow``. A list of strings that are all called like tables or tars is several
            inputs, not rows.
        columns: which columns mean what. Default: see ``Columns``.
        spill: local folder where rows given in memory are written once.
            Default: a temporary folder, gone with the source.
        kind: registered name of the source to use (``table``, ``folder``, ``shards``, ``hub``, or
            a plugin's). Default: by what is there.
        as_samples: of shards, take the samples that are there under their own keys, to go on with,
            rather than rows to be fetched.
        parent: where the parent of a dataset of virtual clips lies now. Default: where it lay.
        members: of samples, what else to tell the places of; see ``ShardSource``.

    Raises:
        InputError: nothing is there, or nothing that can be read.
    """
    columns = columns or Columns()
    kind = kind or _kind_named(columns.input_format)
    if isinstance(given, str | os.PathLike):
        paths = [os.fspath(given)]
    elif _is_paths(given, kind):
        paths = [os.fspath(path) for path in given]
    else:
        return open_rows(given, columns, spill)
    kind = kind or _kind_of(paths)
    if columns.media_folder is not None and kind != "table":
        raise InputError(
            "media_folder is for tables whose rows name files of a folder, and "
            f"{redact_url(paths[0])} is none."
        )
    place = paths if len(paths) > 1 else paths[0]
    if as_samples and kind == "shards":
        return SampleSource(place, columns, parent, members)
    return cast(Source, load(GROUP, kind)(place, columns))


def _kind_named(input_format: str | None) -> str | None:
    """The source that an input format belongs to."""
    if input_format is None:
        return None
    name = _KIND_ALIASES.get(input_format.lower(), input_format.lower())
    if name in names(GROUP):
        return name
    plain = name.split(".")[0]
    if plain not in FORMAT_ALIASES:
        known = sorted({*FORMAT_ALIASES.values(), *names(GROUP)})
        raise InputError(f"There is no input format {input_format!r}. {nearest(plain, known)}")
    format_named(name)
    return "table"


def _is_paths(given: Any, kind: str | None) -> bool:
    if not isinstance(given, list | tuple) or not given:
        return False
    if not all(isinstance(path, str | os.PathLike) for path in given):
        return False
    return kind is not None or all(
        extension_of(os.fspath(path)) in TABLE_EXTENSIONS | _TAR_EXTENSIONS for path in given
    )


def _kind_of(paths: Sequence[str]) -> str:
    """Which source reads what is there."""
    if _HUB_DATASET.match(paths[0]):
        return "hub"
    for path in paths:
        if is_http(path) and extension_of(path) in MEDIA_EXTENSIONS:
            raise InputError(
                f"{redact_url(path)} is a media file, and an input is a table, folder or "
                "dataset. Give a list of URLs, such as [url], or a text file with one per line."
            )
    found = [path for one in paths for path in expand(one)]
    if len(found) == 1 and is_folder(found[0]):
        return kind_of_folder(found[0])
    extensions = {extension_of(path) for path in found}
    if extensions <= _TAR_EXTENSIONS:
        return "shards"
    if extensions <= MEDIA_EXTENSIONS:
        return "folder"
    return "table"
