"""``clipmill explain``: what a recipe will do, before it does it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from clipmill.cli.options import AsJson, Debug, OptionalOutput, OptionalSource


def command(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="YAML file, or the name of a ready recipe.")
    ],
    source: OptionalSource = None,
    output: OptionalOutput = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show what a recipe will do, and how often it fetches, decodes and encodes each source.

    The input is opened and counted; nothing is fetched, and nothing is written.
    """
    from clipmill.run.explain import explain
    from clipmill.run.ready import find_recipe

    found = explain(find_recipe(recipe, source, output))
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
        return
    for line in found.lines():
        typer.echo(line)
