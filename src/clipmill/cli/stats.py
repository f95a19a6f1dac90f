"""``clipmill stats``: how values are distributed, and what thresholds would keep."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from clipmill.cli.options import AsJson, Debug
from clipmill.core.errors import UserError
from clipmill.core.words import as_shown, counted, hours_text

if TYPE_CHECKING:
    from clipmill.dataset.distribution import Distribution

_BARS = "▁▂▃▄▅▆▇█"
_LISTED = ("p10", "p50", "p90")
_SHOWN = ("p1", "p10", "p50", "p90", "p99")


def command(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Folder of the dataset.")],
    columns: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COLUMN]...",
            help="Such as motion.mean, or picture.luminance for the values of all frames. Default: "
            "all numbers that steps gave.",
        ),
    ] = None,
    below: Annotated[
        list[float] | None,
        typer.Option("--below", help="Show what would be kept if values had to lie below this."),
    ] = None,
    above: Annotated[
        list[float] | None,
        typer.Option("--above", help="Show what would be kept if values had to lie above this."),
    ] = None,
    keep: Annotated[
        str | None, typer.Option("--keep", help="Show what a condition would keep.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show how the values of columns are distributed, and what a threshold would keep.

    Of the values of a sample's frames, --below and --above hold all, their mean, the first, and any
    of them against the threshold: which of these is meant decides how much is left.
    """
    from clipmill.cli.select import funnel_lines
    from clipmill.dataset.dataset import Dataset
    from clipmill.dataset.distribution import distributions
    from clipmill.dataset.sweep import sweep

    if (below or above) and not columns:
        raise UserError("--below and --above need a column: `clipmill stats DATASET COLUMN ...`.")
    data = Dataset(dataset)
    found = distributions(data, columns or []) if columns or not keep else []
    kept = sweep(data, columns or [], below or [], above or []) if below or above else []
    funnel = data.select(keep).facts["funnel"] if keep else []
    if as_json:
        told = {
            "columns": [one.dump() for one in found],
            "thresholds": [one.dump() for one in kept],
        }
        typer.echo(json.dumps({**told, "keep": funnel}, indent=2, ensure_ascii=False))
        return
    if columns:
        for one in found:
            _show(one)
    else:
        _list(found)
    if kept:
        typer.echo(f"{'kept':>12} {'length':>12} {'unknown':>10}  if")
    for rule in kept:
        length = hours_text(rule.hours)
        typer.echo(f"{rule.rows:>12,} {length:>12} {rule.unknown:>10,}  {rule.rule}")
    for line in funnel_lines(funnel) if keep else []:
        typer.echo(line)


def _show(found: Distribution) -> None:
    unknown = "".join(f", {number:,} {cause}" for cause, number in found.unknown.items())
    typer.echo(
        f"{found.column}: {counted(found.values, 'value')} in {counted(found.rows, 'row')}{unknown}"
    )
    for value, number in found.top:
        typer.echo(f"  {number:>12,} x {as_shown(value)}")
    if found.quantiles:
        shown = "  ".join(f"{name} {found.quantiles[name]:.4g}" for name in _SHOWN)
        typer.echo(f"  {plot(found.histogram)}")
        typer.echo(
            f"  least {found.least:.4g}  {shown}  greatest {found.greatest:.4g}  "
            f"mean {found.mean:.4g}"
        )


def _list(found: list[Distribution]) -> None:
    """A line for each column, where there are too many for more."""
    width = max((len(one.column) for one in found), default=0)
    heads = "".join(f" {name:>10}" for name in _LISTED)
    typer.echo(f"{'column':{width}} {'values':>10}{heads}  p1 to p99")
    for one in found:
        told = "".join(f" {one.quantiles[name]:>10.4g}" for name in _LISTED if one.quantiles)
        halved = [sum(pair) for pair in zip(one.histogram[::2], one.histogram[1::2], strict=True)]
        bars = f"  {plot(halved)}" if halved else ""
        typer.echo(f"{one.column:{width}} {one.values:>10,}{told}{bars}")
    typer.echo("More of one: name it, such as `clipmill stats DATASET motion.mean --below 0.3`.")


def plot(counts: list[int]) -> str:
    """Counts as a line of bars; whatever is not empty shows."""
    top = max(counts)
    return "".join(
        _BARS[min(count * len(_BARS) // (top + 1), len(_BARS) - 1)] if count else " "
        for count in counts
    )
