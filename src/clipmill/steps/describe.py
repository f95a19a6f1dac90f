"""A step in words: for the list of steps, the pages and the contract suite."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from typing import Any

from clipmill.core.config import parse_config
from clipmill.core.docstrings import field_docs
from clipmill.core.request import Request
from clipmill.steps.base import Annotate
from clipmill.steps.load import check_declared, described, step_type


def describe_step(name: str, module: str | None = None) -> dict[str, Any]:
    """What a step is, costs, wants, takes and gives, as JSON-like values.

    Where a setting is required, what a step wants and gives may not be known without: None.

    Args:
        name: of the step.
        module: the file of the user's that defines it; None for a registered one.
    """
    kind = step_type(name, module)
    fields = kind.model_fields
    required = [name for name, about in fields.items() if about.is_required()]
    if required:
        step = kind.model_construct()
    else:
        step = parse_config(kind, {}, f"step {name!r}")
        check_declared(step)
    texts = field_docs(kind)
    missing = [extra for need, extra in kind.needs if importlib.util.find_spec(need) is None]
    return {
        "name": name,
        "summary": (inspect.getdoc(kind) or "").partition("\n")[0],
        "cost": kind.cost,
        "wants": _known(step, lambda: wants_in_words(step.wants)),
        "is_installed": not missing,
        "install": f'pip install "clipmill[{missing[0]}]"' if missing else None,
        "settings": [
            {
                "name": field,
                "is_required": field in required,
                "default": None if field in required else repr(getattr(step, field)),
                "help": texts.get(field, ""),
            }
            for field in fields
        ],
        "columns": _known(step, lambda: described(step)),
    }


def _known(step: Annotate, tell: Callable[[], Any]) -> Any:
    """What a step tells of itself; None where it cannot without a setting that is required."""
    try:
        return tell()
    except AttributeError:
        if all(hasattr(step, field) for field in type(step).model_fields):
            raise
        return None


def wants_in_words(request: Request | None) -> str:
    """A request as people write it, without what is as usual."""
    if request is None:
        return "nothing: the row tells all"
    usual = type(request)()
    said = [
        f"{name}={value!r}"
        for name in type(request).__dataclass_fields__
        if (value := getattr(request, name)) != getattr(usual, name)
    ]
    return f"{type(request).__name__}({', '.join(said)})"
