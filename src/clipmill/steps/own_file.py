"""Steps of a file of the user's: found in it, and the code that each is made of."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import linecache
import os
import sys
from functools import cache
from types import ModuleType
from typing import Any

from clipmill.core.errors import RecipeError
from clipmill.steps.base import Annotate

_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def steps_of_file(path: str) -> dict[str, Any]:
    """The steps that a file defines, by name; it is loaded anew when it was changed."""
    return _steps_of_version(path, os.stat(path).st_mtime_ns if os.path.isfile(path) else 0)


@cache
def _steps_of_version(path: str, _modified: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for thing in vars(_load_file(path)).values():
        kind = _own_class(thing, path)
        if kind and hasattr(kind, "name") and not inspect.isabstract(kind):
            found[kind.name] = thing
    return found


def _own_class(thing: Any, path: str) -> type[Annotate] | None:
    """The class of a step, finished or not, if it is one and this file defines it."""
    kind = getattr(thing, "clipmill_step", thing)
    is_step = isinstance(kind, type) and issubclass(kind, Annotate)
    return kind if is_step and kind.__module__ == _name_of_file(path) else None


def what_lacks(path: str) -> str:
    """What makes the classes of a loaded file no steps, in words."""
    kinds = [_own_class(thing, path) for thing in vars(sys.modules[_name_of_file(path)]).values()]
    lacks = {
        kind.__name__: [
            *([] if hasattr(kind, "name") else ["name"]),
            *sorted(kind.__abstractmethods__),
        ]
        for kind in kinds
        if kind is not None
    }
    return "".join(f" Class {name} lacks {', '.join(what)}." for name, what in lacks.items())


def _name_of_file(path: str) -> str:
    return f"clipmill_file_{hashlib.sha256(path.encode()).hexdigest()[:12]}"


def _load_file(path: str) -> ModuleType:
    name = _name_of_file(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not os.path.isfile(path):
        raise RecipeError(f"{path} is not a Python file that is there.")
    module = importlib.util.module_from_spec(spec)
    vars(module)["clipmill_file"] = True
    sys.modules[name] = module
    linecache.checkcache(path)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise RecipeError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
    return module


def source_of(kind: type[Annotate]) -> str | None:
    """Digest of the code of a step from a user's file; None for others."""
    function = getattr(kind, "function", None)
    module = sys.modules.get((function or kind).__module__)
    if module is None or not getattr(module, "clipmill_file", False):
        return None
    return _code_digest(module, (function or kind).__name__)


def _code_digest(module: ModuleType, name: str) -> str:
    """Digest of a definition and of all that it leads to within its file; comments do not count.

    Args:
        module: the file, loaded.
        name: of the function or class; where no statement of the file binds it, the whole file
            counts.
    """
    statements = ast.parse(inspect.getsource(module)).body
    bound = [_binds(statement) for statement in statements]
    wanted, taken = {name}, set[int]()
    while True:
        more = {n for n, names in enumerate(bound) if names & wanted} - taken
        if not more:
            break
        taken |= more
        wanted = wanted.union(*(_uses(statements[n]) for n in more))
    chosen = [statements[n] for n in sorted(taken)] or statements
    return hashlib.sha256("\n".join(map(ast.unparse, chosen)).encode()).hexdigest()


def _binds(statement: ast.stmt) -> set[str]:
    """Names of the file that a statement gives a meaning."""
    if isinstance(statement, _NAMED):
        return {statement.name}
    found = set[str]()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, _NAMED):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
    return found


def _uses(statement: ast.stmt) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
