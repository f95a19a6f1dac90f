"""``clipmill run``: carry out a recipe."""

from __future__ import annotations

from typing import Annotated

import typer

from clipmill.cli.options import (
    AsJson,
    Debug,
    Extend,
    OptionalOutput,
    OptionalSource,
    Overwrite,
    Quiet,
    Resume,
)
from clipmill.cli.report import finish_run, mode_of


def command(  # noqa: PLR0913  # options are arguments here
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="YAML file with source, steps, write and run; or a ready recipe: download, "
            "downsample_ml, pretrain_clips, scenes.",
        ),
    ],
    source: OptionalSource = None,
    output: OptionalOutput = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    extend: Extend = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Carry out a recipe written in YAML.

    With a split and a render step, videos are fetched, split, cut and encoded in one pass: each is
    decoded once where that can be, and nothing but the download itself lies on disk in between.
    """
    from clipmill.run.ready import find_recipe
    from clipmill.run.runner import run_recipe

    mode = mode_of(resume=resume, overwrite=overwrite, extend=extend)
    found = find_recipe(recipe, source, output)
    finish_run(run_recipe(found, mode=mode, quiet=quiet or as_json), as_json=as_json)
