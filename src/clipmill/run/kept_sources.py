"""The dataset that a run keeps its sources in, beside the one of the clips it makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from clipmill.core.errors import OutputError
from clipmill.io.folder import Folder
from clipmill.io.layout import DATASET_FILE, RUN_FOLDER
from clipmill.run.existing import check_output
from clipmill.run.input import plan_name
from clipmill.run.job import Job
from clipmill.run.output import (
    RunLock,
    WorkersPresent,
    clear,
    describe,
    done_shards,
    make_scratch,
    scratch_folder,
)
from clipmill.run.recipe import Recipe
from clipmill.run.staging import roll_forward


class KeptSources:
    """A dataset like any other, under the same run id and with the same shards as the clips.

    Args:
        recipe: one that keeps its sources.
        output: where the clips go.
    """

    def __init__(self, recipe: Recipe, output: Folder) -> None:
        assert recipe.keep is not None
        self._recipe = recipe.fetching
        self._clips = output
        self._output = Folder(recipe.keep.to)
        self._scratch = scratch_folder(self._output, recipe.run.temp_dir)

    def check(self, clips: Mapping[str, Any] | None, *, anew: bool) -> None:
        """Refuse a folder that does not go with the clips.

        Args:
            clips: content of their ``dataset.json``; None when there is none yet.
            anew: whether they are to be made from the beginning.

        Raises:
            OutputError: says what is there instead and what can be done.
        """
        mine, theirs = (f"{folder.url_of('')}/" for folder in (self._output, self._clips))
        if mine.startswith(theirs) or theirs.startswith(mine):
            raise OutputError(
                f"Sources are to be kept in {self._output.url} and clips in {self._clips.url}, and "
                "one lies within the other. Choose two folders side by side."
            )
        there = check_output(self._output, "auto").dataset
        if there is None:
            if clips is not None and not anew and done_shards(self._clips):
                raise OutputError(
                    f"{self._output.url}, where the sources of {self._clips.url} were kept, is not "
                    "there any more. Put it back, or give --overwrite to start over."
                )
        elif clips is None or there["run"] != clips["run"]:
            raise OutputError(
                f"{self._output.url} holds a dataset of its own. Make clips of that one (clipmill "
                "split, then clipmill export), or keep sources in another folder."
            )

    def lock(self, stack: ExitStack) -> None:
        """Keep others from writing it until the stack is closed, and wait for those that do."""
        if self._recipe.run.temp_dir is not None:
            make_scratch(self._scratch)
        stack.enter_context(RunLock(self._output))
        WorkersPresent.wait_until_gone(self._scratch)

    def begin(self, job: Job, inputs: list[dict[str, Any]], *, anew: bool) -> Job:
        """Save the same inputs and plans as those of the clips; the run with its counterpart.

        Args:
            job: the run that makes the clips.
            inputs: of their dataset, the one to do last.
            anew: whether the clips are made from the beginning.

        Raises:
            OutputError: meanwhile, one of both datasets was retried or extended by itself.
        """
        output = self._output
        there = None if anew else check_output(output, "auto").dataset
        if there is None:
            clear(output, self._scratch)
        roll_forward(self._scratch, output, job.run)
        known = [] if there is None else there["inputs"]
        shards = [[(one["first_shard"], one["shards"]) for one in part] for part in (known, inputs)]
        if shards[0] != shards[1][: len(known)]:
            raise OutputError(
                f"{output.url} and {job.output.url} do not have the same shards any more, since "
                "one of them was retried into new shards or extended by itself. Make clips of the "
                "former in another folder (clipmill split, then clipmill export)."
            )
        for number, entry in enumerate(inputs[len(known) :], len(known)):
            rows = [place for place in entry["location"] if place.startswith(f"{RUN_FOLDER}/")]
            for name in (plan_name(number), *rows):
                output.write_bytes(name, job.output.read_bytes(name))
        if len(known) < len(inputs):
            output.write_json(DATASET_FILE, describe(self._recipe, job.run, inputs))
        mine = replace(
            job,
            recipe=self._recipe,
            fingerprint=self._recipe.fingerprint(),
            output=output,
            scratch=self._scratch,
        )
        return replace(job, keeps=mine)
