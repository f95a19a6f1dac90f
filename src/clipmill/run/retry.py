"""Try failed rows of a dataset again, in their shards or as new ones; all else stays."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from clipmill.core.errors import InputError, UserError
from clipmill.core.keys import shard_name
from clipmill.core.outcome import Counts
from clipmill.core.redact import REDACTED
from clipmill.dataset.dataset import Dataset
from clipmill.dataset.status import dataset_status
from clipmill.io.folder import Folder
from clipmill.io.layout import DATASET_FILE, RUN_FOLDER
from clipmill.run.failed_rows import FailedRows, check_classes, check_still_same, failed_rows
from clipmill.run.input import (
    Input,
    last_input,
    moved_rows,
    plan_of_rows,
    reopen_input,
    saved_plan,
)
from clipmill.run.job import Job
from clipmill.run.kept_sources import KeptSources
from clipmill.run.moved_out import drop_rows
from clipmill.run.output import (
    RunLock,
    WorkersPresent,
    done_shards,
    scratch_folder,
    shard_ids,
    shard_names,
)
from clipmill.run.recipe import Recipe
from clipmill.run.recipe_file import load_recipe
from clipmill.run.room import room_needed
from clipmill.run.staging import roll_forward
from clipmill.run.work import RunReport, work
from clipmill.sources.folder import FolderSource
from clipmill.sources.samples import parent_of


def retry_dataset(
    folder: str,
    *,
    classes: Collection[str] = (),
    every: bool = False,
    as_new_shards: bool = False,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    quiet: bool = False,
) -> RunReport:
    """Try failed rows again.

    Args:
        folder: the dataset.
        classes: error classes or statuses to take up. Default: whatever is marked retryable.
        every: take up every failed row.
        as_new_shards: move the rows into new shards, which leaves old media files untouched (good
            for object stores); else each shard is written anew with its rows in their places.
        settings: recipe sections with settings of ``download`` and ``run`` to use this time.
        quiet: show no progress.

    Raises:
        UserError: nothing to retry from, or the source cannot be read any more.
    """
    output = Folder(folder)
    dataset = Dataset(output)
    if not dataset.manifest:
        raise UserError(f"{folder} was not written by clipmill; only its own runs can be retried.")
    recipe = _recipe_of(dataset, output, settings or {})
    if recipe.makes_clips and as_new_shards:
        raise UserError(
            f"{folder} holds clips, and these keep the order of what they were made of: leave out "
            "--as-new-shards, and their shards are written anew."
        )
    scratch = scratch_folder(output, recipe.run.temp_dir)
    kept = None if recipe.keep is None else KeptSources(recipe, output)
    with room_needed(output.url), RunLock(output), ExitStack() as stack:
        WorkersPresent.wait_until_gone(scratch)
        roll_forward(scratch, output, dataset.manifest["run"])
        if kept is not None:
            kept.check(dataset.manifest, anew=False)
            kept.lock(stack)
        again = _Retry(recipe, Dataset(output), scratch, kept, quiet=quiet)
        unsettled = again.settle()
        if unsettled is not None:
            return unsettled  # an earlier retry that was cut off is done now, or cut off again
        failed = again.failed_rows(classes, every=every)
        return again.as_new_shards(failed) if as_new_shards else again.in_place(failed)


def _recipe_of(
    dataset: Dataset, output: Folder, settings: Mapping[str, Mapping[str, Any]]
) -> Recipe:
    saved = dict(dataset.manifest["recipe"])
    for section, values in settings.items():
        saved[section] = {**saved.get(section, {}), **values}
    _ask_for_secrets(saved["download"])
    saved["write"] = {**saved.get("write", {}), "to": output.url}
    recipe = load_recipe(saved)
    if recipe.fingerprint() != dataset.manifest["fingerprint"]:
        raise UserError(
            "A retry cannot change what is fetched or written, only how (timeouts, retries, "
            "headers, workers and the like)."
        )
    return recipe


def _ask_for_secrets(download: Mapping[str, Any]) -> None:
    """Refuse to send placeholders where the run had secrets, which are never saved."""
    secret = [
        name for name in ("headers", "proxy", "site_options") if REDACTED in str(download.get(name))
    ]
    if secret:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in secret)
        raise UserError(
            f"The run was given secrets that are not saved with the dataset: give {options} again."
        )


class _Retry:
    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        scratch: Path,
        kept: KeptSources | None,
        *,
        quiet: bool,
    ) -> None:
        self._recipe = recipe
        self._dataset = dataset
        self._output = dataset.folder
        self._scratch = scratch
        self._kept = kept
        self._quiet = quiet
        self._inputs: list[dict[str, Any]] = dataset.manifest["inputs"]

    def failed_rows(self, classes: Collection[str], *, every: bool) -> FailedRows:
        """Which rows are meant."""
        check_classes(self._dataset, classes)
        found: FailedRows = {}
        for number, entry in enumerate(self._inputs):
            names = shard_names([entry], self._recipe.write.shard_digits)
            shards = dict(zip(shard_ids([entry]), names, strict=True))
            job = partial(self._job, number)
            mine = failed_rows(self._dataset, shards, job, classes, every=every)
            for shard in mine:
                check_still_same(self._dataset, self._job(number), shard)
            found |= mine
        return found

    def in_place(self, failed: FailedRows) -> RunReport:
        """Write each shard that has such rows anew, with everything else carried over."""
        reports = []
        for number, mine in self._by_input(failed):
            job = replace(self._job(number), retry=mine)
            if job.keeps is not None:
                job = replace(job, keeps=replace(job.keeps, retry=mine))
            reports.append(work(job, self._inputs, shards=list(mine), quiet=self._quiet))
            if reports[-1].interrupted:
                break
        return self._together(reports)

    def as_new_shards(self, failed: FailedRows) -> RunReport:
        """Do the rows over in shards of their own, then take them out of their old ones."""
        for number, mine in self._by_input(failed):
            given, first = self._input(number), self._inputs[number]["first_shard"]
            chosen = {shard: sorted(rows) for shard, rows in mine.items()}
            indices = [
                given.plan.row_indices(shard - first)[rows] for shard, rows in chosen.items()
            ]
            again = plan_of_rows(
                given, np.concatenate(indices), self._recipe.write.samples_per_shard
            )
            entry = again.entry(self._inputs, self._output)
            moved = f"{RUN_FOLDER}/moved-{len(self._inputs)}.json"
            self._output.write_json(moved, chosen)
            self._inputs.append({**entry, "retry_of": number, "moved": moved, "settled": False})
        self._save()
        return self.settle() or self._together([])

    def _by_input(self, failed: FailedRows) -> list[tuple[int, FailedRows]]:
        """Failed rows per input of the dataset that has any; retries are shards of their input."""
        found = []
        for number, entry in enumerate(self._inputs):
            shards = range(entry["first_shard"], entry["first_shard"] + entry["shards"])
            if mine := {shard: rows for shard, rows in failed.items() if shard in shards}:
                found.append((number, mine))
        return found

    def settle(self) -> RunReport | None:
        """Finish earlier inputs and retries into new shards, then drop moved rows elsewhere.

        The newest input is left to the command that began it. None when there was nothing to do.
        """
        reports = []
        for number, entry in enumerate(self._inputs):
            if entry.get("settled", True) and (number == self._newest or self._is_done(entry)):
                continue
            reports.append(work(self._job(number), self._inputs, quiet=self._quiet))
            if reports[-1].interrupted or reports[-1].shards_failed:
                break
            if "moved" in entry:
                self._drop_moved(entry)
        return self._together(reports) if reports else None

    @property
    def _newest(self) -> int:
        return last_input(self._inputs)

    def _is_done(self, entry: dict[str, Any]) -> bool:
        names = shard_names([entry], self._recipe.write.shard_digits)
        return done_shards(self._output).issuperset(names)

    def _drop_moved(self, entry: dict[str, Any]) -> None:
        """Take rows out of the shards they were moved from; one that is lost is made without."""
        digits, done = self._recipe.write.shard_digits, done_shards(self._output)
        moved: dict[str, list[int]] = self._output.read_json(entry["moved"])
        for shard, rows in moved.items():
            if (name := shard_name(int(shard), digits)) in done:
                drop_rows(self._dataset, name, set(rows), digits)
        entry["settled"] = True
        entry["rows"] = 0  # they are counted where they came from
        self._save()

    def _together(self, reports: list[RunReport]) -> RunReport:
        """One report of several runs, or of none."""
        if not reports:
            status = dataset_status(self._dataset)
            return RunReport(
                output=self._output.url,
                counts=Counts(),
                shards=status.shards,
                shards_done=status.shards_done,
                rows=status.rows,
                seconds=0.0,
                failed_share=status.failed / max(status.count, 1),
                failure_budget=self._recipe.run.failure_budget,
            )
        first, *others = reports
        for report in others:
            first.counts.merge(report.counts)
            first.seconds += report.seconds
            first.shards_failed.update(report.shards_failed)
            first.interrupted = first.interrupted or report.interrupted
            first.failed_share = report.failed_share
            first.shards_done = report.shards_done
        return first

    def _save(self) -> None:
        shards = sum(entry["shards"] for entry in self._inputs)
        manifest = {**self._dataset.manifest, "inputs": self._inputs, "shards": shards}
        self._output.write_json(DATASET_FILE, manifest)

    def _job(self, number: int) -> Job:
        given = self._input(number)
        job = Job(
            recipe=self._recipe,
            fingerprint=self._recipe.fingerprint(),
            run=self._dataset.manifest["run"],
            output=self._output,
            scratch=self._scratch,
            source=given.source,
            plan=given.plan,
            parent=parent_of(self._inputs),
            first_shard=self._inputs[number]["first_shard"],
            moved=moved_rows(self._inputs, self._output),
        )
        return job if self._kept is None else self._kept.begin(job, self._inputs, anew=False)

    def _input(self, number: int) -> Input:
        entry = self._inputs[number]
        base = self._inputs[entry.get("retry_of", number)]
        given = reopen_input(self._recipe, base, self._output)
        kept_by_us = base["location"][0].startswith(f"{RUN_FOLDER}/")
        same = given.fingerprint in (base["fingerprint"], base["extension_of"])
        if not (kept_by_us or same or _is_same_folder(given, base)):
            raise InputError(
                f"{', '.join(base['location'])} has changed since the dataset was made, so its "
                "failed rows cannot be found again. Put the earlier version back, or use --extend."
            )
        return saved_plan(given, number, self._output)


def _is_same_folder(given: Input, base: Mapping[str, Any]) -> bool:
    """Whether as many files lie in the same folders as then: others perhaps, or mended ones."""
    if not isinstance(given.source, FolderSource):
        return False
    then = [(file["url"], file["rows"]) for file in base["files"]]
    return then == [(file["url"], file["rows"]) for file in given.files]
