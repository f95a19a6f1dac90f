"""``clipmill download``: the main job."""

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
from clipmill.fetch.options import FetchOptions
from clipmill.run.run_spec import ProbeOptions, RunSpec
from clipmill.run.source_spec import LOCATIONS, SourceSpec
from clipmill.run.write_spec import WriteSpec


def _download(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Table of URLs (csv, tsv, json, jsonl, txt, parquet, arrow; also .gz or .zst), "
            "folder of media, shards, or Hugging Face dataset: path, glob, brace list or URL.",
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
    """Turn a list of URLs, a folder of media or shards into a dataset.

    Given again, the command goes on where it stopped. Failed rows are recorded in the shards'
    tables; `clipmill retry OUTPUT` tries them again.
    """
    mode = {"resume": resume, "overwrite": overwrite, "extend": extend}
    carry_out(source, output, settings, mode, as_json=as_json, quiet=quiet)


command = add_options(
    _download,
    [SourceSpec, FetchOptions, ProbeOptions, WriteSpec, RunSpec],
    leave_out=[*LOCATIONS, "parent", "selection", "columns", "to", "executor", "decoder"],
)
