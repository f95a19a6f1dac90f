"""The base of every configuration model: one definition for Python, YAML and the command line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from clipmill.core.errors import RecipeError
from clipmill.core.registry import nearest


class Config(BaseModel):
    """A frozen pydantic model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


ConfigType = TypeVar("ConfigType", bound=Config)


_SECRET_PLACES = {"headers", "proxy", "cookies_file", "site_options"}


def parse_config(model: type[ConfigType], data: Mapping[str, Any], where: str) -> ConfigType:
    """Validate user input and explain what is wrong with it in one paragraph.

    Args:
        model: the configuration class.
        data: what the user wrote.
        where: how the user knows this place, such as ``recipe.yaml``.

    Raises:
        RecipeError: names every wrong key with its place and, for unknown ones, the nearest valid.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = [_explain(model, problem) for problem in error.errors()]
        # not chained: pydantic's own message quotes values, and some are secrets
        raise RecipeError(f"{where}: " + " ".join(problems)) from None


def _explain(model: type[Config], problem: Any) -> str:
    location = [str(part) for part in problem["loc"]]
    place = ".".join(location)
    if problem["type"] == "extra_forbidden":
        choices = _fields_at(model, location[:-1])
        return f"Unknown key {place!r}. {nearest(location[-1], choices)}"
    message = problem["msg"].removeprefix("Value error, ").rstrip(".")
    if isinstance(
        problem["input"], Mapping
    ):  # the message of a check over several keys says it all
        return f"{place}: {message}." if place else f"{message}."
    if _SECRET_PLACES & set(location):
        return f"{place}: {message}."
    return f"{place}: {message} (got {problem['input']!r})."


def _fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        field = model.model_fields.get(part)
        inner = field.annotation if field else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return sorted(model.model_fields)


def fingerprint(value: Any) -> str:
    """Hash a JSON-like value to 12 hex digits, independent of key order."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
