"""Weights of models: a file here, or one of a repository on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clipmill.core.errors import InputError
from clipmill.core.extras import require

_HUB = "hf://"


def weights_file(place: str, *, extra: str, used_by: str) -> Path:
    """Where weights lie on this machine; those of the hub are downloaded once and kept.

    Args:
        place: a local path, or ``hf://OWNER/NAME@REVISION/FILE``; the revision is a tag, a branch
            or a commit, ``main`` if it is left out. ``huggingface_hub`` keeps what it downloads.
        extra: the extra of clipmill that brings ``huggingface_hub``.
        used_by: what the user asked for that needs them.

    Raises:
        InputError: there are none at that place, or the hub cannot be reached.
        MissingExtra: the hub is asked, and its library is not installed.
    """
    if not place.startswith(_HUB):
        path = Path(place).expanduser()
        if not path.is_file():
            raise InputError(f"{used_by} needs its weights, but there is no file {place}.")
        return path
    hub: Any = require("huggingface_hub", extra=extra, used_by=used_by)
    repository, revision, file = _parts(place)
    try:
        return Path(hub.hf_hub_download(repository, file, revision=revision))
    except (hub.errors.HfHubHTTPError, hub.errors.LocalEntryNotFoundError, OSError) as error:
        told = str(error).strip().splitlines()[0]
        raise InputError(
            f"{used_by} cannot download its weights {place}: {told} Where there is no network, "
            "download the file elsewhere and give its path."
        ) from error


def _parts(place: str) -> tuple[str, str, str]:
    """Repository, revision and file of a place on the hub."""
    owner, _, rest = place.removeprefix(_HUB).partition("/")
    named, _, file = rest.partition("/")
    name, _, revision = named.partition("@")
    if not (owner and name and file):
        raise InputError(f"{place!r} does not name weights; it must be hf://OWNER/NAME/FILE.")
    return f"{owner}/{name}", revision or "main", file
