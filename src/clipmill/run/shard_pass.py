"""The pass: what a worker does with one shard, from its rows to its commit."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from clipmill.core.config import fingerprint
from clipmill.core.errors import ProcessError
from clipmill.core.outcome import Counts, Outcome
from clipmill.core.registry import load
from clipmill.core.sample import Sample
from clipmill.formats.base import Member, ShardFormat, StoredFile
from clipmill.formats.sidecar import sample_json
from clipmill.io.layout import STATS_SUFFIX
from clipmill.run.carry import carried_rows, check_still_readable
from clipmill.run.clips import MemberFile
from clipmill.run.input_rows import samples_of
from clipmill.run.job import Job
from clipmill.run.result_rows import clip_row, json_row, lost_row, result_row, source_row
from clipmill.run.rows import shard_table, source_table, table_schema
from clipmill.run.source_work import (
    CarriedRow,
    SourceWork,
    Workbench,
    Worked,
    spans_of,
)
from clipmill.run.staging import Result, Staging, carry_on_commit
from clipmill.run.stats import shard_stats
from clipmill.run.volumes import Volumes
from clipmill.sources.shard_plan import read_shard

Returned = TypeVar("Returned")

WRITE_BATCH_ROWS = 64
GATHER_SECONDS = 0.02
"""Short wait for more rows to be ready: one trip to the writer's thread costs as much as a row."""
_NO_CLIP = "{} of it is of the length asked for"


class ShardPass:
    """Fetches run ahead, rows are written in order, the commit comes last.

    Args:
        job: the run.
        bench: what all shards of this worker share.
        shard: id of the shard.
        turn: how many shards this worker began before; earlier ones go first for disk space.
        report: told how the rows of each finished sample ended.
        resumed: told how many rows an earlier worker had finished.
    """

    def __init__(
        self,
        job: Job,
        bench: Workbench,
        shard: int,
        *,
        turn: int,
        report: Callable[[Counts], None],
        resumed: Callable[[int], None],
    ) -> None:
        self._job = job
        self._bench = bench
        self._shard = shard
        self._turn = turn
        self._report = report
        self._resumed = resumed
        self._layout: ShardFormat = load("clipmill.formats", job.recipe.write.format)()
        self._has_captions = (
            job.recipe.captions_from_subtitles or "caption" in job.source.schema().names
        )
        self._started = time.time()
        self._carried: dict[int, CarriedRow] = {}

    async def run(self) -> dict[str, Any]:
        """Do the whole shard; its stats."""
        job, name = self._job, self._job.name(self._shard)
        if await _in_thread(carry_on_commit, job.scratch / name, job.output, job.run):
            stats: dict[str, Any] = job.output.read_json(f"{name}{STATS_SUFFIX}")
            return stats
        async with self._bench.reading:
            inputs = await asyncio.to_thread(
                read_shard, job.source, job.plan, self._shard - job.first_shard
            )
        numbers = job.rows_of(self._shard)
        if len(numbers) < inputs.num_rows:
            inputs = inputs.take(pa.array(numbers, pa.int64()))
        retry = job.retry.get(self._shard)
        staging = Staging(
            job.scratch,
            name,
            fingerprint([job.run, job.fingerprint, sorted(retry) if retry else None, len(numbers)]),
        )
        if retry:
            carried = await asyncio.to_thread(carried_rows, job, self._layout, name, retry)
            self._carried = {
                place: carried[row] for place, row in enumerate(numbers) if row in carried
            }
            check_still_readable(inputs, self._carried)
        try:
            return await self._work(inputs, numbers, staging)
        finally:
            staging.close()

    async def _work(self, inputs: pa.Table, numbers: list[int], staging: Staging) -> dict[str, Any]:
        volumes = Volumes(
            self._layout,
            staging.files,
            self._job.name(self._shard),
            limit=self._job.recipe.write.shard_bytes,
            positions=staging.position,
        )
        samples = list(samples_of(inputs, numbers, self._shard, self._job.recipe.write))
        results = staging.finished
        self._resumed(len(results))
        try:
            await self._rows(samples, results, staging, volumes)
            return await _in_thread(self._finish, inputs, results, staging, volumes)
        except BaseException:
            volumes.abandon()
            raise

    async def _rows(
        self,
        samples: list[Sample],
        results: list[Result],
        staging: Staging,
        volumes: Volumes,
    ) -> None:
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
                    finished = await _in_thread(self._write, batch, staging, volumes)
                finally:
                    self._bench.stages.write -= len(batch)
                results += finished
                for (_, work, worked), result in zip(batch, finished, strict=True):
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
        self, batch: list[tuple[Sample, SourceWork, Worked]], staging: Staging, volumes: Volumes
    ) -> list[Result]:
        finished = []
        for sample, work, worked in batch:
            if worked.carried is None and self._job.recipe.makes_clips:
                result = self._write_clips(sample, worked, volumes)
            else:
                result = Result([self._write_sample(sample, worked, volumes)])
            staging.journal(result, volumes.positions)
            work.row_written()
            finished.append(result)
        return finished

    def _write_sample(self, sample: Sample, worked: Worked, volumes: Volumes) -> dict[str, Any]:
        row = {**worked.carried} if worked.carried else result_row(sample, worked)
        if worked.outcome.status == "success":
            try:
                row["media"] = self._add(sample, worked.members, row, volumes)
            except ProcessError as error:
                worked.outcome = Outcome.of_error(error, "write")
                row = result_row(sample, worked)
        return {**row, "volume": volumes.current}

    def _write_clips(self, sample: Sample, worked: Worked, volumes: Volumes) -> Result:
        """One row for each clip of a sample, or one that tells why there is none."""
        recipe = self._job.recipe
        found = worked.clips.get(sample.key)
        cuts = found.cuts if found and recipe.keeps_cuts else None
        rows = []
        for clip in found.clips if found else ():
            row = clip_row(sample, clip, is_part=recipe.makes_parts, cuts=cuts)
            if clip.outcome.status == "success" and clip.members:
                try:
                    row["media"] = self._add(sample, clip.members, row, volumes)
                except ProcessError as error:
                    clip.outcome = Outcome.of_error(error, "write")
                    row = clip_row(sample, clip, is_part=recipe.makes_parts, cuts=cuts)
            rows.append({**row, "volume": volumes.current})
        if not rows:
            if worked.outcome.status == "success":
                what = "no subtitle line" if recipe.captions_from_subtitles else "no scene"
                worked.outcome = Outcome("dropped", "split", "no_clip", _NO_CLIP.format(what))
            rows = [{**lost_row(sample, worked), "volume": volumes.current}]
        return Result(rows, source_row(sample, worked, found) if recipe.split else None)

    def _add(
        self,
        sample: Sample,
        files: Mapping[str, MemberFile],
        row: dict[str, Any],
        volumes: Volumes,
    ) -> dict[str, Any]:
        """Write one sample's members; the ``media`` struct that tells where they lie."""
        members: dict[str, Member] = {
            extension: StoredFile(file.path, file.sha256) for extension, file in files.items()
        }
        if self._layout.keeps_text:
            if self._has_captions:
                members["txt"] = (row.get("caption") or sample.caption or "").encode()
            members["json"] = sample_json(json_row(sample, row, has_captions=self._has_captions))
        size = sum(file.size for file in files.values())
        places = volumes.add(row["key"], members, size)
        return {
            extension: {"offset": place.offset, "size": place.size, "sha256": place.sha256}
            for extension, place in places.items()
            if extension in files
        }

    def _finish(
        self,
        inputs: pa.Table,
        results: list[Result],
        staging: Staging,
        volumes: Volumes,
    ) -> dict[str, Any]:
        job, name = self._job, self._job.name(self._shard)
        rows = [row for result in results for row in result.rows]
        counts = [len(result.rows) for result in results]
        given = inputs if len(rows) == len(results) else _repeated(inputs, counts)
        table = shard_table(given, rows, table_schema(inputs.schema, job.recipe, rows))
        names = volumes.finish(table, [row["volume"] for row in rows])
        sources = [result.source for result in results if result.source is not None]
        if sources:
            names.append(source_table(sources, staging.files, name))
        stats = shard_stats(results, self._started, job.fingerprint, volumes.current + 1)
        (staging.files / f"{name}{STATS_SUFFIX}").write_text(json.dumps(stats, indent=2) + "\n")
        staging.commit(job.output, job.run, [*names, f"{name}{STATS_SUFFIX}"])
        return stats


def _repeated(table: pa.Table, counts: list[int]) -> pa.Table:
    """Each row as often as there are clips of it."""
    return table.take(np.repeat(np.arange(len(counts)), counts))


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
