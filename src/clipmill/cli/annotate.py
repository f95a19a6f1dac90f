"""``clipmill annotate``: steps say something of samples, in columns beside the shards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from clipmill.cli.options import AsJson, Debug, Quiet, add_options
from clipmill.core.errors import RecipeError
from clipmill.core.words import as_shown, counted
from clipmill.run.run_spec import RunSpec

if TYPE_CHECKING:
    from clipmill.run.annotate import AnnotateReport


_MESSAGE_LETTERS = 120
"""Of a message in the summary; all of it is in the cell."""


def _annotate(  # noqa: PLR0913  # an option each
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Folder of the dataset.")],
    steps: Annotated[
        list[str],
        typer.Argument(metavar="STEP...", help="Names of steps; `clipmill steps` lists them."),
    ],
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="STEP.OPTION=VALUE",
            help="A setting of a step, such as picture.fps=2; may be given several times.",
        ),
    ] = None,
    modules: Annotated[
        list[str] | None,
        typer.Option(
            "--module",
            metavar="FILE",
            help="Python file that defines steps of your own; may be given several times.",
        ),
    ] = None,
    retry: Annotated[
        list[str] | None,
        typer.Option(
            "--retry",
            metavar="CLASS",
            help="Make cells again that failed with this error class, such as timeout; `failed` "
            "means all that failed. May be given several times.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force/--only-missing",
            help="Make all cells again, or those alone that are not there or whose sample changed.",
        ),
    ] = False,
    parent: Annotated[
        str | None,
        typer.Option(
            "--parent",
            metavar="TEXT",
            help="Where the dataset or folder lies now that virtual clips were split from. "
            "Default: where it lay then.",
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **settings: Any,
) -> None:
    """Let steps say something of every sample: motion, brightness, loudness and the like.

    All steps see a source in one decode, and all virtual clips of it with it. What they say is
    kept beside the dataset, which itself stays as it is: DATASET/columns/STEP-FINGERPRINT. A step
    with other settings makes new columns and leaves the old ones.
    """
    from clipmill.core.config import parse_config
    from clipmill.run.annotate import annotate_dataset
    from clipmill.run.columns_job import Redo
    from clipmill.run.recipe import Recipe
    from clipmill.steps.load import step_orders

    recipe = parse_config(Recipe, {"source": {"parent": parent}, "run": settings}, "")
    chosen = _with_settings(steps, options or ())
    report = annotate_dataset(
        dataset,
        step_orders(chosen, modules or ()),
        redo=Redo(force, frozenset(retry or ())),
        recipe=recipe,
        quiet=quiet or as_json,
    )
    if as_json:
        typer.echo(json.dumps({**asdict(report), "exit_code": report.exit_code}, indent=2))
    else:
        for line in _lines(report):
            typer.echo(line)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _with_settings(steps: Sequence[str], options: Sequence[str]) -> list[dict[str, Any]]:
    """Each step with those settings that are its own."""
    chosen: dict[str, dict[str, Any]] = {step: {} for step in steps}
    for option in options:
        place, equals, value = option.partition("=")
        step, dot, name = place.partition(".")
        if not (equals and dot and name):
            raise RecipeError(f"--set {option!r} is not STEP.OPTION=VALUE, such as picture.fps=2.")
        if step not in chosen:
            raise RecipeError(f"--set {option!r} is of a step that is not named: add {step!r}.")
        chosen[step][name] = yaml.safe_load(value)
    return [{step: settings} for step, settings in chosen.items()]


def _lines(report: AnnotateReport) -> list[str]:
    lines = []
    if report.interrupted:
        lines.append(
            f"Interrupted after {counted(report.counts.count, 'sample')}, which are kept. Give the "
            "same command again to go on."
        )
        return lines
    if report.shards:
        lines.append(
            f"{counted(report.counts.count, 'sample')} in {report.seconds:,.1f} s, "
            f"{report.decoded_seconds:,.1f} s of video decoded; "
            f"{report.shards_done:,} of {counted(report.shards, 'shard')} done."
        )
    else:
        lines.append("Nothing to do: every sample has these columns already.")
    for name, cells in report.cells.items():
        lines.append(
            f"{name}: {cells['success']:,} with values, {cells['absent']:,} with nothing to look "
            f"at, {cells['failed']:,} failed"
        )
        ordered = sorted(cells["error_classes"].items(), key=lambda pair: (-pair[1], pair[0]))
        for label, number in ordered:
            line = f"  {number:,} x {label}"
            if one := cells["examples"].get(label):
                line += f", such as {one['key']}: {as_shown(one['message'], _MESSAGE_LETTERS)}"
            lines.append(line)
    for shard, reason in sorted(report.shards_failed.items()):
        lines.append(f"Shard {shard} could not be finished: {reason}")
    if report.exit_code == 3:
        lines.append(
            f"More than {report.failure_budget:.0%} of the cells of a step failed "
            "(--failure-budget): exit 3."
        )
    return lines


command = add_options(_annotate, [RunSpec], leave_out=["executor", "wandb", "scene_bytes"])
