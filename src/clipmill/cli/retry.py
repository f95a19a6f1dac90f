"""``clipmill retry``: try failed rows again."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clipmill.cli.options import AsJson, Debug, Quiet, add_options
from clipmill.cli.report import finish_run
from clipmill.fetch.options import FetchOptions
from clipmill.run.run_spec import RunSpec


def _retry(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Folder of the dataset.")],
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="TEXT",
            help="Error class or status to try again, such as timeout; may be given several "
            "times. Default: whatever may succeed later.",
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Try every failed row.")] = False,
    as_new_shards: Annotated[
        bool,
        typer.Option(
            "--as-new-shards",
            help="Move the rows into new shards and leave old media files untouched, instead of "
            "writing their shards anew.",
        ),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **settings: Any,
) -> None:
    """Try failed rows of a dataset again; everything else stays as it is.

    Settings of the run that made the dataset are used again; those that do not change what is
    fetched can be given anew. Of clips, all those of a source are made again when it failed or one
    of them did, under the same keys.
    """
    from clipmill.core.config import parse_config
    from clipmill.run.recipe import Recipe
    from clipmill.run.retry import retry_dataset
    from clipmill.run.settings import gather

    sections = gather(settings)
    parse_config(Recipe, sections, "", style="option")  # told in the words they were given in
    report = retry_dataset(
        dataset,
        classes=classes or (),
        every=every,
        as_new_shards=as_new_shards,
        settings=sections,
        quiet=quiet or as_json,
    )
    finish_run(report, as_json=as_json, retried=True)


command = add_options(_retry, [FetchOptions, RunSpec], leave_out=["executor", "decoder"])
