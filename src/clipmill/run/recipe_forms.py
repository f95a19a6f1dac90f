"""The forms a recipe may be written in, made the one that its model has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clipmill.core.registry import nearest
from clipmill.formats.trainers.profiles import PROFILES

STEPS = ("download", "keep", "probe", "split", "annotate", "where", "fit", "render")
REPEATED = ("annotate", "where")
"""Steps that may stand in a list several times: all of them are done, whatever their order."""
VIRTUAL_WRITE: dict[str, Any] = {"format": "parquet", "encode_formats": {}}


def several(value: Any) -> Any:
    """One thing or several, as several.

    Raises:
        ValueError: it is a number or the like, as YAML takes an unquoted ``true`` for one.
    """
    if value is None:
        return []
    if not isinstance(value, str | Mapping | list | tuple):
        raise ValueError(f"{value!r} is no text: put it in quotes")
    return [value] if isinstance(value, str | Mapping) else value


def from_steps(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Accept the list form of a recipe: `steps: [{download: {...}}, probe]`."""
    if "steps" not in data:
        return data
    flat: dict[str, Any] = {name: value for name, value in data.items() if name != "steps"}
    for step in data["steps"] or ():
        named = step if isinstance(step, Mapping) else {step: {}}
        if len(named) != 1:
            raise ValueError(f"a step is one name with its settings, not {step!r}")
        ((name, settings),) = named.items()
        if name not in STEPS:
            raise ValueError(f"there is no step {name!r}. {nearest(str(name), list(STEPS))}")
        if name in REPEATED:
            flat[name] = [*several(flat.get(name)), *several(settings)]
            continue
        if name in flat:
            raise ValueError(f"step {name!r} is given twice")
        flat[name] = settings or {}
    return flat


def virtual_write(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Clips that are not rendered have no media: their shards are tables."""
    if data.get("split") is None or data.get("render") is not None:
        return data
    write = dict(data.get("write") or {})
    if given := [
        name
        for name in VIRTUAL_WRITE
        if write.get(name, VIRTUAL_WRITE[name]) != VIRTUAL_WRITE[name]
    ]:
        raise ValueError(
            f"write.{given[0]} has no effect on clips that are not rendered, which are rows of "
            "a table: leave it out, or add the step render"
        )
    return {**data, "write": {**write, **VIRTUAL_WRITE}}


def layout_of_trainer(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Clips for a trainer lie as its usual one reads them, unless a format is chosen."""
    if not isinstance(data.get("fit"), Mapping):
        return data
    profile = PROFILES.get(str(data["fit"].get("trainer")))
    write = dict(data.get("write") or {})
    if profile is not None:
        write.setdefault("format", profile.layout)
    return {**data, "write": write}
