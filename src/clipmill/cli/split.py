"""``clipmill split``: sources become virtual clips."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clipmill.cli.options import add_options
from clipmill.cli.report import carry_out
from clipmill.run.recipe import (
    LOCATIONS,
    VIRTUAL_WRITE,
    ProbeOptions,
    RunSpec,
    SourceSpec,
    WriteSpec,
)
from clipmill.steps.split.options import SplitOptions


def _split(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="Dataset, folder of media, shards or Hugging Face dataset."
        ),
    ],
    output: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="Folder for the clips: path or fsspec URL.")
    ],
    resume: Annotated[bool, typer.Option("--resume", help="Only go on with a run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start over.")] = False,
    extend: Annotated[bool, typer.Option("--extend", help="Add rows that are new.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
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
    leave_out=[*LOCATIONS, "parent", "keyframes", "to", "executor", "shard_bytes", *VIRTUAL_WRITE],
)
