"""Where the data files of a Hugging Face dataset are, split by split."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from clipmill.core.errors import InputError
from clipmill.core.media_names import MEDIA_EXTENSIONS
from clipmill.core.redact import redact_url
from clipmill.sources.folder_kind import (
    METADATA_NAMES,
    list_folder,
    read_card,
)
from clipmill.sources.paths import expand, expand_braces, full_url, is_folder
from clipmill.sources.streams import file_system, open_stored, reading
from clipmill.sources.table_format import TABLE_EXTENSIONS, extension_of

_SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLIT_OF_WORD = {word: split for split, words in _SPLIT_WORDS.items() for word in words}
_WORD = re.compile(rf"(?:^|[/._ -])({'|'.join(_SPLIT_OF_WORD)})(?=[/._ 0-9-]|$)", re.IGNORECASE)

Splits = dict[str, list[str]]
"""Data files, or one folder of media, by split."""


def find_splits(folder: str) -> Splits:
    """Find the data files of a dataset the way the ``datasets`` library does.

    Args:
        folder: path or URL of the dataset.

    Raises:
        InputError: it is no folder, or has no data files.
    """
    if not is_folder(folder):
        raise InputError(f"There is no folder {redact_url(folder)}. A Hugging Face dataset is one.")
    names = {entry.name for entry in list_folder(folder)}
    if "dataset_dict.json" in names:
        splits = _read_json(f"{folder}/dataset_dict.json").get("splits", [])
        return {str(split): _saved_files(f"{folder}/{_inside(str(split))}") for split in splits}
    if "state.json" in names:
        state = _read_json(f"{folder}/state.json")
        return {str(state.get("_split") or "train"): _saved_files(folder)}
    declared = _declared(folder, read_card(folder)) if "README.md" in names else None
    found = declared or _by_names(folder)
    if not any(found.values()):
        raise InputError(f"There are no data files in the dataset at {redact_url(folder)}.")
    return found


def _read_json(path: str) -> dict[str, Any]:
    with reading(path), open_stored(path) as file:
        data = file.read()
    try:
        value = json.loads(data)
    except ValueError as error:
        raise InputError(f"{redact_url(path)} is not JSON: {error}") from error
    return value if isinstance(value, dict) else {}


def _saved_files(folder: str) -> list[str]:
    """Files of a dataset that ``save_to_disk`` wrote."""
    files = _read_json(f"{folder}/state.json").get("_data_files", [])
    return [f"{folder}/{_inside(file['filename'])}" for file in files]


def _declared(folder: str, card: Mapping[str, Any]) -> Splits | None:
    """Splits that the dataset's card declares."""
    configs = card.get("configs")
    if not isinstance(configs, list) or not configs:
        return None
    default = next(
        (c for c in configs if c.get("default") or c.get("config_name") == "default"), configs[0]
    )
    base = f"{folder}/{_inside(default['data_dir'])}" if default.get("data_dir") else folder
    files = default.get("data_files")
    if files is None:
        return _by_names(base)
    return {split: _matching(base, patterns) for split, patterns in _patterns(files).items()}


def _patterns(files: Any) -> dict[str, list[str]]:
    if isinstance(files, Mapping):
        return {str(split): _as_list(paths) for split, paths in files.items()}
    if isinstance(files, list) and files and all(isinstance(one, Mapping) for one in files):
        return {str(one.get("split", "train")): _as_list(one.get("path")) for one in files}
    return {"train": _as_list(files)}


def _as_list(paths: Any) -> list[str]:
    return [paths] if isinstance(paths, str) else [str(path) for path in paths or []]


def _matching(base: str, patterns: Sequence[str]) -> list[str]:
    return [path for pattern in patterns for path in expand(f"{base}/{_inside(pattern)}")]


def _inside(pattern: str) -> str:
    """What the dataset calls its own files.

    Raises:
        InputError: it leads out of the dataset.
    """
    for name in expand_braces(pattern):
        if name.startswith("/") or "::" in name or ".." in unquote(name).split("/"):
            raise InputError(f"The dataset names {pattern!r}, which is not inside the dataset.")
    return pattern


def _by_names(folder: str) -> Splits:
    """Splits as folder and file names tell them; everything is ``train`` when they do not."""
    fs, root = file_system(folder)
    with reading(folder):
        names = sorted(path.removeprefix(root.rstrip("/") + "/") for path in fs.find(root))
    names = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
    extensions = {extension_of(name) for name in names}
    if extensions & MEDIA_EXTENSIONS and "parquet" not in extensions - _metadata_extensions(names):
        return _media_splits(folder, names)
    for wanted in ({"parquet"}, {"tar"}, {"arrow"}, TABLE_EXTENSIONS):
        found = [name for name in names if extension_of(name) in wanted and _is_data(name)]
        if found:
            splits: Splits = {}
            for name in found:
                path = full_url(folder, fs, f"{root.rstrip('/')}/{name}")
                splits.setdefault(_split_of(name), []).append(path)
            return splits
    return {}


def _metadata_extensions(names: Iterable[str]) -> set[str]:
    """Extensions that only metadata tables have, which are no data files."""
    tables = {extension_of(name) for name in names if name.rpartition("/")[2] in METADATA_NAMES}
    others = {extension_of(name) for name in names if name.rpartition("/")[2] not in METADATA_NAMES}
    return tables - others


def _is_data(name: str) -> bool:
    base = name.rpartition("/")[2].lower()
    return (
        base not in ("dataset_infos.json", "dataset_info.json", "state.json")
        and "readme" not in base
    )


def _split_of(name: str) -> str:
    match = _WORD.search(name)
    return _SPLIT_OF_WORD[match[1].lower()] if match else "train"


def _media_splits(folder: str, names: Sequence[str]) -> Splits:
    """One folder of media per split, when the folders at the top are called like splits."""
    tops = sorted({name.partition("/")[0] for name in names if "/" in name})
    splits = {top: _SPLIT_OF_WORD[top.lower()] for top in tops if top.lower() in _SPLIT_OF_WORD}
    if not splits or any(name in METADATA_NAMES for name in names):
        return {"train": [folder]}
    return {split: [f"{folder}/{top}"] for top, split in splits.items()}
