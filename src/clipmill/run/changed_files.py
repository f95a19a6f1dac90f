"""Files of this machine that a dataset was made of, and that are others by now."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any

from clipmill.dataset.dataset import Dataset
from clipmill.io.layout import SOURCES_FOLDER
from clipmill.sources.base import MEDIA_COLUMN, Part, Source
from clipmill.sources.folder import FolderSource

_SCAN_ROWS = 10_000


def changed_files(source: Source, dataset: Dataset) -> list[str]:
    """Media of a folder that are not what their rows were made of any more.

    Args:
        source: the input.
        dataset: what was made of it.
    """
    if not isinstance(source, FolderSource):
        return []
    taken = {row["url"]: row["fetch"] or {} for row in _rows(dataset)}
    found = (path for path in _paths(source) if path in taken)
    return [path for path in found if _is_other(path, taken[path])]


def _rows(dataset: Dataset) -> Iterator[dict[str, Any]]:
    if dataset.folder.exists(SOURCES_FOLDER):
        yield from dataset.sources().select(["url", "fetch"]).to_pylist()
        return
    for shard in dataset.shards:
        yield from dataset.shard_table(shard, ["url", "fetch"]).to_pylist()


def _paths(source: Source) -> Iterator[str]:
    for number, file in enumerate(source.files()):
        for start in range(0, file.rows, _SCAN_ROWS):
            rows = source.read(Part(number, start, min(_SCAN_ROWS, file.rows - start)))
            for media in rows.column(MEDIA_COLUMN).to_pylist():
                if media and os.path.isfile(media[0]["path"]):
                    yield media[0]["path"]


def _is_other(path: str, taken: dict[str, Any]) -> bool:
    """Whether a file has another size than it had, or was written since and has other bytes."""
    now = os.stat(path)
    if not taken.get("sha256"):
        return False  # nothing is known of what it was
    if taken["size"] != now.st_size:
        return True
    if now.st_mtime <= taken["fetched_at"].timestamp():
        return False
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() != str(taken["sha256"])
