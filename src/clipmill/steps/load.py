"""Steps by name: built in, from an installed package, or from a file of the user's."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from clipmill.core import registry
from clipmill.core.config import fingerprint, parse_config
from clipmill.core.errors import ClipmillError, RecipeError
from clipmill.core.extras import check_installed
from clipmill.core.request import DecoderName, Frames, Request
from clipmill.steps.base import Annotate
from clipmill.steps.own_file import source_of, steps_of_file, what_lacks

GROUP = "clipmill.steps"
"""Entry point group by which steps are known."""
RESERVED = ("key", "mark", "status", "error_class", "error_message", "seconds")
"""Columns that every column group has, so that no step's own may be called so."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_FINGERPRINT_DIGITS = 6


@dataclass(frozen=True, slots=True)
class StepOrder:
    """A step as a recipe asks for it; picklable, and the same in every process.

    Args:
        name: of the step.
        settings: as given, not checked yet.
        module: the user's file that defines it, as an absolute path; None for one that is
            registered.
        decoder: of the pictures that it sees.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    module: str | None = None
    decoder: DecoderName = "pyav"


def find_steps(modules: Sequence[str]) -> dict[str, str | None]:
    """Every step there is, by name, each with the file that defines it; None for registered ones.

    Args:
        modules: files of the user's.

    Raises:
        RecipeError: a file cannot be read or holds no step, or two steps have one name.
    """
    found: dict[str, str | None] = dict.fromkeys(registry.names(GROUP))
    for path in modules:
        place = os.path.abspath(path)
        steps = steps_of_file(place)
        if not steps:
            raise RecipeError(
                f"{path} defines no step: neither a class of clipmill.Annotate nor a function "
                f"decorated with clipmill.step.{what_lacks(place)}"
            )
        for name in steps:
            if found.get(name, place) != place:
                raise RecipeError(f"The step {name!r} of {path} has the name of another step.")
            found[name] = place
    return found


def step_orders(
    given: Sequence[str | Mapping[str, Any]],
    modules: Sequence[str] = (),
    decoder: DecoderName = "pyav",
) -> list[StepOrder]:
    """Steps as recipes name them, each found.

    Args:
        given: names, or mappings of one name to its settings.
        modules: files of the user's that define steps.
        decoder: of the pictures that they see.

    Raises:
        RecipeError: there is no such step.
    """
    known = find_steps(modules)
    orders = []
    for one in given:
        named = one if isinstance(one, Mapping) else {one: {}}
        if len(named) != 1:
            raise RecipeError(f"A step is one name with its settings, not {one!r}.")
        ((name, settings),) = named.items()
        if name not in known:
            raise RecipeError(f"There is no step {name!r}. {registry.nearest(name, sorted(known))}")
        if not isinstance(settings or {}, Mapping):
            raise RecipeError(f"The settings of step {name!r} must be a mapping.")
        orders.append(StepOrder(name, dict(settings or {}), known[name], decoder))
    return orders


def step_type(name: str, module: str | None = None) -> type[Annotate]:
    """A step's class.

    Args:
        name: of the step.
        module: the file that defines it; None for a registered one.

    Raises:
        RecipeError: nothing has that name, or what has it is no step.
    """
    kind = registry.load(GROUP, name) if module is None else steps_of_file(module)[name]
    kind = getattr(kind, "clipmill_step", kind)
    if not (isinstance(kind, type) and issubclass(kind, Annotate)):
        raise RecipeError(f"{name!r} is registered as a step and is none: {kind!r}.")
    return kind


def make_step(order: StepOrder) -> Annotate:
    """A step with its settings, not set up yet.

    Raises:
        RecipeError: there is no such step, or a setting is unknown or wrong.
        MissingExtra: it needs a library that is not installed.
    """
    kind = step_type(order.name, order.module)
    check_installed(kind.needs, used_by=f"step {order.name!r}")
    step = parse_config(kind, order.settings, f"step {order.name!r}")
    check_declared(step)
    return step


def made_steps(
    given: Sequence[str | Mapping[str, Any]], modules: Sequence[str] = ()
) -> list[Annotate]:
    """Steps as recipes name them, made; arguments and errors as of both ways there."""
    return [make_step(order) for order in step_orders(given, modules)]


def step_fingerprint(step: Annotate, decoder: DecoderName = "pyav") -> str:
    """Six hex digits that change when a step would say something else: settings, version, code.

    The decoder counts for steps that see what it gives, since its colours are other ones.

    The code counts for steps that come from a user's file, with what they use of that file; others
    raise their ``version``.
    """
    said = [step.name, step.version, step.identity(), source_of(type(step))]
    if sees_by(step, decoder) != "pyav":
        said.append(decoder)
    return fingerprint([*said, step.columns.to_string(show_field_metadata=False)])[
        :_FINGERPRINT_DIGITS
    ]


def sees_by(step: Annotate, decoder: DecoderName) -> DecoderName:
    """What decodes the pictures of a step when a decoder is asked for."""
    wants = step.wants
    return decoder if isinstance(wants, Frames) and wants.is_for_any_decoder else "pyav"


def file_of_step(step: Any) -> tuple[str, str | None]:
    """Name of a step given as a class or a decorated function, and the file that defines it.

    Returns:
        None in place of the file where the step is registered.

    Raises:
        RecipeError: it is no step, or was defined where other processes could not load it from.
    """
    kind = getattr(step, "clipmill_step", step)
    if not (isinstance(kind, type) and issubclass(kind, Annotate)):
        raise RecipeError(
            f"{step!r} is no step: give a name, a function decorated with clipmill.step, or a "
            "class of clipmill.Annotate."
        )
    if kind.name in registry.names(GROUP) and step_type(kind.name) is kind:
        return kind.name, None
    code = getattr(kind, "function", None) or kind
    path = None if code.__module__ == "__main__" else inspect.getsourcefile(code)
    if path is None or not os.path.isfile(path):
        raise RecipeError(
            f"Step {kind.name!r} is defined in a script or notebook, and other processes must load "
            "it: put it into a file of its own, and import it from there."
        )
    return kind.name, path


def check_declared(step: Annotate) -> None:
    """Refuse a step whose own words cannot be followed: its name, its columns, what it wants.

    Raises:
        RecipeError: tells which, and what is wrong with it.
    """
    try:
        columns, wants = step.columns, step.wants
    except (ClipmillError, MemoryError):
        raise
    except Exception as error:
        raise RecipeError(
            f"Step {step.name!r} cannot tell its columns and what it wants: "
            f"{type(error).__name__}: {error}."
        ) from error
    if not isinstance(wants, Request | None):
        raise RecipeError(
            f"Step {step.name!r} wants {wants!r}: that must be Frames, Audio, Packets or None."
        )
    if not isinstance(columns, pa.Schema):
        raise RecipeError(f"The columns of step {step.name!r} must be a pyarrow schema.")
    if not _NAME.fullmatch(step.name):
        raise RecipeError(f"A step cannot be called {step.name!r}: use small letters, digits, _.")
    names = columns.names
    if wrong := [name for name in names if not _NAME.fullmatch(name) or name in RESERVED]:
        raise RecipeError(
            f"Step {step.name!r} cannot have a column {wrong[0]!r}: use small letters, digits and "
            f"_, and none of {', '.join(RESERVED)}."
        )
    if not names or len(set(names)) < len(names):
        raise RecipeError(f"Step {step.name!r} needs one column at least, each name once.")


def group_name(step: Annotate, decoder: DecoderName) -> str:
    """Name of the column group that a step fills: its own and its fingerprint."""
    return f"{step.name}-{step_fingerprint(step, decoder)}"


def described(step: Annotate) -> list[dict[str, str]]:
    """Each column of a step in words: name, type, unit, description, name in exports if special."""
    return [
        {
            "name": field.name,
            "type": str(field.type),
            "unit": _words(field, b"unit"),
            "description": _words(field, b"description"),
            **({"exported": exported} if (exported := _words(field, b"exported")) else {}),
        }
        for field in step.columns
    ]


def _words(field: pa.Field[Any], key: bytes) -> str:
    return (field.metadata or {}).get(key, b"").decode()
