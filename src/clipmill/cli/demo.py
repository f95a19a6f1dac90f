"""``clipmill demo``: a first look, on synthetic videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clipmill.cli.options import Debug


def command(
    folder: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Where it is made; what an earlier demo made there is replaced."
        ),
    ] = Path("demo"),
    debug: Debug = False,
) -> None:
    """Make a small dataset from synthetic videos on a misbehaving local server.

    Encodes a few short videos in several codecs, serves them from this machine together with a
    missing, a slow, a broken-off and a fake one, downloads a table of them with the real command,
    and shows what came of it. Needs no network.
    """
    from rich.console import Console

    from clipmill.demo.story import tell

    tell(folder, Console(highlight=False))
