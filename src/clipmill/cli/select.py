"""``clipmill select``: keys of the samples that pass a condition, kept under a name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clipmill.cli.options import AsJson, Debug
from clipmill.core.words import counted, hours_text

if TYPE_CHECKING:
    from clipmill.dataset.selection import Selection


def command(  # noqa: PLR0913  options of the command line
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Folder of the dataset.")],
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="What to call the selection. Default: list them."),
    ] = None,
    query: Annotated[
        str | None,
        typer.Argument(
            metavar="[QUERY]",
            help="A condition such as 'motion.mean > 0.3', or a whole query: 'select key from data "
            "...'. Default: show what the selection holds.",
        ),
    ] = None,
    order: Annotated[
        str | None, typer.Option("--order", help="Sort by, such as 'motion.mean desc'.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Keep the first so many.")] = None,
    per_source: Annotated[
        int | None, typer.Option("--per-source", help="Keep at most so many of each source.")
    ] = None,
    sample: Annotated[
        float | None, typer.Option("--sample", help="Keep so many, or such a share: 1000, 0.1.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="For another sample.")] = 0,
    weight: Annotated[
        str | None,
        typer.Option("--weight", help="How often to draw a sample, such as '1 / motion.mean'."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a selection of that name.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Select samples by a condition over all columns; only their keys are written.

    Rows that pass go through --per-source, --sample, --order and --limit, in this order. The table
    says what each condition removes, and of how many rows it is unknown because a step failed or
    has not seen them.
    """
    from clipmill.dataset.choose import Options
    from clipmill.dataset.dataset import Dataset
    from clipmill.dataset.select import select

    data = Dataset(dataset)
    if name is None:
        _list([data.selection(one) for one in data.selections], as_json=as_json)
        return
    if query is None:
        found = data.selection(name)
    else:
        options = Options(per_source, sample, seed, order, limit, weight)
        found = select(data, query, options, name=name, overwrite=overwrite)
    if as_json:
        typer.echo(json.dumps(_told(found), indent=2, ensure_ascii=False))
    else:
        _show(found)


def _list(selections: list[Selection], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([_told(found) for found in selections], indent=2, ensure_ascii=False))
        return
    if not selections:
        typer.echo("No selections yet.")
    for found in selections:
        changed = found.changed_shards()
        note = f"  ({counted(len(changed), 'shard')} changed since)" if changed else ""
        typer.echo(
            f"{found.name:20} {counted(len(found), 'row'):>17}  {found.facts['query']}{note}"
        )


def _told(found: Selection) -> dict[str, Any]:
    """What is known of a selection, without the states of all shards."""
    facts = {name: value for name, value in found.facts.items() if name != "dataset"}
    known = {name: value for name, value in found.facts["dataset"].items() if name != "shards"}
    return {"name": found.name, "dataset": known, "changed_shards": found.changed_shards(), **facts}


def _show(found: Selection) -> None:
    facts = found.facts
    of = facts["dataset"]
    length = f", {hours_text(facts['hours'])} of {hours_text(of['hours'])}" if of["hours"] else ""
    typer.echo(f"{found.name}: {facts['rows']:,} of {counted(of['rows'], 'row')}{length}")
    typer.echo(f"  {facts['query']}")
    for line in funnel_lines(facts["funnel"]):
        typer.echo(f"  {line}")
    if changed := found.changed_shards():
        typer.echo(
            f"{counted(len(changed), 'shard')} changed since it was made: select again with "
            "--overwrite to have them looked at."
        )


def funnel_lines(funnel: list[Mapping[str, Any]]) -> list[str]:
    """A funnel as the lines of a table."""
    rows: list[tuple[str, ...]] = [
        ("condition", "alone removes", "unknown", "in turn removes", "left", "length left")
    ]
    for stage in funnel:
        rows.append(
            (
                " ".join(stage["condition"].split()),
                f"{stage['alone']['rows']:,}",
                f"{stage['unknown']['rows']:,}" + _causes(stage["unknown"]),
                f"{stage['in_turn']['rows']:,}",
                f"{stage['left']['rows']:,}",
                hours_text(stage["left"]["hours"]),
            )
        )
    if not any(stage[part]["hours"] for stage in funnel for part in ("alone", "left")):
        rows = [row[:-1] for row in rows]  # the dataset does not say how long its samples are
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _causes(unknown: Mapping[str, Any]) -> str:
    known = {name: unknown[name] for name in ("failed", "missing", "absent") if unknown[name]}
    return (
        f" ({', '.join(f'{number:,} {name}' for name, number in known.items())})" if known else ""
    )
