"""One shard of one dataset under way: what is written of its rows, until it is committed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa

from clipmill.core.config import fingerprint
from clipmill.core.errors import InputError, ProcessError
from clipmill.core.registry import load
from clipmill.core.sample import MediaRef, Sample
from clipmill.formats.base import Member, ShardFormat, StoredFile, member_size
from clipmill.formats.sidecar import TEXTS, sample_json
from clipmill.io.filesystem import open_filesystem
from clipmill.io.layout import STATS_SUFFIX
from clipmill.io.parquet_cells import ParquetCells
from clipmill.run.carry import Carried, carried_rows
from clipmill.run.clips import Judged, MemberFile
from clipmill.run.job import Job
from clipmill.run.output_columns import OutputColumns
from clipmill.run.result_rows import json_row
from clipmill.run.rows import shard_table, source_table, table_schema
from clipmill.run.staging import Result, Staging
from clipmill.run.stats import shard_stats
from clipmill.run.volumes import Volumes


class ShardOutput:
    """Takes finished samples in order, journals each, and commits them together.

    Args:
        job: the run, or the one that keeps its sources.
        shard: id of the shard.
        samples: what its rows are of, in order.
        started: when the shard was begun, in seconds since the epoch.
    """

    def __init__(self, job: Job, shard: int, samples: list[Sample], started: float) -> None:
        self._job = job
        self._name = job.name(shard)
        self._retry = job.retry.get(shard)
        self._samples = samples
        self._started = started
        self._layout: ShardFormat = load("clipmill.formats", job.recipe.write.format)()
        self._has_captions = (
            job.recipe.captions_from_subtitles or "caption" in job.source.schema().names
        )
        retried = sorted(self._retry) if self._retry else None
        self._staging = Staging(
            job.scratch,
            self._name,
            fingerprint([job.run, job.fingerprint, retried, len(samples)]),
        )
        self._columns = OutputColumns(job, self._name)
        self._cells = ParquetCells()
        self.results = self._staging.finished
        """Finished samples: those of an earlier worker, then those of ``finish``."""

    def carried(self, numbers: list[int]) -> dict[int, Carried]:
        """What a retry leaves as it is, by place in the shard.

        Args:
            numbers: of the shard's rows, by place.

        Raises:
            ShardError: the shard is damaged.
        """
        if not self._retry:
            return {}
        stay = {place for place, row in enumerate(numbers) if row not in self._retry}
        return carried_rows(self._job, self._layout, self._name, self._samples, stay)

    def begin(self, done: int) -> None:
        """Go on after the first ``done`` samples; whatever was finished beyond is forgotten."""
        self._staging.cut_to(done)
        self.results = self._staging.finished
        self._volumes = Volumes(
            self._layout,
            self._staging.files,
            self._name,
            limit=self._job.recipe.write.shard_bytes,
            positions=self._staging.position,
        )

    def add(
        self, sample: Sample, files: Mapping[str, MemberFile], row: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Write the members of a row; the ``media`` struct that tells where they lie.

        Raises:
            ProcessError: a member is too large for the layout, or is not there.
        """
        members: dict[str, Member] = {
            extension: StoredFile(file.path, file.sha256) for extension, file in files.items()
        }
        for extension, ref in sample.members.items():
            if extension not in files:
                members[extension] = self._member(extension, ref)
        size = sum(member_size(member) for member in members.values())
        texts = self._layout.texts
        if "txt" in texts and (self._has_captions or self._layout.needs_captions):
            members["txt"] = (row.get("caption") or sample.caption or "").encode()
        if "json" in texts:
            members["json"] = sample_json(json_row(sample, row, has_captions=self._has_captions))
        places = self._volumes.add(row["key"], members, size)
        return {
            extension: {"offset": place.offset, "size": place.size, "sha256": place.sha256}
            for extension, place in places.items()
            if extension not in TEXTS
        }

    def _member(self, extension: str, ref: MediaRef | None) -> bytes:
        """A file that goes with a sample, from the cell that it lies in."""
        if ref is not None and ref.row is not None:
            filesystem, path = open_filesystem(ref.path)
            with suppress(InputError):
                return self._cells.read(filesystem, path, extension, ref.row).to_pybytes()
        raise ProcessError(
            f"it has no {extension}: the step that makes it failed or has not seen this sample. "
            "Annotate it, select those that have it, or leave the column out of --columns",
            error_class="member_missing",
        )

    @property
    def holds_clips(self) -> bool:
        """Whether its rows are clips, of which those without media are in its table alone."""
        return self._job.recipe.makes_clips

    @property
    def volume(self) -> int:
        """Number of the volume that rows are written to."""
        return self._volumes.current

    @property
    def is_judged(self) -> bool:
        """Whether steps and conditions have their say in its rows."""
        return self._job.recipe.judges

    def cells(self, judged: Judged | None) -> dict[str, Any]:
        """What steps say of a row, to be journalled with it."""
        if judged is None or not judged.cells:
            return {}
        return {"cells": self._columns.as_texts(judged.cells)}

    def finish(self, result: Result) -> None:
        """Take note of a sample that is done; it survives the death of this process."""
        self._staging.journal(result, self._volumes.positions)
        self.results.append(result)

    def commit(self, inputs: pa.Table) -> dict[str, Any]:
        """Write tables and stats, and make the shard part of its dataset; the stats.

        Args:
            inputs: the shard's rows, as the source gave them.
        """
        job, name, files = self._job, self._name, self._staging.files
        rows = [row for result in self.results for row in result.rows]
        counts = [len(result.rows) for result in self.results]
        given = inputs if len(rows) == len(counts) else _repeated(inputs, counts)
        table = shard_table(given, rows, table_schema(inputs.schema, job.recipe, rows))
        names = self._volumes.finish(table, [row["volume"] for row in rows])
        sources = [result.source for result in self.results if result.source is not None]
        if sources:
            names.append(source_table(sources, files, name))
        volumes = self._volumes.current + 1
        stats = shard_stats(self.results, self._started, job.fingerprint, volumes)
        stats["schema"] = fingerprint(str(table.schema))  # spares readers a look at every table
        (files / f"{name}{STATS_SUFFIX}").write_text(json.dumps(stats, indent=2) + "\n")
        names += self._columns.write(files, table, rows, fingerprint(stats))
        self._staging.commit(job.output, job.run, [*names, f"{name}{STATS_SUFFIX}"])
        return stats

    def abandon(self) -> None:
        """Close every file for a later worker to go on with."""
        self._volumes.abandon()

    def close(self) -> None:
        """Close the journal."""
        self._staging.close()


def _repeated(table: pa.Table, counts: list[int]) -> pa.Table:
    """Each row as often as there are clips of it."""
    return table.take(np.repeat(np.arange(len(counts)), counts))
