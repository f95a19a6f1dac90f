"""``clipmill run``: carry out a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clipmill.cli.report import finish_run, mode_of


def command(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="YAML file with source, steps, write and run.")
    ],
    resume: Annotated[bool, typer.Option("--resume", help="Only go on with a run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start over.")] = False,
    extend: Annotated[bool, typer.Option("--extend", help="Add rows that are new.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Carry out a recipe written in YAML."""
    from clipmill.run.recipe import load_recipe
    from clipmill.run.runner import run_recipe

    mode = mode_of(resume=resume, overwrite=overwrite, extend=extend)
    finish_run(run_recipe(load_recipe(recipe), mode=mode, quiet=quiet or as_json), as_json=as_json)
