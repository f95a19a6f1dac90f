"""A plain function as a step: what it wants to see is declared, what it returns is its columns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import create_model

from clipmill.core.errors import RecipeError
from clipmill.core.request import Request
from clipmill.core.seen import Seen
from clipmill.steps.base import Annotate, Cost

Function = TypeVar("Function", bound=Callable[..., Any])


class FunctionStep(Annotate):
    """A step that calls a function with each sample it sees."""

    def annotate(self, batch: Sequence[Seen]) -> Sequence[Mapping[str, Any]]:
        """See ``Annotate.annotate``."""
        said = [type(self).function(seen, **self.model_dump()) for seen in batch]
        only = self.columns.names[0]
        if len(self.columns) > 1:
            return said
        return [value if isinstance(value, Mapping) else {only: value} for value in said]

    @staticmethod
    def function(seen: Seen, **settings: Any) -> Any:
        """What the decorated function says of a sample; set for each step of its own."""
        raise NotImplementedError


def step(
    *,
    columns: Mapping[str, str | pa.DataType] | pa.Schema,
    wants: Request | None = None,
    reads: Sequence[str] = (),
    name: str | None = None,
    version: int = 1,
    cost: Cost = "light",
) -> Callable[[Function], Function]:
    """Make a step of a function, which stays callable as before.

    The function is given a ``Seen`` and returns a mapping of its columns, or the value itself where
    there is but one column. Its further parameters are the step's settings; those without a default
    must be given.

    Args:
        columns: name and type of what it returns, such as ``{"sharpness": "float32"}``.
        wants: the frames, sound or packets it is to see. Default: the row alone.
        reads: columns of the row that it needs.
        name: of the step. Default: the function's.
        version: raise it when the same settings give other values than before.
        cost: what it costs.

    Raises:
        RecipeError: a type is unknown, or a parameter such as ``**more`` has no one value.
    """
    schema = columns if isinstance(columns, pa.Schema) else _schema(columns)

    def decorate(function: Function) -> Function:
        parameters = list(inspect.signature(function).parameters.values())[1:]
        fields: dict[str, Any] = {}
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise RecipeError(
                    f"{function.__name__}: '{parameter}' cannot be a setting: name each of them."
                )
            kind = inspect.get_annotations(function, eval_str=True).get(parameter.name, Any)
            is_required = parameter.default is parameter.empty
            fields[parameter.name] = (kind, ... if is_required else parameter.default)
        made: Any = create_model(
            function.__name__, __base__=FunctionStep, __module__=function.__module__, **fields
        )
        made.__doc__ = function.__doc__ or ""  # None would be told as that of the base
        made.function = staticmethod(function)
        made.columns, made.wants, made.reads = schema, wants, tuple(reads)
        made.name, made.version, made.cost = name or function.__name__, version, cost
        made.__abstractmethods__ = frozenset()
        vars(function)["clipmill_step"] = made
        return function

    return decorate


def _schema(columns: Mapping[str, str | pa.DataType]) -> pa.Schema:
    return pa.schema([(name, _type(name, kind)) for name, kind in columns.items()])


def _type(name: str, kind: str | pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.DataType):
        return kind
    inner = kind.removeprefix("list<").removesuffix(">")
    try:
        found: pa.DataType = pa.type_for_alias(inner)  # type: ignore[call-overload]  # any text
    except ValueError as error:
        raise RecipeError(
            f"column {name!r}: {error}. Known are float32, int64, string ..."
        ) from error
    return pa.list_(found) if inner != kind else found
