"""From one source to media members on local disk, shared by all rows of a shard that want it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipmill.core.errors import SampleError
from clipmill.core.outcome import Outcome
from clipmill.core.sample import Sample, refuse_changed
from clipmill.fetch.base import Fetched, FetchRequest
from clipmill.fetch.failures import failure
from clipmill.io.stretch import Place, file_of
from clipmill.media.order import ClipOrder
from clipmill.run.budget import Holding
from clipmill.run.carried_copies import CarriedCopies
from clipmill.run.carry import Carried
from clipmill.run.clip_finder import ClipFinder
from clipmill.run.clip_maker import ClipMaker
from clipmill.run.clip_rows import ClipRows
from clipmill.run.clips import Clip, Judged, MemberFile, making_of
from clipmill.run.result_rows import json_row, result_row
from clipmill.run.rows import fetch_row
from clipmill.run.source_checks import check_duration
from clipmill.run.wanted import all_spans, files_for_clips, pick_media
from clipmill.run.workbench import Workbench
from clipmill.run.worked import Worked

if TYPE_CHECKING:
    from clipmill.run.judging import Judge


class SourceWork:
    """Fetches and prepares one source once; its files live until every row that wants them is done.

    Args:
        bench: shared means.
        samples: rows that want this source, by their numbers in the shard, in order.
        turn: place of the shard in line for disk space.
        carried: what is finished, when there is nothing to do but to copy it: of the dataset, and
            of the one that keeps sources.
    """

    def __init__(
        self,
        bench: Workbench,
        samples: dict[int, Sample],
        turn: int,
        carried: tuple[Carried, Carried | None] | None = None,
    ) -> None:
        self._bench = bench
        self._samples = list(samples.values())
        self._rows = list(samples)
        self._turn = turn
        self._target: Path | None = None
        self._others: set[Path] = set()
        self._holding: Holding = bench.budget.open((turn, self._rows[0]))
        self.task = asyncio.create_task(self._begin(carried))

    def row_written(self) -> None:
        """One row is in its shard; after the last one the files go. Called from the writer."""
        self._rows.pop(0)
        if not self._rows:
            self._remove_files()

    def free_budget(self) -> None:
        """Let others use the disk once the last row is written."""
        if self._rows:
            self._holding.needed_next_at((self._turn, self._rows[0]))
        else:
            self._holding.release()

    def abandon(self) -> None:
        """Give back whatever is still held, when the shard ends before its last row."""
        if self._rows:
            self._rows.clear()
            self._remove_files()
        self._holding.release()

    def _remove_files(self) -> None:
        if self._target is None:
            return
        for path in self._others - {self._target}:
            path.unlink(missing_ok=True)
        self._bench.files.give_back(self._target)

    async def _begin(self, carried: tuple[Carried, Carried | None] | None) -> Worked:
        async with self._bench.unprobed:
            # Not taken before: until now others have given files back.
            target = self._target = self._bench.files.take()
            if carried is None:
                return await self._work(target)
            async with self._bench.slots:
                copies = CarriedCopies(self._bench.router, self._holding, self._others)
                return await copies.take(*carried, target)

    async def _work(self, target: Path) -> Worked:
        worked = Worked()
        if damage := self._samples[0].damage:
            worked.outcome = Outcome.of_error(failure("damaged_input", damage), "read")
            worked.kept = replace(worked)
            return worked
        stages = self._bench.stages
        step = "download"
        try:
            async with self._bench.slots:
                stages.fetch += 1
                try:
                    fetched = await self._fetch(target)
                finally:
                    stages.fetch -= 1
            worked.fetch = {**fetch_row(fetched), "fetched_at": round(time.time() * 1000)}
            worked.subtitles = fetched.subtitles
            worked.info = fetched.info
            if fetched.path is not None:
                step = "probe"
                stages.probe += 1
                try:
                    await self._process(fetched, worked, target.parent)
                finally:
                    stages.probe -= 1
        except SampleError as error:
            worked.outcome = Outcome.of_error(error, step)
            worked.clips = {}  # found perhaps, but none was made
            if facts := error.details.get("probe"):
                worked.probe = facts
            if worked.fetch is None:
                worked.fetch = _partial_fetch(error)
            if step != "download":  # a fetch that failed leaves nothing
                self._others.update(target.parent.glob(f"{target.name}?*"))
        if self._bench.recipe.keep is not None and worked.kept is None:
            worked.kept = replace(worked)
        return worked

    async def _process(self, fetched: Fetched, worked: Worked, folder: Path) -> None:
        if self._bench.recipe.keep is not None:
            await self._prepare(fetched, worked, folder)
            worked.kept = replace(worked)
            fetched.path, fetched.audio_path = files_for_clips(worked.members, self._bench.recipe)
            worked.members = {}
        if self._bench.recipe.makes_clips:
            await self._make_clips(fetched, worked)
        else:
            await self._prepare(fetched, worked, folder)
            if (judge := self._bench.judge) is not None:
                await self._judge(judge, await self._with_sound(fetched), worked)

    async def _fetch(self, target: Path) -> Fetched:
        first = self._samples[0]
        recipe = self._bench.recipe
        modalities = recipe.fetching.modalities
        main, audio = pick_media(first.media, modalities)
        request = FetchRequest(
            url=first.url or "",
            target=target,
            modalities=modalities,
            spans=all_spans(self._samples, recipe.split),
            media=main,
            in_place=recipe.only_reads_sources,
        )
        fetched = await self._bench.router.fetch(request, self._holding)
        if audio is not None:
            sound = target.with_name(f"{target.name}.sound")
            request = replace(request, target=sound, media=audio, spans=())
            fetched.audio_path = (await self._bench.router.fetch(request, self._holding)).path
        if fetched.audio_path is not None:
            self._others.add(file_of(fetched.audio_path))
        return fetched

    async def _prepare(self, fetched: Fetched, worked: Worked, folder: Path) -> None:
        prepared = await self._bench.pool.call(
            "clipmill.media.prepare:prepare",
            path=fetched.path,
            audio_path=fetched.audio_path,
            wanted=dict(self._bench.recipe.fetching.write.encode_formats),
            keep_keyframes=self._bench.recipe.probe.keyframes,
            folder=folder,
        )
        worked.probe = prepared.probe
        check_duration(prepared.probe, self._bench.recipe.probe.max_duration_seconds)
        for extension, file in prepared.members.items():
            self._others.add(file.path)
            known = fetched.sha256 if file.path == fetched.path else file.sha256
            worked.members[extension] = MemberFile(file.path, file.size, known)

    async def _with_sound(self, fetched: Fetched) -> Place:
        """The source as one file, joined with its sound where that came by itself."""
        path = fetched.path
        assert path is not None
        if fetched.audio_path is None:
            return path
        joined = file_of(path).with_name(f"{file_of(path).name}.joined")
        self._others.add(joined)
        await self._bench.pool.call(
            "clipmill.media.remux:remux",
            source=path,
            target=joined,
            extension="mkv",
            audio_source=fetched.audio_path,
        )
        return joined

    async def _make_clips(self, fetched: Fetched, worked: Worked) -> None:
        main, _ = pick_media(self._samples[0].media, self._bench.recipe.fetching.modalities)
        if main is not None:
            refuse_changed(main, fetched.sha256)
        path = await self._with_sound(fetched)
        known = {} if main is None else {main: fetched.sha256}
        recipe, pool = self._bench.recipe, self._bench.pool
        judge = self._bench.judge
        finder = ClipFinder(recipe, pool, self._bench.parent, known, judge)
        worked.clips = await finder.find(path, self._samples, worked.subtitles, worked.info)
        worked.probe = finder.probe
        if judge is not None:
            await self._judge_clips(judge, path, worked, finder.rows)
        maker = ClipMaker(recipe, pool, finder.rows)
        await maker.make(path, self._samples, worked.clips)
        files = (clip.members.values() for one in worked.clips.values() for clip in one.clips)
        self._others.update(file.path for members in files for file in members)

    async def _judge_clips(
        self, judge: Judge, path: Place, worked: Worked, rows: Mapping[str, ClipRows]
    ) -> None:
        """Let steps see the clips of the source, and drop those that a condition is against."""
        clips: dict[str, Clip] = {}
        for sample in self._samples:
            known = rows[sample.key]
            for clip in worked.clips[sample.key].clips:
                if clip.outcome.status == "success":
                    judged = known.judged(clip)
                    if clip.span is not None:
                        name = f"{file_of(path).name}.j{len(clips)}"
                        judged.order = ClipOrder(name, clip.span, known.lines)
                    worked.judged[judged.key] = judged
                    clips[judged.key] = clip
        bench, tried = self._bench, list(worked.judged.values())
        making = making_of(bench.recipe, file_of(path).parent)
        seconds = await judge.judge(bench.pool, path, tried, bench.files.folder, making)
        for key, clip in clips.items():
            judged = worked.judged[key]
            clip.outcome, clip.made = judged.outcome, clip.made or judged.made
        if self._samples:
            worked.clips[self._samples[0].key].decoded_seconds += seconds

    async def _judge(self, judge: Judge, path: Place, worked: Worked) -> None:
        """Let steps see the samples, and drop those that a condition is against."""
        for sample in self._samples:
            row = result_row(sample, worked)
            known = json_row(sample, row, has_captions=sample.caption is not None)
            worked.judged[sample.key] = Judged(sample.key, None, known)
        bench, tried = self._bench, list(worked.judged.values())
        await judge.judge(bench.pool, path, tried, bench.files.folder)


def _partial_fetch(error: SampleError) -> dict[str, Any]:
    names = ("fetcher", "final_url", "http_status", "attempts", "seconds", "downloaded_bytes")
    return {name: error.details.get(name) for name in names}
