"""The folder a run writes to: what lies there already, and whether it goes together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from clipmill.core.errors import InputError, OutputError
from clipmill.io.folder import Folder
from clipmill.io.layout import DATASET_FILE, RUN_FOLDER, STATS_SUFFIX, read_manifest
from clipmill.run.input import Input, last_input
from clipmill.run.recipe import Recipe
from clipmill.sources.base import MEDIA_COLUMN
from clipmill.sources.streams import is_local

Mode = Literal["auto", "resume", "overwrite", "extend"]


class Existing:
    """What lies in the output folder already.

    Args:
        output: the folder.
    """

    def __init__(self, output: Folder) -> None:
        names = output.list()
        self.dataset: dict[str, Any] | None = None
        self.damage: InputError | None = None
        if DATASET_FILE in names:
            try:
                self.dataset = read_manifest(output)
            except InputError as error:
                self.damage = error
        recorded = (self.dataset or {}).get("recipe", {}).get("write", {})
        self.format: str | None = recorded.get("format")
        """Its shard format, where that is not the usual one."""
        self.is_empty = not [name for name in names if name != RUN_FOLDER]
        self.is_dataset = (
            self.dataset is not None
            or (self.damage is not None and RUN_FOLDER in names)
            or any(name.endswith(STATS_SUFFIX) for name in names)
        )


def check_output(output: Folder, mode: Mode) -> Existing:
    """Look at the output folder and refuse what the mode cannot mean.

    Raises:
        OutputError: unwritable, holds something else, or there is nothing to resume or extend.
        InputError: the dataset's description is damaged.
    """
    if output.is_local:
        _check_writable(output)
    if "memory" in output.fs.protocol:
        raise OutputError("memory:// lives in one process only, and workers are others.")
    if "https" in output.fs.protocol:
        raise OutputError(
            f"{output.url} cannot be written: web servers take no files. Name a folder of this "
            "machine, or an object store such as s3://bucket/folder."
        )
    existing = Existing(output)
    if existing.damage is not None and existing.is_dataset and mode != "overwrite":
        raise existing.damage
    if mode in ("resume", "extend") and existing.dataset is None:
        raise OutputError(
            f"There is no clipmill dataset at {output.url} to {mode}. "
            f"Leave out --{mode} to start one."
        )
    if existing.is_empty or existing.dataset is not None:
        return existing
    if mode == "overwrite" and existing.is_dataset:
        return existing
    advice = (
        "Give --overwrite to replace them"
        if existing.is_dataset
        else "It is not a dataset, so even --overwrite leaves it alone; choose another folder"
    )
    raise OutputError(f"{output.url} already holds files that clipmill did not write. {advice}.")


def _check_writable(output: Folder) -> None:
    place = output.local()
    if place.exists() and not place.is_dir():
        raise OutputError(f"{place} is a file, and the output must be a folder.")
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        what = "is a file, not a folder" if place.exists() else "is a link that leads nowhere"
        raise OutputError(f"{output.url} cannot be made: {place} {what}.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"{output.url} cannot be written: no permission in {place}.")


def check_apart(recipe: Recipe, given: Input) -> None:
    """Refuse to write into the folder that the media are read from, which --overwrite would clear.

    Raises:
        OutputError: some of them lie in it, or in a folder of it.
    """
    if MEDIA_COLUMN not in given.source.schema().names:
        return
    places = [*(file.url for file in given.source.files()), given.source.media_folder() or ""]
    for output in (written.to for written in (recipe.write, recipe.keep) if written):
        inside = _true_place(output)
        for place in map(_true_place, filter(None, places)):
            if f"{place}/".startswith(f"{inside}/{RUN_FOLDER}/"):
                continue  # rows given in Python, which are kept with the dataset
            if f"{place}/".startswith(f"{inside}/"):
                raise OutputError(
                    f"{output} holds the sources that are read ({place}), and they could be "
                    "overwritten: choose another output folder."
                )


def _true_place(place: str) -> str:
    """What a path or URL is known by, whatever links lead there."""
    return (os.path.realpath(place) if is_local(place) else place).rstrip("/")


def check_same(
    recipe: Recipe, given: Input, dataset: Mapping[str, Any], output: Folder, *, extend: bool
) -> None:
    """Refuse to go on with a dataset that was made from something else.

    Args:
        recipe: what is asked for now.
        given: the input as it is now.
        dataset: content of ``dataset.json``.
        output: where it lies.
        extend: another input is what is wanted.

    Raises:
        OutputError: says what differs and what can be done.
    """
    if recipe.fingerprint() != dataset["fingerprint"]:
        differences = _differences(dataset["identity"], recipe.identity())
        raise OutputError(
            f"{output.url} was made with other settings: {'; '.join(differences)}. Use the earlier "
            "settings to go on with it, --overwrite to start over, or another output folder."
        )
    number = last_input(dataset["inputs"])
    last = dataset["inputs"][number]
    if not extend and given.fingerprint not in (last["fingerprint"], last["extension_of"]):
        raise OutputError(_input_changed(last, given, output))


def _differences(old: Any, new: Any, place: str = "") -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = []
        for name in sorted({*old, *new}):
            inner = f"{place}.{name}" if place else name
            found += _differences(old.get(name), new.get(name), inner)
        return found
    return [] if old == new else [f"{place} was {old!r} and is now {new!r}"]


def _input_changed(last: Mapping[str, Any], given: Input, output: Folder) -> str:
    old = {file["url"]: file for file in last["files"]}
    new = {file["url"]: file for file in given.files}
    changes = [f"{url} is new" for url in new.keys() - old.keys()]
    changes += [f"{url} is gone" for url in old.keys() - new.keys()]
    changes += [f"{url} changed" for url in old.keys() & new.keys() if old[url] != new[url]]
    what = "; ".join(sorted(changes)[:3]) or "its rows or columns differ"
    return (
        f"{output.url} was made from another input: {what}. Use --extend to add the rows that are "
        "new, --overwrite to start over, or another output folder."
    )
