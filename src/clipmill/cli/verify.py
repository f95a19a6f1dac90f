"""``clipmill verify``: is the dataset what its tables say."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from clipmill.cli.options import AsJson, Debug
from clipmill.core.words import counted
from clipmill.io.layout import STATS_SUFFIX

if TYPE_CHECKING:
    from clipmill.dataset.dataset import Dataset


def command(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Folder of the dataset.")],
    quick: Annotated[bool, typer.Option("--quick", help="Do not read and hash the media.")] = False,
    threads: Annotated[int, typer.Option(min=1, metavar="INT", help="Shards read at a time.")] = 4,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Re-read a dataset and compare it with its tables and hashes; exit 1 if they differ."""
    from clipmill.dataset.dataset import Dataset
    from clipmill.dataset.verify import verify_dataset

    opened = Dataset(dataset)
    found = verify_dataset(opened, hashes=not quick, threads=threads)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        for problem in found.problems:
            typer.echo(problem, err=True)
        typer.echo(
            f"{counted(found.shards, 'shard')}, {counted(found.rows, 'row')}, "
            f"{found.bytes_read / 1e6:,.1f} MB read: "
            + (counted(len(found.problems), "problem") if found.problems else "all as recorded")
        )
        for line in _repair(opened, found.problems):
            typer.echo(line)
    if found.problems:
        raise typer.Exit(1)


def _repair(dataset: Dataset, problems: list[str]) -> list[str]:
    """How broken shards are made anew: those without stats count as not done."""
    named = [re.match(r"shard (\d+)(?:-\d+)?: ", problem) for problem in problems]
    shards = sorted({found[1] for found in named if found})
    if not shards:
        return []
    if not dataset.manifest:
        return ["clipmill did not write this dataset: take these shards anew from where it is."]
    files = " ".join(shlex.quote(f"{dataset.folder.url}/{shard}{STATS_SUFFIX}") for shard in shards)
    return [
        "To make broken shards anew, remove their stats and give the command that made the "
        f"dataset again:\n  {files}"
    ]
