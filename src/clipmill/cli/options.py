"""Command-line options made from the recipe's models, so that each is written once."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

import typer
import yaml
from pydantic import ByteSize
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from clipmill.core.config import Config
from clipmill.core.docstrings import field_docs
from clipmill.core.errors import RecipeError

OptionalSource = Annotated[
    str | None, typer.Argument(metavar="[SOURCE]", help="Input in place of the recipe's own.")
]
OptionalOutput = Annotated[
    str | None,
    typer.Argument(metavar="[OUTPUT]", help="Output folder in place of the recipe's own."),
]
Output = Annotated[
    str, typer.Argument(metavar="OUTPUT", help="Folder of the dataset: path or fsspec URL.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Only go on with a run.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Start over.")]
Extend = Annotated[bool, typer.Option("--extend", help="Add rows that are new.")]
AsJson = Annotated[bool, typer.Option("--json", help="Report as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
"""Arguments and options that several commands have."""

_METAVARS: dict[Any, str] = {str: "TEXT", list[str]: "TEXT", int: "INT", float: "FLOAT"}


def add_options(
    function: Callable[..., None], models: Iterable[type[Config]], *, leave_out: Iterable[str] = ()
) -> Callable[..., None]:
    """Give a command one option per field of the models; only those given reach ``settings``.

    Args:
        function: a command whose last parameter is ``**settings``.
        models: configuration models; field names become option names.
        leave_out: fields that the command gives in another way.
    """
    signature = inspect.signature(function)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [
        _option(name, field, model)
        for model in models
        for name, field in model.model_fields.items()
        if name not in leave_out
    ]
    fields = {name: field for model in models for name, field in model.model_fields.items()}
    hints = typing.get_type_hints(function, include_extras=True)

    def command(**values: Any) -> None:
        mine = {p.name: values.pop(p.name) for p in own}
        given = {name: value for name, value in values.items() if _given(value)}
        function(**mine, **{name: _read(fields[name], value) for name, value in given.items()})

    parameters = [p.replace(annotation=hints[p.name]) for p in own] + options
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # typer reads it
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = function.__doc__
    return command


def _given(value: Any) -> bool:
    return value is not None and value != []


def _read(field: FieldInfo, value: Any) -> Any:
    """``NAME=VALUE`` as a mapping, where the model has no way of its own to read lines."""
    if typing.get_origin(field.annotation) is not dict or field.metadata:
        return value
    pairs = [line.partition("=") for line in value]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise RecipeError(f"{wrong[0]!r} has no value: write NAME=VALUE.")
    return {name.strip(): yaml.safe_load(text) for name, _, text in pairs}


def _option(name: str, field: FieldInfo, model: type[Config]) -> inspect.Parameter:
    kind = _simple_type(field.annotation)
    flag = "--" + name.replace("_", "-")
    names = f"{flag}/--no-{flag[2:]}" if kind is bool else flag
    option = typer.Option(
        names,
        help=_help(field_docs(model).get(name, ""), field, kind),
        show_default=False,  # typer would put it in brackets within brackets
        metavar=_METAVARS.get(kind),
        rich_help_panel=model.__name__,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def _help(text: str, field: FieldInfo, kind: Any) -> str:
    if kind == list[str]:
        text += " Give the option once per value."
    default = shown_default(field)
    return text if default is None or "Default:" in text else f"{text} [default: {default}]"


def _simple_type(annotation: Any) -> Any:
    """The type a command line can read; the model checks the rest."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(annotation) if part is not type(None)]
        return _simple_type(parts[0]) if len(parts) == 1 else str
    if origin is Annotated:
        return _simple_type(typing.get_args(annotation)[0])
    if origin is tuple:
        return list[str]
    if origin is Literal:
        return type(typing.get_args(annotation)[0])
    if annotation in (bool, int, float):
        return annotation
    if annotation is ByteSize or not isinstance(annotation, type):
        return list[str] if origin is dict else str
    return str


def shown_default(field: FieldInfo) -> str | None:
    """A field's default as one would write it; None when there is none to speak of."""
    value = field.get_default(call_default_factory=True) if not field.is_required() else None
    if value is None or value is PydanticUndefined or value in ((), {}):
        return None
    if isinstance(value, ByteSize):
        return value.human_readable(decimal=True)
    if isinstance(value, Mapping):
        return ",".join(f"{key}={part}" for key, part in value.items())
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
