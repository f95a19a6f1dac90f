"""Recipes read from YAML files, mappings and themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from clipmill.core.config import parse_config
from clipmill.core.errors import RecipeError
from clipmill.run.recipe import Recipe


def load_recipe(given: Recipe | Mapping[str, Any] | str | Path, where: str = "recipe") -> Recipe:
    """Read a recipe from YAML, a mapping or itself.

    Args:
        given: a ``Recipe``, a mapping with its keys, or the path of a YAML file.
        where: how the user knows a mapping, for messages.

    Raises:
        RecipeError: unreadable file, or keys and values that are not a recipe's.
    """
    if isinstance(given, Recipe):
        return given
    if isinstance(given, Mapping):
        return parse_config(Recipe, given, where)
    return parse_config(Recipe, read_recipe(given), str(given))


def read_recipe(path: str | Path) -> Mapping[str, Any]:
    """The keys and values of a recipe file, not checked yet.

    Raises:
        RecipeError: unreadable file.
    """
    try:
        data = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise RecipeError(f"Recipe {path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"Recipe {path} is not YAML: {error}") from error
    if not isinstance(data, Mapping):
        raise RecipeError(f"Recipe {path} must have keys such as `source`, `steps` and `write`.")
    return data
