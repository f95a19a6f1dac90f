"""The base of every configuration model: one definition for Python, YAML and the command line."""

from __future__ import annotations

import hashlib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ByteSize, ConfigDict, ValidationError

from clipmill.core.errors import RecipeError
from clipmill.core.registry import nearest
from clipmill.core.words import Style, name_of


class Config(BaseModel):
    """A frozen pydantic model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


ConfigType = TypeVar("ConfigType", bound=Config)


def _positive(size: ByteSize) -> ByteSize:
    if size < 1:
        raise ValueError("must be at least one byte, such as 500MB or 2GiB; or leave it out")
    return size


PositiveBytes = Annotated[ByteSize, AfterValidator(_positive)]
"""A size of at least a byte, as a number or such as ``2GB``."""


_SECRET_PLACES = {"headers", "proxy", "cookies_file", "site_options"}
_UNION = (typing.Union, types.UnionType)


def parse_config(
    model: type[ConfigType], data: Mapping[str, Any], where: str, *, style: Style = "key"
) -> ConfigType:
    """Validate user input and explain what is wrong with it in one paragraph.

    Args:
        model: the configuration class.
        data: what the user wrote.
        where: how the user knows this place, such as ``recipe.yaml``; may be empty.
        style: how the user names settings; of a ``key``, its whole place is told.

    Raises:
        RecipeError: names every wrong key with its place and, for unknown ones, the nearest valid.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems: dict[tuple[str, ...], list[Any]] = {}
        for problem in error.errors():
            problems.setdefault(_place(model, problem["loc"]), []).append(problem)
        told = " ".join(_explain(model, place, found, style) for place, found in problems.items())
        # not chained: pydantic's own message quotes values, and some are secrets
        raise RecipeError(f"{where}: {told}" if where else told) from None


def _explain(
    model: type[Config], place: tuple[str, ...], problems: Sequence[Any], style: Style
) -> str:
    """One sentence on what is wrong in one place; a choice of types is one problem."""
    first = problems[0]
    name = name_of(place, style)
    if first["type"] == "extra_forbidden":
        return f"Unknown key {name!r}. {nearest(place[-1], _fields_at(model, place[:-1]))}"
    message = " or ".join(
        _message(problem) if number == 0 else _message(problem).removeprefix("must be ")
        for number, problem in enumerate(problems)
    )
    is_plain_value = not isinstance(first["input"], Mapping) and not _SECRET_PLACES & set(place)
    if is_plain_value and first["type"] != "value_error":  # our own checks quote what matters
        message += f" (got {first['input']!r})"
    ending = "" if message.endswith(("?", "!", ".")) else "."
    return f"{name}: {message}{ending}" if name else message + ending


def _message(problem: Any) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ").rstrip(".")
    if problem["type"] == "missing":
        return "must be given"
    if problem["type"].startswith("byte_size"):
        return "must be a number of bytes, or a size such as 500MB or 2GiB"
    if problem["type"].endswith("_parsing"):
        message = message.partition(", ")[0]  # the rest tells how it was tried
    message = message.replace("Input should be", "must be")
    return message.replace("a valid dictionary", "a mapping").replace("valid tuple", "list")


def _place(model: type[BaseModel], location: Sequence[str | int]) -> tuple[str, ...]:
    """The place of a problem without the names of types that pydantic tried there."""
    place: list[str] = []
    annotation: Any = model
    for part in location:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(part))
            annotation = _without_none(field.annotation) if field else None
        elif typing.get_origin(annotation) in (dict, Mapping):
            annotation = None
        else:
            break
        place.append(str(part))
    return tuple(place)


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in _UNION:
        parts = [part for part in typing.get_args(annotation) if part is not type(None)]
        return parts[0] if len(parts) == 1 else None
    return annotation


def _fields_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    for part in path:
        field = model.model_fields.get(part)
        inner = _without_none(field.annotation) if field else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return sorted(model.model_fields)


def fingerprint(value: Any) -> str:
    """Hash a JSON-like value to 12 hex digits, independent of key order."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
