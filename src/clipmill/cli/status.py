"""``clipmill status``: how far a dataset is."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Annotated

import typer

from clipmill.cli.options import AsJson, Debug
from clipmill.core.words import counted, duration_text


def command(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Folder of the dataset.")],
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show how far a dataset is and how its rows ended."""
    from clipmill.dataset.dataset import Dataset
    from clipmill.dataset.status import dataset_status

    status = dataset_status(Dataset(dataset))
    if as_json:
        typer.echo(json.dumps(status.as_json(), indent=2))
        return
    typer.echo(f"{status.folder}: {status.shards_done:,} of {counted(status.shards, 'shard')} done")
    typer.echo(f"  rows       {status.rows_done:,} of {status.rows:,}")
    typer.echo(f"  succeeded  {status.successes:,} ({duration_text(status.video_seconds)} in all)")
    typer.echo(
        f"  failed     {status.failed:,} (download {status.failed_to_download:,}, "
        f"process {status.failed_to_process:,})"
    )
    if status.dropped:
        why = ", ".join(f"{label} {number:,}" for label, number in status.drop_reasons.items())
        typer.echo(f"  dropped    {status.dropped:,}" + (f" ({why})" if why else ""))
    if status.bytes_downloaded:
        typer.echo(f"  downloaded {status.bytes_downloaded / 1e6:,.1f} MB")
    _list("failures by class", status.error_classes.items())
    _list("most frequent messages", status.top_messages)
    _list("why rows were dropped", status.top_drop_messages)


def _list(heading: str, lines: Collection[tuple[str, int]]) -> None:
    if lines:
        typer.echo(heading)
    for label, number in lines:
        typer.echo(f"  {number:>8,} x {label}")
