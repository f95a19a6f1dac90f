"""What a folder holds: media, tables, shards or a Hugging Face dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from clipmill.core.errors import InputError
from clipmill.core.media_names import MEDIA_EXTENSIONS
from clipmill.core.redact import redact_url
from clipmill.io.filesystem import check_name
from clipmill.io.layout import DATASET_FILE, STATS_SUFFIX
from clipmill.sources.streams import file_system, open_stored, reading
from clipmill.sources.table_format import TABLE_EXTENSIONS, extension_of

METADATA_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_SIDECAR_EXTENSIONS = frozenset({"txt", "json"})
_CARD_KEYS = ("configs", "dataset_info")
_MAX_CARD_BYTES = 1 << 20
_MAX_LOOKED_AT = 2000


@dataclass(frozen=True, slots=True)
class Entry:
    """Something directly in a folder.

    Args:
        name: without the folder.
        is_folder: whether it is one itself.
        size: bytes; 0 for folders and where the storage does not tell.
        version: modification time or the like; may be empty.
    """

    name: str
    is_folder: bool
    size: int
    version: str


def list_folder(url: str) -> list[Entry]:
    """What is visible directly in a folder, sorted by name; symbolic links are left as they are.

    Raises:
        InputError: the folder cannot be listed, or something in it has a name that is no text.
    """
    fs, root = file_system(url)
    with reading(url):
        found = fs.ls(root, detail=True)
    entries = []
    for info in found:
        name = info["name"].rstrip("/").rsplit("/", 1)[-1]
        if name and not name.startswith(".") and info["name"].rstrip("/") != root.rstrip("/"):
            check_name(info["name"])
            is_folder = info["type"] == "directory"
            entries.append(Entry(name, is_folder, int(info.get("size") or 0), _version(info)))
    return sorted(entries, key=lambda entry: entry.name)


def _version(info: dict[str, Any]) -> str:
    keys = ("mtime", "ETag", "etag", "md5", "LastModified", "created")
    return next((str(info[key]) for key in keys if info.get(key)), "")


def read_card(url: str) -> dict[str, Any]:
    """The YAML at the head of a folder's README.md; empty when there is none.

    Raises:
        InputError: it is there, but is no YAML.
    """
    import yaml  # only needed once a folder has a README.md

    path = f"{url.rstrip('/')}/README.md"
    with reading(path), open_stored(path) as file:
        text = file.read(_MAX_CARD_BYTES).decode(errors="replace").lstrip("\ufeff")
    if not text.startswith("---"):
        return {}
    try:
        card = yaml.safe_load(text.split("\n---", 1)[0].removeprefix("---"))
    except yaml.YAMLError as error:
        raise InputError(f"The head of {redact_url(path)} is not YAML: {error}") from error
    return card if isinstance(card, dict) else {}


def kind_of_folder(url: str) -> str:
    """The source that reads a folder: ``shards``, ``hub``, ``folder`` or ``table``.

    Raises:
        InputError: it holds nothing that can be read, or both media and tables.
    """
    top = list_folder(url)
    names = {entry.name for entry in top}
    if DATASET_FILE in names or any(name.endswith(STATS_SUFFIX) for name in names):
        return "shards"
    if names & {"dataset_dict.json", "state.json"}:
        return "hub"
    if "README.md" in names and any(key in read_card(url) for key in _CARD_KEYS):
        return "hub"
    files = [entry.name for entry in top if not entry.is_folder]
    kind = _kind_of_names(files, url)
    if kind:
        return kind
    below = list(_below(url, top))
    kind = _kind_of_names(below, url)
    if kind == "table" and any(extension_of(name) == "parquet" for name in below):
        return "hub"  # split folders, or data/*.parquet
    if kind == "shards":
        return "hub"  # split folders of tars
    if kind:
        return kind
    shown = ", ".join(sorted(names)[:5])
    raise InputError(
        f"The folder {redact_url(url)} holds no media, tables, shards or dataset. "
        + (f"It has: {shown}." if shown else "It is empty.")
    )


def _below(url: str, top: Iterable[Entry]) -> Iterator[str]:
    """File names in subfolders, as many as it takes to tell what they are."""
    looked_at = 0
    waiting = [f"{url.rstrip('/')}/{entry.name}" for entry in top if entry.is_folder]
    while waiting and looked_at < _MAX_LOOKED_AT:
        folder = waiting.pop(0)
        for entry in list_folder(folder):
            looked_at += 1
            if entry.is_folder:
                waiting.append(f"{folder}/{entry.name}")
            else:
                yield entry.name


def _kind_of_names(files: Iterable[str], url: str) -> str | None:
    by_extension: dict[str, list[str]] = {}
    for name in files:
        by_extension.setdefault(extension_of(name), []).append(name)
    media = sorted(
        name for ext in MEDIA_EXTENSIONS & by_extension.keys() for name in by_extension[ext]
    )
    tables = sorted(
        name
        for ext in (TABLE_EXTENSIONS - _SIDECAR_EXTENSIONS) & by_extension.keys()
        for name in by_extension[ext]
        if name not in METADATA_NAMES
    )
    if "tar" in by_extension and not media:
        return "shards"
    if media and tables:
        raise InputError(
            f"The folder {redact_url(url)} holds both media ({media[0]}) and tables ({tables[0]}). "
            "Give the table's path, or say with input_format which is meant: folder, table or hub."
        )
    if media:
        return "folder"
    if tables or TABLE_EXTENSIONS & by_extension.keys():
        return "table"
    return None
