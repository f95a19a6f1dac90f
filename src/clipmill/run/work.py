"""The shards of a run: done by an executor, watched, logged and reported."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from clipmill.core.errors import RunError
from clipmill.core.outcome import Counts
from clipmill.core.registry import load
from clipmill.dataset.dataset import Dataset
from clipmill.dataset.status import dataset_status
from clipmill.formats.base import ShardFormat
from clipmill.run.events import Event, Fatal, Progress, ShardDone, ShardFailed
from clipmill.run.executors.base import Executor
from clipmill.run.job import Job
from clipmill.run.output import done_shards, shard_ids, shard_names
from clipmill.run.progress import ProgressDisplay
from clipmill.run.runlog import RunLog
from clipmill.run.signals import stopped_by_signals
from clipmill.run.tally import Tally
from clipmill.run.wandb_report import WandbReport


@dataclass(slots=True)
class RunReport:
    """How a run went.

    Args:
        output: where the dataset is.
        counts: rows this run finished.
        shards: shards of the dataset; ``shards_done`` of them are finished.
        rows: rows of the dataset's inputs.
        seconds: how long it took.
        shards_failed: reason per shard that could not be finished.
        interrupted: whether it was asked to stop.
        failed_share: failed rows of the whole dataset, of all its rows that ended.
        failure_budget: share of failed rows up to which the dataset counts as well done.
        changed_files: files of the input that are not what rows were made of any more, looked for
            when a dataset is extended.
        left_out: rows of an input dataset that were not taken, by what they failed with there.
    """

    output: str
    counts: Counts
    shards: int
    shards_done: int
    rows: int
    seconds: float
    shards_failed: dict[int, str] = field(default_factory=dict)
    interrupted: bool = False
    failed_share: float = 0.0
    failure_budget: float = 1.0
    left_out: dict[str, int] = field(default_factory=dict)
    changed_files: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all done, 1 shards missing, 3 finished but over the failure budget, 130 interrupted."""
        if self.interrupted:
            return 130
        if self.shards_failed or self.shards_done < self.shards:
            return 1
        return 3 if self.failed_share > self.failure_budget else 0


def work(
    job: Job,
    inputs: list[dict[str, Any]],
    *,
    shards: list[int] | None = None,
    quiet: bool = False,
) -> RunReport:
    """Run every shard that is not done, and account for it.

    Args:
        job: what to do.
        inputs: inputs of the dataset, for its totals.
        shards: do exactly these, done or not. Default: those of the job's plan that are not done.
        quiet: show no progress.
    """
    if job.recipe.annotate:
        from clipmill.run.column_groups import begin_groups
        from clipmill.steps.load import made_steps

        steps = made_steps(job.recipe.annotate, job.recipe.modules)
        begin_groups(job.output, steps, job.recipe.run.decoder)
    if shards is None:
        done = done_shards(job.output)
        if job.keeps is not None:
            done &= done_shards(job.keeps.output)
        mine = range(job.first_shard, job.first_shard + job.plan.shards)
        shards = [shard for shard in mine if job.name(shard) not in done]
    rows = sum(job.rows_to_do(shard) for shard in shards)
    tally = Tally(rows, len(shards))
    log = RunLog(job.output, job.scratch)
    wandb = job.recipe.run.wandb
    reporter = WandbReport(wandb, job.recipe.public_dump()) if wandb else None
    log.write("run started", fingerprint=job.fingerprint, shards=len(shards), rows=rows)
    executor: Executor = load("clipmill.executors", job.recipe.run.executor)()
    try:
        with ProgressDisplay(tally, quiet=quiet) as display, stopped_by_signals() as stop:
            executor.run(job, shards, _listener(tally, display, log, reporter), stop)
        interrupted = stop.is_set() and tally.shards_done < len(shards)
        _conclude(job, inputs)
        report = _report(job, inputs, tally, interrupted=interrupted)
        log.write("run ended", exit_code=report.exit_code, seconds=round(report.seconds, 3))
    except RunError as error:
        log.write("run stopped", reason=error.message)
        raise
    finally:
        if reporter is not None:
            reporter.close(tally)
        log.close()
    if not interrupted and not tally.shards_failed:
        for one in filter(None, (job, job.keeps)):
            shutil.rmtree(one.scratch, ignore_errors=True)
    return report


def _conclude(job: Job, inputs: list[dict[str, Any]]) -> None:
    """Let the layout say what is to be said of the whole, once there is a whole."""
    layout: ShardFormat = load("clipmill.formats", job.recipe.write.format)()
    if not set(shard_names(inputs, job.recipe.write.shard_digits)) - done_shards(job.output):
        dataset = Dataset(job.output)
        layout.conclude(job.output, dataset.shards, dataset.manifest)


def _report(
    job: Job, inputs: list[dict[str, Any]], tally: Tally, *, interrupted: bool
) -> RunReport:
    done = done_shards(job.output) & set(shard_names(inputs, job.recipe.write.shard_digits))
    status = dataset_status(Dataset(job.output))
    return RunReport(
        output=job.output.url,
        counts=tally.counts,
        shards=len(shard_ids(inputs)),
        shards_done=len(done),
        rows=sum(part["rows"] for part in inputs),
        seconds=tally.seconds,
        shards_failed=tally.shards_failed,
        interrupted=interrupted,
        failed_share=status.failed / max(status.count, 1),
        failure_budget=job.recipe.run.failure_budget,
        left_out=dict(job.source.left_out().most_common()),
    )


def _listener(
    tally: Tally, display: ProgressDisplay, log: RunLog, reporter: WandbReport | None
) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        tally.take(event)
        if isinstance(event, Progress):
            display.update()
            if reporter is not None:
                reporter.update(tally)
        elif isinstance(event, ShardDone):
            log.write("shard done", shard=event.shard, stats=event.stats)
        elif isinstance(event, ShardFailed):
            log.write("shard failed", shard=event.shard, reason=event.reason, final=event.final)
            what = "gave up" if event.final else "trying again"
            display.note(f"shard {event.shard}: {event.reason}; {what}")
        elif isinstance(event, Fatal):
            log.write("fatal", reason=event.reason, traceback=event.traceback)

    return tell
