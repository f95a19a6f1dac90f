"""``clipmill verify``: is the dataset what its tables say."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer


def command(
    dataset: Annotated[str, typer.Argument(help="Folder of the dataset.")],
    quick: Annotated[bool, typer.Option("--quick", help="Do not read and hash the media.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Shards read at a time.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Re-read a dataset and compare it with its tables and hashes; exit 1 if they differ."""
    from clipmill.dataset.dataset import Dataset
    from clipmill.dataset.verify import verify_dataset

    found = verify_dataset(Dataset(dataset), hashes=not quick, threads=threads)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        for problem in found.problems:
            typer.echo(problem, err=True)
        typer.echo(
            f"{found.shards:,} shards, {found.rows:,} rows, {found.bytes_read / 1e6:,.1f} MB read: "
            + (f"{len(found.problems)} problems" if found.problems else "all as recorded")
        )
    if found.problems:
        raise typer.Exit(1)
