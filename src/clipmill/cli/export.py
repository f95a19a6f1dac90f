"""``clipmill export``: samples and virtual clips become files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

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
from clipmill.core.edit import Edit
from clipmill.core.words import counted
from clipmill.formats.trainers.fit import FitOptions
from clipmill.run.run_spec import RunSpec
from clipmill.run.source_spec import LOCATIONS, SourceSpec
from clipmill.run.write_spec import WriteSpec

if TYPE_CHECKING:
    from clipmill.run.export_plan import BucketPlan
    from clipmill.run.push import Push
    from clipmill.run.recipe import Recipe


def _export(  # noqa: PLR0913  # each is an option of the command
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Clips made by `clipmill split`, or any dataset, folder of media or shards.",
        ),
    ],
    output: Output,
    resume: Resume = False,
    overwrite: Overwrite = False,
    extend: Extend = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be made, and make nothing.")
    ] = False,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="REPO_ID",
            help="Then verify the dataset and push it to this repository of the Hugging Face Hub, "
            "with --format huggingface and the token of HF_TOKEN or `hf auth login`.",
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **settings: Any,
) -> None:
    """Make files of clips: cut, cropped, scaled, at a frame rate, in one encode.

    Every source is decoded once for all of its clips, and each clip made is checked against the
    frames it should hold. Rows keep the keys they have in SOURCE.
    """
    settings = {**settings, "precision": settings.get("precision", "exact")}
    if dry_run:
        _show_plan(source, output, settings, as_json=as_json)
        return
    going = _pushing(push, source, output, settings) if push else None
    mode = {"resume": resume, "overwrite": overwrite, "extend": extend}
    carry_out(source, output, settings, mode, as_json=as_json, quiet=quiet)
    if going is not None:
        typer.echo(f"Pushed to {going.carry_out(output)}", err=as_json)


def _pushing(repo_id: str, source: str, output: str, settings: dict[str, Any]) -> Push:
    from clipmill.run.push import Push

    return Push(repo_id, _recipe(source, output, settings))


def _recipe(source: str, output: str, settings: dict[str, Any]) -> Recipe:
    from clipmill.core.config import parse_config
    from clipmill.run.recipe import Recipe
    from clipmill.run.settings import gather

    sections = gather(settings)
    sections.setdefault("source", {})["path"] = source
    sections.setdefault("write", {})["to"] = output
    return parse_config(Recipe, sections, "", style="option")


def _show_plan(source: str, output: str, settings: dict[str, Any], *, as_json: bool) -> None:
    from clipmill.run.export_plan import plan_export

    plan = plan_export(_recipe(source, output, settings))
    if as_json:
        typer.echo(json.dumps(plan.dump(), indent=2, ensure_ascii=False))
        return
    typer.echo(f"{plan.clips:,} of {counted(plan.rows, 'sample')} will be made.")
    for bucket in plan.buckets.values():
        typer.echo(f"  {bucket.bucket}: {', '.join(_told(bucket))}")
    for reason, number in sorted(plan.dropped.items()):
        typer.echo(f"  dropped, {reason}: {number:,}, such as {plan.examples[reason]}")
    for reason, number in sorted(plan.failing.items()):
        typer.echo(f"  will fail, {reason}: {number:,}, such as {plan.examples[reason]}")
    if plan.without_caption:
        typer.echo(f"  without a caption: {plan.without_caption:,}")


def _told(bucket: BucketPlan) -> list[str]:
    parts = [counted(bucket.clips, "clip"), f"{bucket.seconds:,.1f} s"]
    if bucket.frames:
        parts += [
            counted(bucket.frames, "frame"),
            f"{bucket.crop_loss:.1%} cropped (at most {bucket.most_crop_loss:.1%})",
            f"{bucket.trimmed_seconds:,.1f} s trimmed",
            f"re-timed by {bucket.retime_error_seconds * 1000:.1f} ms",
        ]
    if bucket.repeated_frames:
        parts.append(f"{counted(bucket.repeated_frames, 'frame')} repeated")
    if bucket.enlarged:
        parts.append(f"{bucket.enlarged:,} enlarged")
    return parts


command = add_options(
    _export,
    [Edit, FitOptions, SourceSpec, WriteSpec, RunSpec],
    leave_out=[*LOCATIONS, "to", "executor", "decoder"],
)
