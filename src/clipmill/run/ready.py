"""Ready recipes: common jobs under a name, to be run as they are or copied and changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clipmill.core.errors import RecipeError
from clipmill.core.registry import nearest
from clipmill.run.recipe import Recipe
from clipmill.run.recipe_file import load_recipe, read_recipe
from clipmill.run.source_spec import LOCATIONS

FOLDER = Path(__file__).parent / "recipes"


def ready_names() -> list[str]:
    """Names of the ready recipes, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def ready_path(name: str) -> Path:
    """The file of a ready recipe.

    Raises:
        RecipeError: there is none of that name.
    """
    if name not in ready_names():
        raise RecipeError(
            f"There is no recipe file {name!r}, and no ready recipe of that name. "
            f"{nearest(name, ready_names())}"
        )
    return FOLDER / f"{name}.yaml"


def find_recipe(given: str, source: str | None = None, output: str | None = None) -> Recipe:
    """The recipe of a file or of a ready name, with another input or output where given.

    Args:
        given: path of a YAML file, or a name such as ``scenes``.
        source: input of any kind, in place of the recipe's own.
        output: folder of the dataset, in place of the recipe's own.

    Raises:
        RecipeError: there is no such recipe, or it is wrong.
    """
    path = Path(given) if Path(given).is_file() or "." in given else ready_path(given)
    data = dict(read_recipe(path))
    if source is not None:
        data["source"] = {**_without_location(data.get("source") or {}), "path": source}
    if output is not None:
        data["write"] = {**(data.get("write") or {}), "to": output}
    return load_recipe(data, where=given)


def _without_location(source: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in source.items() if name not in LOCATIONS}
