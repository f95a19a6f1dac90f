"""The pass: what a worker does with one shard, from its rows to its commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pyarrow as pa

from clipmill.core.errors import ProcessError
from clipmill.core.outcome import Counts, Outcome
from clipmill.core.sample import Sample
from clipmill.io.layout import STATS_SUFFIX
from clipmill.run.carry import Carried, check_still_readable
from clipmill.run.clips import MemberFile
from clipmill.run.input_rows import samples_of
from clipmill.run.job import Job
from clipmill.run.result_rows import clip_row, lost_row, result_row, source_row
from clipmill.run.shard_output import ShardOutput
from clipmill.run.source_work import SourceWork
from clipmill.run.staging import Result, carry_on_commit
from clipmill.run.wanted import spans_of
from clipmill.run.workbench import Workbench
from clipmill.run.worked import Worked
from clipmill.sources.shard_plan import read_shard
from clipmill.steps.split.options import SplitOptions

Returned = TypeVar("Returned")

WRITE_BATCH_ROWS = 64
GATHER_SECONDS = 0.02
"""Short wait for more rows to be ready: one trip to the writer's thread costs as much as a row."""


class ShardPass:
    """Fetches run ahead, rows are written in order, the commit comes last.

    Args:
        job: the run.
        bench: what all shards of this worker share.
        shard: id of the shard.
        turn: how many shards this worker began before; earlier ones go first for disk space.
        report: told how the rows of each finished sample ended.
        found_done: told how many rows are finished already.
    """

    def __init__(
        self,
        job: Job,
        bench: Workbench,
        shard: int,
        *,
        turn: int,
        report: Callable[[Counts], None],
        found_done: Callable[[int], None],
    ) -> None:
        self._job = job
        self._bench = bench
        self._shard = shard
        self._turn = turn
        self._report = report
        self._found_done = found_done
        self._started = time.time()
        self._carried: dict[int, tuple[Carried, Carried | None]] = {}

    async def run(self) -> dict[str, Any]:
        """Do the whole shard; its stats."""
        job, name = self._job, self._job.name(self._shard)
        for one in filter(None, (job.keeps, job)):
            carried_on = await _in_thread(carry_on_commit, one.scratch / name, one.output, job.run)
        if carried_on:  # the dataset itself comes last
            stats: dict[str, Any] = job.output.read_json(f"{name}{STATS_SUFFIX}")
            return stats
        async with self._bench.reading:
            inputs = await asyncio.to_thread(
                read_shard, job.source, job.plan, self._shard - job.first_shard
            )
        numbers = job.rows_of(self._shard)
        if len(numbers) < inputs.num_rows:
            inputs = inputs.take(pa.array(numbers, pa.int64()))
        samples = list(samples_of(inputs, numbers, self._shard, job.recipe.write))
        outputs = [ShardOutput(job, self._shard, samples, self._started)]
        if job.keeps is not None:
            outputs.append(ShardOutput(job.keeps, self._shard, samples, self._started))
        try:
            carried = [await asyncio.to_thread(output.carried, numbers) for output in outputs]
            self._carried = {
                place: (mine, carried[1].get(place) if len(carried) > 1 else None)
                for place, mine in carried[0].items()
            }
            check_still_readable(inputs, {place: one for place, (one, _) in self._carried.items()})
            return await self._work(inputs, samples, outputs)
        finally:
            for output in outputs:
                output.close()

    async def _work(
        self, inputs: pa.Table, samples: list[Sample], outputs: list[ShardOutput]
    ) -> dict[str, Any]:
        done = min(len(output.results) for output in outputs)  # a worker died between two of them
        for output in outputs:
            output.begin(done)
        self._found_done(done)
        try:
            await self._rows(samples, outputs)
            # the dataset itself comes last: once it has the shard, all is done
            for output in reversed(outputs):
                stats = await _in_thread(output.commit, inputs)
        except BaseException:
            for output in outputs:
                output.abandon()
            raise
        return stats

    async def _rows(self, samples: list[Sample], outputs: list[ShardOutput]) -> None:
        results = outputs[0].results
        works = self._start_sources(samples, len(results))
        try:
            while len(results) < len(samples):
                first = len(results)
                batch = [(samples[first], works[first], await works[first].task)]
                await asyncio.sleep(GATHER_SECONDS)
                for row in range(first + 1, min(first + WRITE_BATCH_ROWS, len(samples))):
                    if not works[row].task.done():
                        break
                    batch.append((samples[row], works[row], works[row].task.result()))
                self._bench.stages.write += len(batch)
                try:
                    await _in_thread(self._write, batch, outputs)
                finally:
                    self._bench.stages.write -= len(batch)
                for (_, work, worked), result in zip(batch, results[first:], strict=True):
                    work.free_budget()
                    if worked.carried is None:
                        self._tell(worked, result)
        finally:
            await _end(set(works.values()))

    def _shared(self, sample: Sample) -> Any:
        """What rows with the same source have in common; None for a row that must stand alone."""
        try:
            spans_of(sample, self._job.recipe.split)
        except ProcessError:
            return None  # its failure is its own
        return (sample.url, sample.media) if sample.url else None

    def _start_sources(self, samples: list[Sample], first: int) -> dict[int, SourceWork]:
        """One work per distinct source of the rows still to do, shared by its rows."""
        rows_of: dict[Any, list[int]] = {}
        for row in range(first, len(samples)):
            shared = None if row in self._carried else self._shared(samples[row])
            rows_of.setdefault(shared or row, []).append(row)
        works: dict[int, SourceWork] = {}
        for rows in rows_of.values():
            work = SourceWork(
                self._bench,
                {row: samples[row] for row in rows},
                self._turn,
                self._carried.get(rows[0]),
            )
            works.update(dict.fromkeys(rows, work))
        return works

    def _tell(self, worked: Worked, result: Result) -> None:
        counts = Counts()
        for row in result.rows:
            counts.add(row["status"], row["error_class"], 0)
        counts.bytes_downloaded = (worked.fetch or {}).get("downloaded_bytes") or 0
        self._report(counts)

    def _write(
        self, batch: list[tuple[Sample, SourceWork, Worked]], outputs: list[ShardOutput]
    ) -> None:
        for sample, work, worked in batch:
            for output in outputs[1:]:
                assert worked.kept is not None
                output.finish(_written(sample, worked.kept, output))
            if worked.carried is None and self._job.recipe.makes_clips:
                outputs[0].finish(self._written_clips(sample, worked, outputs[0]))
            else:
                outputs[0].finish(_written(sample, worked, outputs[0]))
            work.row_written()

    def _written_clips(self, sample: Sample, worked: Worked, output: ShardOutput) -> Result:
        """One row for each clip of a sample, or one that tells why there is none."""
        recipe = self._job.recipe
        found = worked.clips.get(sample.key)
        cuts = found.cuts if found and recipe.keeps_cuts else None
        rows = []
        for clip in found.clips if found else ():
            row = clip_row(sample, worked, clip, is_part=recipe.makes_parts, cuts=cuts)
            if clip.outcome.status == "success" and clip.members:
                try:
                    row["media"] = output.add(sample, clip.members, row)
                except ProcessError as error:
                    clip.outcome = Outcome.of_error(error, "write")
                    row = clip_row(sample, worked, clip, is_part=recipe.makes_parts, cuts=cuts)
            rows.append(
                {**row, "volume": output.volume, **output.cells(worked.judged.get(row["key"]))}
            )
        if not rows:
            if worked.outcome.status == "success":
                why = _why_no_clip(sample, recipe.split)
                worked.outcome = Outcome("dropped", "split", "no_clip", why)
            rows = [{**lost_row(sample, worked), "volume": output.volume}]
        return Result(rows, source_row(sample, worked, found) if recipe.split else None)


def _why_no_clip(sample: Sample, split: SplitOptions | None) -> str:
    detector = split.detector if split else ""
    if detector == "column" and sample.spans == []:
        return "its list of spans is empty"
    what = {"column": "span", "subtitles": "subtitle line"}.get(detector, "scene")
    return f"no {what} of it is of the length asked for"


def _written(sample: Sample, worked: Worked, output: ShardOutput) -> Result:
    """The row of a sample that stays one sample, or what an earlier run finished of it."""
    if worked.carried is not None:
        return _written_again(sample, worked.carried, worked.copied, output)
    judged = worked.judged.get(sample.key) if output.is_judged else None
    if judged is not None and worked.outcome.status == "success":
        worked = replace(worked, outcome=judged.outcome)
    row = result_row(sample, worked)
    if worked.outcome.status == "success":
        try:
            row["media"] = output.add(sample, worked.members, row)
        except ProcessError as error:
            worked.outcome = Outcome.of_error(error, "write")
            row = result_row(sample, worked)
    return Result([{**row, "volume": output.volume, **output.cells(judged)}])


def _written_again(
    sample: Sample, carried: Carried, files: list[dict[str, MemberFile]], output: ShardOutput
) -> Result:
    rows = []
    for one, members in zip(carried.rows, files, strict=True):
        row = {**one.row}
        if row["status"] == "success" and (members or not output.holds_clips):
            row["media"] = output.add(sample, members, row)
        rows.append({**row, "volume": output.volume})
    return Result(rows, carried.source)


async def _in_thread(function: Callable[..., Returned], *arguments: Any) -> Returned:
    """Run in a thread, and wait for its end even when cancelled: it writes the shard's files."""
    running = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


async def _end(works: set[SourceWork]) -> None:
    """Stop what is under way and give back what is held."""
    for work in works:
        work.task.cancel()
    await asyncio.gather(*(work.task for work in works), return_exceptions=True)
    for work in works:
        work.abandon()
