"""The code a step of the user's file is made of: its own, and what else of the file it uses."""

from __future__ import annotations

import ast
import hashlib
import inspect
from types import ModuleType

_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def code_digest(module: ModuleType, name: str) -> str:
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
