"""Annotate a dataset: steps say something of its samples, in columns beside its shards."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clipmill.core.config import fingerprint
from clipmill.core.errors import InputError, RecipeError, RunError
from clipmill.core.outcome import Counts
from clipmill.core.registry import load
from clipmill.dataset.columns import SHARDS_FILE, ColumnGroup
from clipmill.dataset.dataset import Dataset
from clipmill.io.folder import Folder
from clipmill.media.torchcodec_reader import check_decoder
from clipmill.run.column_groups import begin_groups, totals
from clipmill.run.columns_job import ColumnsJob, Redo, StepTask
from clipmill.run.columns_rows import samples_of_shard
from clipmill.run.events import Event, Fatal, Progress, ShardDone, ShardFailed
from clipmill.run.executors.base import Executor
from clipmill.run.failed_rows import refuse_unknown
from clipmill.run.output import RunLock, WorkersPresent, scratch_folder
from clipmill.run.progress import ProgressDisplay
from clipmill.run.recipe import Recipe
from clipmill.run.room import room_needed
from clipmill.run.runlog import RunLog
from clipmill.run.signals import stopped_by_signals
from clipmill.run.staging import roll_forward
from clipmill.run.tally import Tally
from clipmill.sources.samples import SampleSource, parent_of
from clipmill.steps.base import Annotate
from clipmill.steps.load import StepOrder, make_step


@dataclass(slots=True)
class AnnotateReport:
    """How annotating went.

    Args:
        dataset: the folder.
        groups: names of the column groups, in the order of the steps.
        counts: samples seen this time, by how they ended.
        shards: shards of the dataset that there was something to do of; ``shards_done`` of them
            are finished.
        seconds: how long it took.
        decoded_seconds: length of video decoded, in seconds.
        cells: of each group, cells of the whole dataset by status; failed ones by class, too, with
            one of each.
        shards_failed: reason per shard that could not be finished.
        interrupted: whether it was asked to stop.
        failure_budget: share of failed cells up to which a group counts as well done.
    """

    dataset: str
    groups: list[str]
    counts: Counts
    shards: int
    shards_done: int
    seconds: float
    decoded_seconds: float = 0.0
    cells: dict[str, dict[str, Any]] = field(default_factory=dict)
    shards_failed: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False
    failure_budget: float = 1.0

    @property
    def exit_code(self) -> int:
        """0 all done, 1 shards missing, 3 finished but over the failure budget, 130 interrupted."""
        if self.interrupted:
            return 130
        if self.shards_failed or self.shards_done < self.shards:
            return 1
        shares = [
            cells["failed"] / max(cells["failed"] + cells["success"], 1)
            for cells in self.cells.values()
        ]
        return 3 if max(shares, default=0.0) > self.failure_budget else 0


def annotate_dataset(
    folder: str,
    orders: Sequence[StepOrder],
    *,
    redo: Redo | None = None,
    recipe: Recipe | None = None,
    quiet: bool = False,
) -> AnnotateReport:
    """Run steps over a dataset's samples; cells that are there already are left as they are.

    Args:
        folder: the dataset: ours, video2dataset's or img2dataset's.
        orders: the steps.
        redo: cells to make again. Default: none.
        recipe: its ``run`` says how the work is done, its ``source.parent`` where the sources of
            virtual clips lie now.
        quiet: show no progress.

    Raises:
        UserError: no such dataset or step, or a setting is wrong; nothing was written.
        RunError: the run stopped; what is done is kept.
    """
    recipe = recipe or Recipe()
    decoder = recipe.run.decoder
    orders = [replace(order, decoder=decoder) for order in orders]
    steps = [make_step(order) for order in orders]
    _check_steps(steps)
    check_decoder(decoder)
    output = Folder(folder)
    dataset = Dataset(output)
    if not dataset.shards:
        raise InputError(f"{output.url} has no finished shard to annotate.")
    source = SampleSource(output.url, parent=recipe.source.parent)
    source.schema()  # says so when the sources of virtual clips are gone
    scratch = scratch_folder(output, recipe.run.temp_dir)
    scratch = scratch.with_name(f"{scratch.name}-columns")
    with room_needed(output.url), RunLock(output):
        WorkersPresent.wait_until_gone(scratch)
        run = str(dataset.manifest.get("run") or fingerprint(output.url))
        roll_forward(scratch, output, run)
        groups = begin_groups(dataset.folder, steps, decoder)
        redo = redo or Redo()
        _check_redo(dataset, groups, redo)
        todo = [
            n for n, shard in enumerate(dataset.shards) if _is_left(dataset, shard, groups, redo)
        ]
        job = ColumnsJob(
            recipe=recipe,
            run=run,
            output=output,
            scratch=scratch,
            source=source,
            shards=tuple(dataset.shards),
            steps=tuple(map(StepTask, orders, [group.name for group in groups])),
            redo=redo,
            parent=recipe.source.parent or parent_of(dataset.manifest.get("inputs", [])),
        )
        return _work(job, dataset, groups, todo, quiet=quiet)


def _check_steps(steps: Sequence[Annotate]) -> None:
    if not steps:
        raise RecipeError("Name one step at least; `clipmill steps` lists them.")
    names = [step.name for step in steps]
    if twice := [name for name in names if names.count(name) > 1]:
        raise RecipeError(f"Step {twice[0]!r} is given twice; run it with each choice by itself.")


def _check_redo(dataset: Dataset, groups: Sequence[ColumnGroup], redo: Redo) -> None:
    """Refuse error classes that no cell failed with, unless none failed at all.

    Raises:
        UserError: tells what was probably meant.
    """
    held = [group.cells(shard) for group in groups for shard in dataset.shards]
    if there := {name for cells in held if cells for name in cells.failed}:
        refuse_unknown(redo.classes, {*there, "failed"}, "cell")


def _is_left(dataset: Dataset, shard: str, groups: Sequence[ColumnGroup], redo: Redo) -> bool:
    """Whether there may be something to do of a shard."""
    for group in groups:
        cells = group.cells(shard)
        if cells is None or cells.state != dataset.state(shard) or redo.every:
            return True
        if any(redo.wants(error_class) for error_class in cells.failed):
            return True
    return False


def _work(
    job: ColumnsJob,
    dataset: Dataset,
    groups: Sequence[ColumnGroup],
    todo: list[int],
    *,
    quiet: bool,
) -> AnnotateReport:
    rows = sum(samples_of_shard(dataset, job.shards[shard]) for shard in todo)
    tally = Tally(rows, len(todo))
    log = RunLog(job.output, job.scratch)
    log.write("annotate started", groups=[group.name for group in groups], shards=len(todo))
    executor: Executor = load("clipmill.executors", job.recipe.run.executor)()
    done: dict[str, dict[str, Any]] = {}

    def tell(event: Event) -> None:
        tally.take(event)
        if isinstance(event, Progress):
            display.update()
        elif isinstance(event, ShardDone):
            done[job.shards[event.shard]] = event.stats
            log.write("shard annotated", shard=job.shards[event.shard], stats=event.stats)
        elif isinstance(event, ShardFailed):
            log.write("shard failed", shard=job.shards[event.shard], reason=event.reason)
            what = "gave up" if event.final else "trying again"
            display.note(f"shard {job.shards[event.shard]}: {event.reason}; {what}")
        elif isinstance(event, Fatal):
            log.write("fatal", reason=event.reason, traceback=event.traceback)

    try:
        with ProgressDisplay(tally, quiet=quiet) as display, stopped_by_signals() as stop:
            executor.run(job, todo, tell, stop)
        interrupted = stop.is_set() and len(done) < len(todo)
    except RunError as error:
        log.write("annotate stopped", reason=error.message)
        raise
    finally:
        _write_index(dataset, groups, done)
        log.close()
    if not interrupted and not tally.shards_failed:
        shutil.rmtree(job.scratch, ignore_errors=True)
    return AnnotateReport(
        dataset=job.output.url,
        groups=[group.name for group in groups],
        counts=tally.counts,
        shards=len(todo),
        shards_done=len(done),
        seconds=tally.seconds,
        decoded_seconds=sum(stats["decoded_seconds"] for stats in done.values()),
        cells={group.name: totals(dataset, group) for group in groups},
        shards_failed={job.shards[n]: reason for n, reason in tally.shards_failed.items()},
        interrupted=interrupted,
        failure_budget=job.recipe.run.failure_budget,
    )


def _write_index(
    dataset: Dataset, groups: Sequence[ColumnGroup], done: dict[str, dict[str, Any]]
) -> None:
    """Write down what groups hold of each shard, so that readers need not open every table."""
    for group in groups:
        held = {shard: cells.dump() for shard in dataset.shards if (cells := group.cells(shard))}
        held |= {shard: stats["groups"][group.name] for shard, stats in done.items()}
        if held:
            index = {shard: held[shard] for shard in dataset.shards if shard in held}
            dataset.folder.write_json(group.path(SHARDS_FILE), index)
