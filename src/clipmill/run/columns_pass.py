"""The pass that annotates one shard: its sources decoded once, what steps say kept beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from clipmill.core.config import fingerprint
from clipmill.core.errors import SampleError
from clipmill.core.media_names import AUDIO_EXTENSIONS
from clipmill.core.outcome import Counts
from clipmill.core.request import Audio
from clipmill.core.sample import refuse_changed
from clipmill.core.seen import Cell
from clipmill.dataset.dataset import Dataset
from clipmill.fetch.base import FetchRequest
from clipmill.io.stretch import Place
from clipmill.run.columns_job import ColumnsJob
from clipmill.run.columns_rows import RowToSee, rows_to_see, samples_of_shard
from clipmill.run.shard_columns import ShardColumns, write_cells
from clipmill.run.staging import StagedShard, carry_on_commit
from clipmill.run.step_crew import StepCrew
from clipmill.run.wanted import pick_media
from clipmill.run.workbench import Workbench
from clipmill.steps.judge import failed
from clipmill.steps.load import make_step
from clipmill.steps.look import Showing


class ColumnsPass:
    """Runs steps over the samples of one shard; those of one source are decoded together.

    Args:
        job: the run.
        bench: what all shards of this worker share.
        shard: number of the shard.
        turn: how many shards this worker began before.
        report: told how each sample ended.
        found_done: told how many samples are finished already.
    """

    def __init__(
        self,
        job: ColumnsJob,
        bench: Workbench,
        shard: int,
        *,
        turn: int,
        report: Callable[[Counts], None],
        found_done: Callable[[int], None],
    ) -> None:
        self._job = job
        self._bench = bench
        self._file = shard
        self._shard = job.name(shard)
        self._turn = turn
        self._report = report
        self._found_done = found_done
        self._decoded_seconds = 0.0
        self._groups: list[ShardColumns] = []

    async def run(self) -> dict[str, Any]:
        """Do the whole shard; what each of its groups holds then, by name."""
        job = self._job
        await asyncio.to_thread(carry_on_commit, job.scratch / self._shard, job.output, job.run)
        dataset = Dataset(job.output)
        state = dataset.state(self._shard)
        async with self._bench.reading:
            self._groups, rows = await asyncio.to_thread(rows_to_see, job, self._file, dataset)
        names = sorted(task.group for task in job.steps)
        staged = StagedShard(
            job.scratch, self._shard, fingerprint([job.run, state, names, repr(job.redo)])
        )
        try:
            self._take_up(staged)
            left = [row for one in rows if (row := self._left(one))]
            self._found_done(samples_of_shard(dataset, self._shard) - len(left))
            await self._see(left, staged)
            return await asyncio.to_thread(self._commit, staged, state)
        finally:
            staged.close()

    def _left(self, row: RowToSee) -> RowToSee | None:
        """The row with those of its steps that are still to see it; None when there are none."""
        steps = tuple(step for step in row.steps if row.number in self._groups[step].todo)
        return replace(row, steps=steps) if steps else None

    def _take_up(self, staged: StagedShard) -> None:
        """Take over what an earlier worker finished."""
        by_name = {one.group.name: one for one in self._groups}
        for entry in staged.entries:
            self._decoded_seconds += entry["decoded_seconds"]
            for name, journalled in entry["groups"].items():
                by_name[name].take_up(journalled)

    async def _see(self, rows: Sequence[RowToSee], staged: StagedShard) -> None:
        """Let steps see every source; each part of one is journalled when it is done."""
        tasks = [asyncio.create_task(self._source(part, staged)) for part in self._sources(rows)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _sources(self, rows: Sequence[RowToSee]) -> list[list[RowToSee]]:
        """Rows that are decoded together; those that nobody looks at, all of them.

        A sample whose sound is a file of its own is two sources, when both are wanted.
        """
        found: dict[Any, list[RowToSee]] = {}
        for row in rows:
            wants = {step: self._groups[step].step.wants for step in row.steps}
            sound = {step for step, want in wants.items() if isinstance(want, Audio)}
            if not any(ref.extension in AUDIO_EXTENSIONS for ref in row.sample.media):
                sound = set()
            unseen = {step for step, want in wants.items() if want is None}
            for kind, steps in ("", wants.keys() - sound - unseen), ("sound", sound):
                if steps:
                    source = (kind, row.sample.url, row.sample.media)
                    part = replace(row, steps=tuple(sorted(steps)))
                    found.setdefault(source, []).append(part)
            if unseen:
                part = replace(row, steps=tuple(sorted(unseen)))
                found.setdefault(None, []).append(part)
        return list(found.values())

    async def _source(self, rows: Sequence[RowToSee], staged: StagedShard) -> None:
        """All samples of one source, from its file to the journal."""
        crew = self._bench.crew
        assert crew is not None
        showings = [Showing(row.key, row.sample.span, row.values, row.steps) for row in rows]
        stages = self._bench.stages
        async with self._bench.unprobed:
            try:
                async with self._file_of(rows) as path:
                    for part in crew.in_parts(showings):
                        stages.probe += 1
                        try:
                            shown = showings[part.start : part.stop]
                            cells, seconds = await crew.look(self._bench.pool, path, shown)
                        finally:
                            stages.probe -= 1
                        self._keep(rows[part.start : part.stop], cells, seconds, staged)
            except SampleError as error:
                cell = failed(error.error_class, error.message)
                left = [row for one in rows if (row := self._left(one))]
                self._keep(left, [[cell] * len(row.steps) for row in left], 0.0, staged)

    @asynccontextmanager
    async def _file_of(self, rows: Sequence[RowToSee]) -> AsyncIterator[Place | None]:
        """The source as a local file; None where no step looks at it."""
        wants = [self._groups[step].step.wants for row in rows for step in row.steps]
        if not any(wants):
            yield None
            return
        bench, sample = self._bench, rows[0].sample
        holding = bench.budget.open((self._turn, rows[0].number))
        target = bench.files.take()
        only_sound = all(isinstance(want, Audio) for want in wants)
        media, _ = pick_media(sample.media, ("audio",) if only_sound else ("video",))
        try:
            async with bench.slots:
                bench.stages.fetch += 1
                try:
                    request = FetchRequest(
                        url=sample.url or "", target=target, media=media, in_place=True
                    )
                    fetched = await bench.router.fetch(request, holding)
                    if media is not None and fetched.sha256 is not None:
                        refuse_changed(media, fetched.sha256)
                finally:
                    bench.stages.fetch -= 1
            yield fetched.path
        finally:
            holding.release()
            bench.files.give_back(target)

    def _keep(
        self,
        rows: Sequence[RowToSee],
        said: Sequence[Sequence[Cell]],
        seconds: float,
        staged: StagedShard,
    ) -> None:
        """Put cells in their rows, journalled, with the length of video decoded for them."""
        entry: dict[str, Any] = {"decoded_seconds": seconds, "groups": {}}
        for step, group in enumerate(self._groups):
            mine = [
                (row.number, cell)
                for row, cells in zip(rows, said, strict=True)
                for number, cell in zip(row.steps, cells, strict=True)
                if number == step
            ]
            if mine:
                entry["groups"][group.group.name] = group.add(
                    [number for number, _ in mine], [cell for _, cell in mine]
                )
        staged.append(entry)
        self._decoded_seconds += seconds
        for row, cells in zip(rows, said, strict=True):
            if not any(row.number in group.todo for group in self._groups):
                self._report(_counted(cells))

    def _commit(self, staged: StagedShard, state: str) -> dict[str, Any]:
        names: list[str] = []
        held: dict[str, Any] = {}
        for one in self._groups:
            path = one.group.table_path(self._shard)
            place = staged.files / path
            place.parent.mkdir(parents=True, exist_ok=True)
            table, cells = one.table(state)
            write_cells(table, place)
            names.append(path)
            held[one.group.name] = cells.dump()
        staged.commit(self._job.output, self._job.run, names)
        return {"groups": held, "decoded_seconds": self._decoded_seconds}


def crew_of(job: ColumnsJob) -> StepCrew:
    """The steps of a worker, for all the shards that it annotates."""
    orders = [task.order for task in job.steps]
    return StepCrew(orders, list(map(make_step, orders)), job.recipe.run.sample_timeout_seconds)


def _counted(cells: Sequence[Cell]) -> Counts:
    """How a sample ended: failed when a step failed on it."""
    counts = Counts()
    wrong = [cell for cell in cells if cell.status == "failed"]
    if wrong:
        counts.add("failed_to_process", wrong[0].error_class, 0)
    else:
        counts.add("success", None, 0)
    return counts
