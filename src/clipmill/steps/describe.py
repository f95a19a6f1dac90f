"""A step in words: for the list of steps, the pages and the contract suite."""

from __future__ import annotations

import importlib.util
import inspect
from typing import Any

from clipmill.core.config import parse_config
from clipmill.core.docstrings import field_docs
from clipmill.core.request import Request
from clipmill.steps.load import check_declared, described, step_type


def describe_step(name: str, module: str | None = None) -> dict[str, Any]:
    """What a step is, costs, wants, takes and gives, as JSON-like values.

    Args:
        name: of the step.
        module: the file of the user's that defines it; None for a registered one.
    """
    kind = step_type(name, module)
    step = parse_config(kind, {}, f"step {name!r}")
    check_declared(step)
    texts = field_docs(kind)
    missing = [extra for need, extra in kind.needs if importlib.util.find_spec(need) is None]
    return {
        "name": name,
        "summary": (inspect.getdoc(kind) or "").partition("\n")[0],
        "cost": kind.cost,
        "wants": wants_in_words(step.wants),
        "is_installed": not missing,
        "install": f'pip install "clipmill[{missing[0]}]"' if missing else None,
        "settings": [
            {"name": field, "default": repr(about.default), "help": texts.get(field, "")}
            for field, about in kind.model_fields.items()
        ],
        "columns": described(step),
    }


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
