"""A run from beginning to end: check, plan, work, report."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from clipmill.core.errors import OutputError
from clipmill.dataset.dataset import Dataset
from clipmill.io.folder import Folder
from clipmill.io.layout import DATASET_FILE
from clipmill.run.changed_files import changed_files
from clipmill.run.existing import Existing, Mode, check_apart, check_output, check_same
from clipmill.run.input import Input, last_input, moved_rows, new_rows_only, open_input, saved_plan
from clipmill.run.job import Job
from clipmill.run.kept_sources import KeptSources
from clipmill.run.output import (
    LOCK_FILE,
    RunLock,
    WorkersPresent,
    clear,
    describe,
    done_shards,
    make_scratch,
    scratch_folder,
    shard_ids,
    shard_names,
)
from clipmill.run.prepare import check_columns, check_conditions, check_recipe
from clipmill.run.recipe import Recipe
from clipmill.run.room import room_needed
from clipmill.run.staging import roll_forward
from clipmill.run.work import RunReport, work
from clipmill.sources.samples import parent_of


def run_recipe(
    recipe: Recipe, *, rows: Any = None, mode: Mode = "auto", quiet: bool = False
) -> RunReport:
    """Carry out a recipe; what is finished already is not done again.

    Args:
        recipe: what to do.
        rows: rows given in Python (list, DataFrame, Arrow table) instead of a location.
        mode: ``auto`` starts or goes on, ``resume`` only goes on, ``overwrite`` starts over,
            ``extend`` adds the rows that are not in the dataset yet.
        quiet: show no progress.

    Raises:
        UserError: nothing was written.
        RunError: the run stopped; finished shards and rows in hand are kept.
    """
    check_recipe(recipe)
    output = Folder(recipe.write.to)
    scratch = scratch_folder(output, recipe.run.temp_dir)
    check_output(output, mode)
    kept = None if recipe.keep is None else KeptSources(recipe, output)
    with room_needed(output.url), _removed_if_refused(output):
        given = open_input(recipe, rows, output, scratch)
        check_columns(recipe, given)
        check_apart(recipe, given)
        check_conditions(recipe, given)
        _existing(recipe, given, output, mode, kept)
        if recipe.run.temp_dir is not None:
            make_scratch(scratch)
        lock = RunLock(output)
    with lock, room_needed(output.url), ExitStack() as stack:
        WorkersPresent.wait_until_gone(scratch)
        if kept is not None:
            kept.lock(stack)
        existing = _existing(recipe, given, output, mode, kept)  # others may have written till now
        job, inputs = _begin(recipe, given, existing, mode, output=output, scratch=scratch)
        if kept is not None:
            job = kept.begin(job, inputs, anew=mode == "overwrite" or existing.dataset is None)
        changed = changed_files(given.source, Dataset(output)) if mode == "extend" else []
        return replace(work(job, inputs, quiet=quiet), changed_files=changed)


def _existing(
    recipe: Recipe, given: Input, output: Folder, mode: Mode, kept: KeptSources | None
) -> Existing:
    """What lies in the output folder, made sure to go together with what is asked for."""
    existing = check_output(output, mode)
    if existing.dataset is not None and mode != "overwrite":
        check_same(recipe, given, existing.dataset, output, extend=mode == "extend")
    if kept is not None:
        kept.check(existing.dataset, anew=mode == "overwrite")
    return existing


def _begin(
    recipe: Recipe,
    given: Input,
    existing: Existing,
    mode: Mode,
    *,
    output: Folder,
    scratch: Path,
) -> tuple[Job, list[dict[str, Any]]]:
    """Fix the list of shards and save it, or take up the one that was saved."""
    if mode == "overwrite" or existing.dataset is None:
        clear(output, scratch, existing.format)
        run, inputs = uuid.uuid4().hex, []
    else:
        run, inputs = existing.dataset["run"], existing.dataset["inputs"]
        roll_forward(scratch, output, run)
    number = last_input(inputs)
    begun = number >= 0 and given.fingerprint in (
        inputs[number]["fingerprint"],
        inputs[number]["extension_of"],
    )
    if mode == "extend" and not begun:
        given = _new_rows(recipe, given, inputs, output)
    if begun or (number >= 0 and not given.plan.shards):
        given = saved_plan(given, number, output)
    else:
        number = len(inputs)
        inputs = [*inputs, given.entry(inputs, output)]
        _check_digits(recipe, inputs)
        output.write_json(DATASET_FILE, describe(recipe, run, inputs))
    job = Job(
        recipe=recipe,
        fingerprint=recipe.fingerprint(),
        run=run,
        output=output,
        scratch=scratch,
        source=given.source,
        plan=given.plan,
        parent=parent_of(inputs),
        first_shard=inputs[number]["first_shard"],
        moved=moved_rows(inputs, output),
    )
    return job, inputs


def _check_digits(recipe: Recipe, inputs: list[dict[str, Any]]) -> None:
    shards, digits = len(shard_ids(inputs)), recipe.write.shard_digits
    if shards > 10**digits:
        raise OutputError(
            f"{shards:,} shards do not fit in names of {digits} digits. Choose more with "
            "--shard-digits, or larger shards with --samples-per-shard."
        )


def _new_rows(recipe: Recipe, given: Input, inputs: list[dict[str, Any]], output: Folder) -> Input:
    missing = set(shard_names(inputs, recipe.write.shard_digits)) - done_shards(output)
    if missing:
        raise OutputError(
            f"{output.url} has {len(missing)} unfinished shards. Finish them first with the "
            "earlier input, then extend."
        )
    return new_rows_only(recipe, given, output)


@contextmanager
def _removed_if_refused(output: Folder) -> Iterator[None]:
    """Leave no new folder behind when the input turns out to be unusable.

    A lock in it is that of another run, which began meanwhile.
    """
    was_there = not output.is_local or output.exists()
    try:
        yield
    except BaseException:
        if not was_there and not output.exists(LOCK_FILE):
            shutil.rmtree(output.local(), ignore_errors=True)
        raise
