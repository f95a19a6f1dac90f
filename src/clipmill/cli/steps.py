"""``clipmill steps``: what steps there are, and the columns they give."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from clipmill.cli.options import AsJson, Debug

STATISTICS = "struct<mean:"
"""How the type begins of a score that has its mean, least, greatest, p10 and first beside it."""
_UNKNOWN = "as its settings say"


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
    required = [one["name"] for one in step["settings"] if one["is_required"]]
    needs = [f"the setting {name}" for name in required]
    needs += [] if step["is_installed"] else [step["install"]]
    told = f"   needs {', '.join(needs)}" if needs else ""
    return [
        f"{step['name']:<14} {step['cost']:<7} {step['summary']}{told}",
        f"{'':<22} {', '.join(column['name'] for column in step['columns'] or ()) or _UNKNOWN}",
    ]


def _in_full(step: dict[str, Any]) -> list[str]:
    lines = [step["name"], f"  {step['summary']}", f"  wants: {step['wants'] or _UNKNOWN}"]
    lines.append(f"  cost: {step['cost']}")
    if not step["is_installed"]:
        lines.append(f"  not installed: {step['install']}")
    lines.append("  settings:")
    for one in step["settings"]:
        default = "(required)" if one["is_required"] else f"= {one['default']}"
        lines.append(f"    {one['name']} {default}   {one['help']}")
    columns = step["columns"] or ()
    lines.append("  columns:" if columns else f"  columns: {_UNKNOWN}")
    for one in columns:
        unit = f" [{one['unit']}]" if one["unit"] else ""
        kind = "statistics" if one["type"].startswith(STATISTICS) else one["type"]
        lines.append(f"    {one['name']}: {kind}{unit}   {one['description']}")
    if any(one["type"].startswith(STATISTICS) for one in columns):
        lines.append("  statistics: mean, min, max, p10, first, and the raw values")
    return [*lines, ""]
