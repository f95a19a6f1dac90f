"""What the files of a dataset are called, and the two small ones that tell of the others."""

from __future__ import annotations

from typing import Any

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.io.folder import Folder

DATASET_FILE = "dataset.json"
RUN_FOLDER = "_run"
SOURCES_FOLDER = "_sources"
"""Tables with a row for each source that was split; readers of a folder's tables pass it over."""
STATS_SUFFIX = "_stats.json"
_MANIFEST_KEYS = ("run", "recipe", "fingerprint", "identity", "inputs")


def shard_order(shard: str) -> tuple[int, int, str]:
    """Sorts shards by number and volume, however many digits they have; other names come first."""
    number, _, volume = shard.partition("-")
    if number.isdecimal() and (volume or "0").isdecimal():
        return int(number), int(volume or 0), shard
    return -1, 0, shard


def read_manifest(folder: Folder) -> dict[str, Any]:
    """Content of a dataset's ``dataset.json``.

    Raises:
        InputError: it is damaged.
    """
    advice = "Put back an earlier copy of it, or start the dataset over with --overwrite."
    manifest = _read_mapping(folder, DATASET_FILE, advice)
    if lost := [name for name in _MANIFEST_KEYS if name not in manifest]:
        shown = _shown(folder, DATASET_FILE)
        raise InputError(f"{shown} is damaged: it has no {lost[0]!r}. {advice}")
    return manifest


def read_stats(folder: Folder, shard: str) -> dict[str, Any]:
    """Content of a finished shard's stats file, ours or a peer's.

    Raises:
        InputError: it is damaged.
    """
    name = f"{shard}{STATS_SUFFIX}"
    advice = "Remove it and give the command that made the dataset again: it redoes this shard."
    stats = _read_mapping(folder, name, advice)
    if not isinstance(stats.get("count"), int):
        raise InputError(f"{_shown(folder, name)} is damaged: it tells no count of rows. {advice}")
    return stats


def _read_mapping(folder: Folder, name: str, advice: str) -> dict[str, Any]:
    try:
        value = folder.read_json(name)
    except ValueError as error:
        raise InputError(f"{_shown(folder, name)} is damaged: {error}. {advice}") from error
    except PermissionError as error:
        raise InputError(f"{_shown(folder, name)} cannot be read: {error.strerror}.") from error
    if not isinstance(value, dict):
        raise InputError(f"{_shown(folder, name)} is damaged: it holds no JSON object. {advice}")
    return value


def _shown(folder: Folder, name: str) -> str:
    return redact_url(folder.url_of(name))
