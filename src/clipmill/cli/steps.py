"""``clipmill steps``: what steps there are, and the columns they give."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from clipmill.cli.options import AsJson, Debug

STATISTICS = "struct<mean:"
"""How the type begins of a score that has its mean, least, greatest, p10 and first beside it."""


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STEP...]", help="Show these in full. Default: list all."),
    ] = None,
    modules: Annotated[
        list[str] | None,
        typer.Option(
            "--module", metavar="FILE", help="Python file that defines steps of your own."
        ),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the steps that `clipmill annotate` can run, with their columns, units and costs."""
    from clipmill.steps.describe import describe_step
    from clipmill.steps.load import find_steps, step_orders

    known = find_steps(modules or ())
    chosen = [order.name for order in step_orders(names, modules or ())] if names else sorted(known)
    told = [describe_step(name, known[name]) for name in chosen]
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    for one in told:
        for line in _in_full(one) if names else _in_short(one):
            typer.echo(line)


def _in_short(step: dict[str, Any]) -> list[str]:
    missing = "" if step["is_installed"] else f"   needs {step['install']}"
    return [
        f"{step['name']:<14} {step['cost']:<7} {step['summary']}{missing}",
        f"{'':<22} {', '.join(column['name'] for column in step['columns'])}",
    ]


def _in_full(step: dict[str, Any]) -> list[str]:
    lines = [step["name"], f"  {step['summary']}", f"  wants: {step['wants']}"]
    lines.append(f"  cost: {step['cost']}")
    if not step["is_installed"]:
        lines.append(f"  not installed: {step['install']}")
    lines.append("  settings:")
    lines += [f"    {one['name']} = {one['default']}   {one['help']}" for one in step["settings"]]
    lines.append("  columns:")
    for one in step["columns"]:
        unit = f" [{one['unit']}]" if one["unit"] else ""
        kind = "statistics" if one["type"].startswith(STATISTICS) else one["type"]
        lines.append(f"    {one['name']}: {kind}{unit}   {one['description']}")
    if any(one["type"].startswith(STATISTICS) for one in step["columns"]):
        lines.append("  statistics: mean, min, max, p10, first, and the raw values")
    return [*lines, ""]
