"""``clipmill export``: samples and virtual clips become files."""

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
from clipmill.core.edit import Edit
from clipmill.run.recipe import LOCATIONS, RunSpec, SourceSpec
from clipmill.run.write_spec import WriteSpec


def _export(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Clips made by `clipmill split`, or any dataset, folder of media or shards.",
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
    """Make files of clips: cut, cropped, scaled, at a frame rate, in one encode.

    Every source is decoded once for all of its clips, and each clip made is checked against the
    frames it should hold. Rows keep the keys they have in SOURCE.
    """
    settings = {**settings, "precision": settings.get("precision", "exact")}
    mode = {"resume": resume, "overwrite": overwrite, "extend": extend}
    carry_out(source, output, settings, mode, as_json=as_json, quiet=quiet)


command = add_options(
    _export,
    [Edit, SourceSpec, WriteSpec, RunSpec],
    leave_out=[*LOCATIONS, "to", "executor"],
)
