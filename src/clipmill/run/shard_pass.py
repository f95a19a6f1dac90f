"""The pass: what a worker does with one shard, from its rows to its commit."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pyarrow as pa

from clipmill.core.config import fingerprint
from clipmill.core.errors import ProcessError
from clipmill.core.keys import sample_key, sample_uid
from clipmill.core.outcome import Outcome
from clipmill.core.redact import plain_text, redact_url
from clipmill.core.registry import load
from clipmill.core.sample import MediaRef, Sample
from clipmill.formats.base import Member, ShardFormat, StoredFile
from clipmill.formats.sidecar import sample_json
from clipmill.io.layout import STATS_SUFFIX
from clipmill.run.carry import carried_rows
from clipmill.run.job import Job
from clipmill.run.recipe import ORIGINAL
from clipmill.run.rows import info_row, shard_table, table_schema
from clipmill.run.source_work import CarriedRow, SourceWork, Workbench, Worked, spans_of
from clipmill.run.staging import Staging, carry_on_commit
from clipmill.run.stats import shard_stats
from clipmill.run.volumes import Volumes
from clipmill.sources.base import MEDIA_COLUMN
from clipmill.sources.shard_plan import read_shard

Result = TypeVar("Result")

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
        report: told of each finished row.
        resumed: told how many rows an earlier worker had finished.
    """

    def __init__(
        self,
        job: Job,
        bench: Workbench,
        shard: int,
        *,
        turn: int,
        report: Callable[[str, str | None, int], None],
        resumed: Callable[[int], None],
    ) -> None:
        self._job = job
        self._bench = bench
        self._shard = shard
        self._turn = turn
        self._report = report
        self._resumed = resumed
        self._layout: ShardFormat = load("clipmill.formats", job.recipe.write.format)()
        self._has_captions = "caption" in job.source.schema().names
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
        retry = job.retry.get(self._shard)
        staging = Staging(
            job.scratch,
            name,
            fingerprint([job.run, job.fingerprint, sorted(retry) if retry else None]),
        )
        if retry:
            self._carried = await asyncio.to_thread(carried_rows, job, self._layout, name, retry)
        try:
            return await self._work(inputs, staging)
        finally:
            staging.close()

    async def _work(self, inputs: pa.Table, staging: Staging) -> dict[str, Any]:
        volumes = Volumes(
            self._layout,
            staging.files,
            self._job.name(self._shard),
            limit=self._job.recipe.write.shard_bytes,
            positions=staging.position,
        )
        samples = list(_samples(inputs, self._shard, self._job))
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
        results: list[dict[str, Any]],
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
                    results += await _in_thread(self._write, batch, staging, volumes)
                finally:
                    self._bench.stages.write -= len(batch)
                for _, work, worked in batch:
                    work.free_budget()
                    if worked.carried is None:
                        downloaded = (worked.fetch or {}).get("downloaded_bytes") or 0
                        self._report(worked.outcome.status, worked.outcome.error_class, downloaded)
        finally:
            await _end(set(works.values()))

    def _start_sources(self, samples: list[Sample], first: int) -> dict[int, SourceWork]:
        """One work per distinct source of the rows still to do, shared by its rows."""
        rows_of: dict[Any, list[int]] = {}
        for row in range(first, len(samples)):
            shared = None if row in self._carried else _shared_source(samples[row])
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

    def _write(
        self, batch: list[tuple[Sample, SourceWork, Worked]], staging: Staging, volumes: Volumes
    ) -> list[dict[str, Any]]:
        rows = []
        for sample, work, worked in batch:
            row = {**worked.carried} if worked.carried else _result_row(sample, worked)
            if worked.outcome.status == "success":
                try:
                    row["media"] = self._add(sample, worked, row, volumes)
                except ProcessError as error:
                    worked.outcome = Outcome.of_error(error, "write")
                    row = _result_row(sample, worked)
            row["volume"] = volumes.current
            staging.journal(row, volumes.positions)
            work.row_written()
            rows.append(row)
        return rows

    def _add(
        self, sample: Sample, worked: Worked, row: dict[str, Any], volumes: Volumes
    ) -> dict[str, Any]:
        """Write one sample's members; the ``media`` struct that tells where they lie."""
        members: dict[str, Member] = {
            extension: StoredFile(file.path, file.sha256)
            for extension, file in worked.members.items()
        }
        if self._layout.keeps_text:
            if self._has_captions:
                members["txt"] = (sample.caption or "").encode()
            members["json"] = sample_json({**sample.columns, **row, **_given(sample)})
        size = sum(file.size for file in worked.members.values())
        places = volumes.add(sample.key, members, size)
        return {
            extension: {"offset": place.offset, "size": place.size, "sha256": place.sha256}
            for extension, place in places.items()
            if extension in worked.members
        }

    def _finish(
        self,
        inputs: pa.Table,
        results: list[dict[str, Any]],
        staging: Staging,
        volumes: Volumes,
    ) -> dict[str, Any]:
        wanted = list(self._job.recipe.write.encode_formats.values())
        if ORIGINAL in wanted:
            wanted = sorted({name for row in results for name in row.get("media") or ()})
        table = shard_table(inputs, results, table_schema(inputs.schema, wanted))
        names = volumes.finish(table, [row["volume"] for row in results])
        name = self._job.name(self._shard)
        stats = shard_stats(results, self._started, self._job.fingerprint, volumes.current + 1)
        (staging.files / f"{name}{STATS_SUFFIX}").write_text(json.dumps(stats, indent=2) + "\n")
        staging.commit(self._job.output, self._job.run, [*names, f"{name}{STATS_SUFFIX}"])
        return stats


def _shared_source(sample: Sample) -> Any:
    """What rows with the same source have in common; None for a row that must stand alone."""
    try:
        spans_of(sample)
    except ProcessError:
        return None  # its failure is its own
    return (sample.url, sample.media) if sample.url else None


async def _in_thread(function: Callable[..., Result], *arguments: Any) -> Result:
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


def _samples(inputs: pa.Table, shard: int, job: Job) -> Iterator[Sample]:
    write = job.recipe.write
    special = ("url", "caption", "clips", MEDIA_COLUMN)
    for row, values in enumerate(_python_rows(inputs)):
        media = tuple(MediaRef(**ref) for ref in values.get(MEDIA_COLUMN) or ())
        url = values.get("url")
        spans = values.get("clips")
        yield Sample(
            key=sample_key(shard, row, write.samples_per_shard, write.shard_digits),
            uid=sample_uid(url or (media[0].path if media else ""), spans),
            url=url,
            caption=values.get("caption"),
            spans=spans,
            columns={name: value for name, value in values.items() if name not in special},
            media=media,
        )


def _python_rows(inputs: pa.Table) -> Iterator[dict[str, Any]]:
    """Rows as Python values; dates that Python does not know become their number."""
    columns = {}
    for name, column in zip(inputs.column_names, inputs.columns, strict=True):
        try:
            columns[name] = column.to_pylist()
        except (OverflowError, ValueError, pa.ArrowInvalid):  # beyond year 9999, unknown zone
            narrow = column.cast(pa.int32()) if pa.types.is_date32(column.type) else column
            columns[name] = narrow.cast(pa.int64()).to_pylist()
    for number in range(inputs.num_rows):
        yield {name: values[number] for name, values in columns.items()}


def _given(sample: Sample) -> dict[str, Any]:
    given: dict[str, Any] = {"caption": sample.caption} if sample.caption is not None else {}
    if sample.spans is not None:
        given["clips"] = sample.spans
    return given


def _result_row(sample: Sample, worked: Worked) -> dict[str, Any]:
    outcome = worked.outcome
    info = worked.info
    info_text = None if info is None else plain_text(json.dumps(info, ensure_ascii=False))
    return {
        "key": sample.key,
        "uid": sample.uid,
        "status": outcome.status,
        "error_step": outcome.error_step,
        "error_class": outcome.error_class,
        "error_message": outcome.error_message and redact_url(outcome.error_message),
        "retryable": outcome.retryable,
        "url": None if sample.url is None else plain_text(redact_url(sample.url)),
        "fetch": worked.fetch,
        "probe": worked.probe,
        "media": None,
        "subtitles": [
            {
                "language": line.language,
                "start_seconds": line.start_seconds,
                "end_seconds": line.end_seconds,
                "text": plain_text(line.text),
                "automatic": line.automatic,
            }
            for line in worked.subtitles
        ],
        "info": info_row(info, info_text),
    }
