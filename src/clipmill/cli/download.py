"""``clipmill download``: the main job."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clipmill.cli.options import add_options
from clipmill.cli.report import carry_out
from clipmill.fetch.options import FetchOptions
from clipmill.run.recipe import LOCATIONS, ProbeOptions, RunSpec, SourceSpec, WriteSpec


def _download(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Table of URLs (csv, tsv, json, jsonl, txt, parquet, arrow; also .gz or .zst), "
            "folder of media, shards, or Hugging Face dataset: path, glob, brace list or URL.",
        ),
    ],
    output: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="Folder of the dataset: path or fsspec URL.")
    ],
    resume: Annotated[bool, typer.Option("--resume", help="Only go on with a run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start over.")] = False,
    extend: Annotated[bool, typer.Option("--extend", help="Add rows that are new.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    **settings: Any,
) -> None:
    """Turn a list of URLs, a folder of media or shards into a dataset.

    Given again, the command goes on where it stopped. Failed rows are recorded in the shards'
    tables; `clipmill retry OUTPUT` tries them again.
    """
    mode = {"resume": resume, "overwrite": overwrite, "extend": extend}
    carry_out(source, output, settings, mode, as_json=as_json, quiet=quiet)


command = add_options(
    _download,
    [SourceSpec, FetchOptions, ProbeOptions, WriteSpec, RunSpec],
    leave_out=[*LOCATIONS, "parent", "to", "executor"],
)
