"""``clipmill split``: sources become virtual clips."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clipmill.cli.options import (
    AsJson,
    Debug,
    Extend,
    Output,
    Overwrite,
    Quiet,
    Resume,
    add_options,
)
from clipmill.cli.report import carry_out
from clipmill.run.recipe_forms import VIRTUAL_WRITE
from clipmill.run.run_spec import ProbeOptions, RunSpec
from clipmill.run.source_spec import LOCATIONS, SourceSpec
from clipmill.run.write_spec import WriteSpec
from clipmill.steps.split.options import SplitOptions


def _split(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="Dataset, folder of media, shards or Hugging Face dataset."
        ),
    ],
    output: Output,
    resume: Resume = False,
    overwrite: Overwrite = False,
    extend: Extend = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **settings: Any,
) -> None:
    """Find the clips of videos: where scenes end, at fixed lengths, or as a column says.

    The clips are virtual: rows of a table that say where in which source they lie. Nothing is
    encoded or copied until `clipmill export` makes files of them. What was found of every source,
    all its cuts included, is in OUTPUT/_sources.
    """
    settings = {**settings, "detector": settings.get("detector", "content")}
    mode = {"resume": resume, "overwrite": overwrite, "extend": extend}
    carry_out(source, output, settings, mode, as_json=as_json, quiet=quiet)


command = add_options(
    _split,
    [SplitOptions, SourceSpec, ProbeOptions, WriteSpec, RunSpec],
    leave_out=[
        *LOCATIONS,
        *("parent", "keyframes", "to", "executor", "decoder", "shard_bytes"),
        *VIRTUAL_WRITE,
    ],
)
