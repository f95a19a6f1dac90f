"""How a run's end is told, and which exit status follows."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from clipmill.core.errors import UserError

if TYPE_CHECKING:
    from clipmill.run.prepare import Mode
    from clipmill.run.runner import RunReport


def mode_of(*, resume: bool, overwrite: bool, extend: bool) -> Mode:
    """The one mode chosen by flags."""
    chosen: list[Mode] = []
    if resume:
        chosen.append("resume")
    if overwrite:
        chosen.append("overwrite")
    if extend:
        chosen.append("extend")
    if len(chosen) > 1:
        raise UserError(f"--{chosen[0]} and --{chosen[1]} exclude each other; give one of them.")
    return chosen[0] if chosen else "auto"


def finish_run(report: RunReport, *, as_json: bool) -> None:
    """Tell how a run went and exit with its status."""
    if as_json:
        typer.echo(json.dumps({**asdict(report), "exit_code": report.exit_code}, indent=2))
    else:
        for line in report_lines(report):
            typer.echo(line)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def report_lines(report: RunReport) -> list[str]:
    """The end of a run in a few lines."""
    counts = report.counts
    failed = counts.failed_to_download + counts.failed_to_process
    seconds = max(report.seconds, 1e-3)
    lines = [
        f"{counts.count:,} samples in {report.seconds:,.1f} s "
        f"({counts.count / seconds:,.1f}/s, {counts.bytes_downloaded / seconds / 1e6:,.1f} MB/s): "
        f"{counts.successes:,} succeeded, {failed:,} failed.",
        f"{report.shards_done:,} of {report.shards:,} shards are done in {report.output}",
    ]
    errors = sorted(counts.error_classes.items(), key=lambda pair: (-pair[1], pair[0]))
    lines += [f"  {number:,} x {label}" for label, number in errors]
    for shard, reason in sorted(report.shards_failed.items()):
        lines.append(f"Shard {shard} could not be finished: {reason}")
    if report.interrupted:
        lines.append("Interrupted. Give the same command again to go on.")
    elif report.shards_failed:
        lines.append("Give the same command again to try these shards again.")
    elif report.exit_code == 3:
        lines.append(
            f"More than {report.failure_budget:.0%} of the rows failed (--failure-budget)."
        )
    return lines
