"""How a run's end is told, and which exit status follows."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from clipmill.core.errors import UserError
from clipmill.core.words import counted

if TYPE_CHECKING:
    from clipmill.dataset.status import DatasetStatus
    from clipmill.run.existing import Mode
    from clipmill.run.work import RunReport

MESSAGES = 3
"""Messages of failed rows that a report shows."""

MISSING_OPTIONS = {
    "forbidden_address": "--allow-private-addresses",
    "local_path_refused": "--allow-local-paths",
    "login_required": "--cookies-file COOKIES.TXT",
    "tls": "--ignore-tls-errors",
}
"""What rows that failed in this way can be tried again with, if the user wants that."""


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


def carry_out(
    source: str,
    output: str,
    settings: Mapping[str, Any],
    mode: Mapping[str, bool],
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run what a command's arguments and options say, and end as it did.

    Args:
        source: input of any kind.
        output: folder of the dataset.
        settings: options that were given, by name.
        mode: ``resume``, ``overwrite`` and ``extend`` as given.
        as_json: report as JSON.
        quiet: show no progress.
    """
    from clipmill.core.config import parse_config
    from clipmill.run.recipe import Recipe
    from clipmill.run.runner import run_recipe
    from clipmill.run.settings import gather

    sections = gather(settings)
    sections.setdefault("source", {})["path"] = source
    sections.setdefault("write", {})["to"] = output
    recipe = parse_config(Recipe, sections, "", style="option")
    report = run_recipe(recipe, mode=mode_of(**mode), quiet=quiet or as_json)
    finish_run(report, as_json=as_json)


def finish_run(report: RunReport, *, as_json: bool, retried: bool = False) -> None:
    """Tell how a run went and exit with its status."""
    if as_json:
        typer.echo(json.dumps({**asdict(report), "exit_code": report.exit_code}, indent=2))
    else:
        for line in report_lines(report, retried=retried):
            typer.echo(line)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def report_lines(report: RunReport, *, retried: bool = False) -> list[str]:
    """The end of a run in a few lines.

    Args:
        report: how it went.
        retried: it tried failed rows again.
    """
    worked = bool(report.counts.count or report.shards_failed or report.interrupted)
    lines = [*_work(report), *_cut_off(report)] if worked else []
    if retried or not worked or report.failed_share:
        lines += _whole_dataset(report.output, worked=worked, retried=retried)
    if report.changed_files:
        lines += _changed(report)
    if report.left_out and not retried:
        lines.append(_left_out(report.left_out))
    if report.exit_code == 3:
        lines.append(
            f"More than {report.failure_budget:.0%} of the rows failed (--failure-budget): exit 3."
        )
    if report.shards_done < report.shards and not (report.interrupted or report.shards_failed):
        lines.append(f"{_done(report)}: {_how_to_finish(report, retried=retried)}")
    return lines


def _changed(report: RunReport) -> list[str]:
    number, output = len(report.changed_files), shlex.quote(report.output)
    return [
        f"{counted(number, 'known file')} changed since, such as {report.changed_files[0]}; an "
        "extension adds new files alone.",
        f"  clipmill retry {output} --all    # takes those up of which no row succeeded",
        "  --overwrite in place of --extend    # starts over with all of them",
    ]


def _left_out(classes: Mapping[str, int]) -> str:
    why = ", ".join(f"{number:,} x {label}" for label, number in classes.items())
    rows = counted(sum(classes.values()), "row")
    return f"Left out: {rows} of the input that failed or were dropped there ({why})."


def _how_to_finish(report: RunReport, *, retried: bool) -> str:
    if retried:
        return (
            "the run that made the dataset was cut off. Give its command again, and retry when "
            "it has ended."
        )
    command = f"clipmill retry {shlex.quote(report.output)}"
    return f"the others are of earlier inputs or retries. To finish them: {command}"


def _whole_dataset(folder: str, *, worked: bool, retried: bool) -> list[str]:
    """How all rows ended, of this run and those before it, and what can be done about it."""
    from clipmill.dataset.dataset import Dataset
    from clipmill.dataset.status import dataset_status

    status = dataset_status(Dataset(folder))
    lines = []
    if not worked:
        lines.append(_nothing_to_retry(status) if retried else _nothing_to_do(status))
    elif retried:
        lines.append(f"Failed rows in the dataset now: {_failures(status)}.")
    if status.failed:
        lines += [f"  {number:,} x {text}" for text, number in status.top_messages[:MESSAGES]]
        lines += how_to_go_on(folder, status)
    return lines


def _work(report: RunReport) -> list[str]:
    counts = report.counts
    seconds = max(report.seconds, 1e-3)
    rates = [f"{counts.count / seconds:,.1f}/s"]
    if counts.bytes_downloaded:
        rates.append(f"{counts.bytes_downloaded / seconds / 1e6:,.1f} MB/s")
    return [
        f"{counted(counts.count, 'sample')} in {report.seconds:,.1f} s ({', '.join(rates)}): "
        f"{counts.successes:,} succeeded, {counts.failed:,} failed{_dropped(counts.dropped)}.",
        _done(report),
        *_by_number(counts.error_classes),
        *_by_number(counts.drop_reasons, "dropped: "),
    ]


def _by_number(labels: Mapping[str, int], what: str = "") -> list[str]:
    ordered = sorted(labels.items(), key=lambda pair: (-pair[1], pair[0]))
    return [f"  {number:,} x {what}{label}" for label, number in ordered]


def _dropped(number: int) -> str:
    return f", {number:,} dropped" if number else ""


def _done(report: RunReport) -> str:
    return f"{report.shards_done:,} of {counted(report.shards, 'shard')} done in {report.output}"


def _cut_off(report: RunReport) -> list[str]:
    lines = [
        f"Shard {shard} could not be finished: {reason}"
        for shard, reason in sorted(report.shards_failed.items())
    ]
    if report.interrupted:
        lines.append("Interrupted. Give the same command again to go on.")
    elif report.shards_failed:
        lines.append("Give the same command again to try what is not finished.")
    return lines


def _nothing_to_do(status: DatasetStatus) -> str:
    done = "all is done" if status.shards_done == status.shards else "this input is done"
    return (
        f"Nothing to do in {status.folder}: {done}, {counted(status.rows_done, 'row')} "
        f"({status.successes:,} succeeded, failed: {_failures(status)}{_dropped(status.dropped)})."
    )


def _nothing_to_retry(status: DatasetStatus) -> str:
    if not status.failed:
        return f"Nothing to try again: no row of {status.folder} failed."
    return (
        "Nothing to try again: no failed row may succeed by waiting alone. "
        f"Failed rows: {_failures(status)}."
    )


def _failures(status: DatasetStatus) -> str:
    classes = ", ".join(f"{number:,} x {label}" for label, number in status.error_classes.items())
    return f"{status.failed:,}" + (f" ({classes})" if status.failed else "")


def how_to_go_on(folder: str, status: DatasetStatus) -> list[str]:
    """Commands that try failed rows again, with what they lacked.

    Args:
        folder: the dataset.
        status: how its rows ended.
    """
    command = f"clipmill retry {shlex.quote(folder)}"
    ways = [
        f"  {command} --class {label} {option}"
        for label, option in MISSING_OPTIONS.items()
        if label in status.error_classes
    ]
    if status.retryable:
        ways.append(f"  {command}    # {status.retryable:,} that may succeed by waiting alone")
    if not ways:
        return [f"Waiting helps none of them. Once what is wrong is mended: {command} --all"]
    ways.append(f"  {command} --all    # every failed row")
    return ["To try failed rows again:", *ways]
