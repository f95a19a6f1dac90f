"""From one source file to its clips: found by the split step, made by the renderer, or both."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from clipmill.core.config import parse_config
from clipmill.core.edit import Edit
from clipmill.core.errors import ProcessError
from clipmill.core.outcome import Outcome
from clipmill.core.sample import KeptCut, MediaRef, Sample, Subtitle, subtitles_within
from clipmill.core.time import Span
from clipmill.formats.trainers.fit import Misfit, clip_span, fit_clip
from clipmill.io.stretch import Place, file_of
from clipmill.media.order import ClipOrder, Rendered
from clipmill.media.pool import MediaPool
from clipmill.run.clips import Clip, MemberFile, OnePass, SourceClips, fits_one_pass
from clipmill.run.recipe import Recipe
from clipmill.sources.samples import relative_place
from clipmill.steps.split.options import SplitOptions

if TYPE_CHECKING:
    from clipmill.steps.split.given import FoundClip
    from clipmill.steps.split.result import SplitResult

WHOLE = parse_config(SplitOptions, {"detector": "whole"}, "split")


class ClipMaker:
    """Finds and makes the clips of one source in media processes.

    Args:
        recipe: what to split by and how to render.
        pool: media processes.
        parent: folder that the media of existing samples lie in; may be empty.
        sha256: of the media that the clips are made of, where these lie somewhere already.
    """

    def __init__(
        self,
        recipe: Recipe,
        pool: MediaPool,
        parent: str,
        sha256: Mapping[MediaRef, str] | None = None,
    ) -> None:
        self._recipe = recipe
        self._pool = pool
        self._parent = parent
        self._sha256 = sha256 or {}
        self._splits: dict[str, OnePass] = {}
        self._lines: dict[str, tuple[Subtitle, ...]] = {}
        self.probe: dict[str, Any] | None = None
        """Facts of the source, once ``find`` has looked at it."""

    async def find(
        self, path: Place, samples: Sequence[Sample], subtitles: Sequence[Subtitle]
    ) -> dict[str, SourceClips]:
        """The clips of every row that wants this source, by the row's key.

        They are virtual, but for those that were made as they were found.

        Args:
            path: the source.
            samples: the rows.
            subtitles: lines that came with the source.

        Raises:
            ProcessError: the source cannot be read, or gives more clips than are allowed.
        """
        facts = await self._pool.call(
            "clipmill.media.probe:probe", path=path, keyframes=self._recipe.probe.keyframes
        )
        self.probe = facts.row()
        check_duration(self.probe, self._recipe.probe.max_duration_seconds)
        for sample in samples:
            self._lines[sample.key] = (*subtitles, *_at_times_of_source(sample))
        if self.probe["subtitle_languages"] and not all(self._lines.values()):
            embedded = await self._pool.call(
                "clipmill.media.embedded_subtitles:embedded_subtitles",
                path=path,
                zero_seconds=_zero_seconds(self.probe),
            )
            self._lines = {key: lines or tuple(embedded) for key, lines in self._lines.items()}
        found = {sample.key: await self._found(path, sample) for sample in samples}
        if self._recipe.render is None or self._recipe.judges:
            for sample in samples:
                self._place(sample, found[sample.key])
        return found

    async def make(
        self, path: Place, samples: Sequence[Sample], found: Mapping[str, SourceClips]
    ) -> None:
        """Make files of the clips, if the recipe renders; not of those that failed or are dropped.

        Args:
            path: the source.
            samples: the rows.
            found: their clips, which become what was made of them.
        """
        if self._recipe.render is not None:
            await self._render(self._recipe.render, path, samples, found)

    async def _found(self, path: Place, sample: Sample) -> SourceClips:
        """Where the clips of a row lie; rows that ask for the same are told the same."""
        split = self._recipe.split
        if split is None and self._recipe.fit is not None:
            return SourceClips([Clip(0, clip_span(sample.span, self.probe))])
        if split is None and sample.span is not None:
            return SourceClips([Clip(0, sample.span)])
        spans = sample.spans if split is not None and split.detector == "column" else None
        cuts = sample.cuts if split is not None and split.detector == "cuts" else ()
        if cuts is None:
            raise ProcessError(
                "no cuts were kept of it: find them first, with keep_whole",
                error_class="no_cuts_kept",
            )
        lines = self._lines[sample.key]
        asked = repr((sample.span, spans, lines if split else (), cuts))
        if asked not in self._splits:
            self._splits[asked] = await self._split(path, sample.span, spans, lines, cuts)
        result = self._splits[asked]
        clips = []
        for index, (found, made) in enumerate(zip(result.found.clips, result.made, strict=True)):
            clips.append(Clip(index, found.span, _ending(found), found.caption))
            if made is not None:
                _set_rendered(clips[-1], made)
        return SourceClips(clips, _cut_cells(result.found), float(result.found.decoded_seconds))

    async def _split(
        self,
        path: Place,
        within: Span | None,
        spans: list[list[Any]] | None,
        lines: tuple[Subtitle, ...],
        cuts: tuple[KeptCut, ...],
    ) -> OnePass:
        split, edit = self._recipe.split or WHOLE, self._recipe.render
        has_video = self.probe is not None and self.probe["video"] is not None
        at_once = has_video and within is None and not self._recipe.judges
        if edit is not None and at_once and fits_one_pass(split, edit):
            made: OnePass = await self._pool.call(
                "clipmill.run.one_pass:split_and_render",
                path=path,
                options=split,
                edit=edit,
                wanted=dict(self._recipe.write.encode_formats),
                folder=file_of(path).parent,
                name=f"{file_of(path).name}.s{len(self._splits)}",
                subtitles=lines,
                keep_bytes=int(self._recipe.run.scene_bytes),
            )
            return made
        found: SplitResult = await self._pool.call(
            "clipmill.steps.split.find:find_spans",
            path=path,
            options=split,
            within=within,
            spans=spans,
            subtitles=_one_language(lines),
            cuts=cuts,
        )
        return OnePass(found, [None] * len(found.clips))

    def _place(self, sample: Sample, found: SourceClips) -> None:
        """Say of virtual clips what their source is and, where they stay virtual, where it lies."""
        places = [
            {
                **asdict(ref),
                "path": relative_place(ref.path, self._parent),
                "sha256": self._sha256.get(ref, ref.sha256),
            }
            for ref in sample.media
        ]
        facts = _without_keyframes(self.probe)
        for clip in found.clips:
            clip.probe = facts
            clip.source_media = None if self._recipe.render else places
            if clip.span is not None:
                clip.subtitles = subtitles_within(self._lines[sample.key], clip.span)

    async def _render(
        self,
        edit: Edit,
        path: Place,
        samples: Sequence[Sample],
        found: Mapping[str, SourceClips],
    ) -> None:
        """Make files of all clips, in as many jobs as there are media processes."""
        clips: list[Clip] = []
        orders: dict[Edit, list[tuple[ClipOrder, Clip]]] = {}
        for number, sample in enumerate(samples):
            for clip in found[sample.key].clips:
                if clip.rendered is not None or clip.outcome.status != "success":
                    continue
                span, made = self._fitted(clip, edit)
                if span is not None:
                    name = f"{file_of(path).name}.{number}-{clip.index}"
                    order = ClipOrder(name, span, self._lines[sample.key])
                    orders.setdefault(made, []).append((order, clip))
                    clips.append(clip)
        await asyncio.gather(*(self._make(one, path, some) for one, some in orders.items()))
        again = set(clips) if edit.precision != "copy" else set()
        for one in found.values():
            spans = (clip.span for clip in one.clips if clip in again and clip.span)
            one.decoded_seconds += float(sum(span.duration for span in spans))
            one.encoded_seconds = sum(map(_encoded_seconds, one.clips))

    def _fitted(self, clip: Clip, edit: Edit) -> tuple[Span | None, Edit]:
        """What is shown of a clip and how it is made; no span for one that has none, or no place.

        A clip that fits no bucket ends here.
        """
        if self._recipe.fit is None:
            return clip.span, edit
        try:
            fit = fit_clip(clip.span, self.probe, self._recipe.fit, edit)
        except ProcessError as error:
            clip.outcome = Outcome.of_error(error, "fit")
            return None, edit
        if isinstance(fit, Misfit):
            clip.outcome = Outcome("dropped", "fit", fit.reason, fit.message)
            return None, edit
        return fit.span, fit.edit

    async def _make(
        self, edit: Edit, path: Place, wanted: Sequence[tuple[ClipOrder, Clip]]
    ) -> None:
        """Make the files of clips that are made alike."""
        orders = [order for order, _ in wanted]
        parts = _parts(orders, self._recipe.run.media_processes)
        jobs = [
            self._pool.call(
                "clipmill.media.render:render_clips",
                path=path,
                orders=[orders[number] for number in part],
                edit=edit,
                wanted=dict(self._recipe.write.encode_formats),
                folder=file_of(path).parent,
            )
            for part in parts
        ]
        made = [one for part in await asyncio.gather(*jobs) for one in part]
        in_time = [wanted[number] for part in parts for number in part]
        for (order, clip), rendered in zip(in_time, made, strict=True):
            if self._recipe.fit is not None and not isinstance(rendered, ProcessError):
                promised = math.ceil(order.span.duration * (edit.frame_rate or 1))
                if rendered.frame_count != promised:
                    rendered = ProcessError(
                        f"its source ends early, so it has {rendered.frame_count} frames and not "
                        f"the {promised} of its bucket",
                        error_class="clip_check_failed",
                    )
            _set_rendered(clip, rendered)


def _at_times_of_source(sample: Sample) -> list[Subtitle]:
    """The lines that a row brings; those of a clip are timed from its start."""
    if sample.span is None:
        return list(sample.subtitles)
    start = sample.span.start_seconds
    return [
        replace(
            line, start_seconds=line.start_seconds + start, end_seconds=line.end_seconds + start
        )
        for line in sample.subtitles
    ]


def _zero_seconds(probe: Mapping[str, Any]) -> Fraction:
    """When the first frame is shown by the file's own clock; of sound alone, when it begins."""
    video = probe["video"]
    if video is None or video["start_pts"] is None:
        return Fraction(probe["start_seconds"] or 0)
    base = Fraction(video["time_base_numerator"], video["time_base_denominator"])
    return Fraction(video["start_pts"]) * base


def check_duration(probe: dict[str, Any], limit: float | None) -> None:
    """Refuse a source that is longer than the recipe allows.

    Raises:
        ProcessError: it is (``too_long``).
    """
    duration = probe["duration_seconds"]
    if limit is not None and duration is not None and duration > limit:
        raise ProcessError(
            f"it lasts {duration:g} s, longer than --max-duration-seconds {limit:g}",
            error_class="too_long",
        )


def refuse_changed(place: MediaRef, sha256: str) -> None:
    """Refuse a source that is another one than its clips were found in.

    Args:
        place: where it lies, and what it was then.
        sha256: of what lies there now.

    Raises:
        ProcessError: they differ (``source_changed``).
    """
    if place.sha256 not in (None, sha256):
        raise ProcessError(
            f"{place.path} is not the file any more that its clips were found in: split it anew, "
            "or put the earlier one back",
            error_class="source_changed",
        )


def _ending(clip: FoundClip) -> Outcome:
    if clip.error_class is None:
        return Outcome()
    return Outcome("failed_to_process", "split", clip.error_class, clip.error_message)


def _cut_cells(result: SplitResult) -> list[dict[str, Any]]:
    return [
        {
            "frame_rate": rate,
            "number": cut.number,
            "seconds": float(cut.seconds),
            "pts": cut.pts,
            "score": float(cut.score),
        }
        for rate, cuts in result.cuts.items()
        for cut in cuts
    ]


def _without_keyframes(probe: dict[str, Any] | None) -> dict[str, Any] | None:
    """Facts of a source without the list of its key frames, which each clip would repeat."""
    if probe is None or probe["video"] is None:
        return probe
    return {**probe, "video": {**probe["video"], "keyframe_seconds": None}}


def _one_language(lines: Sequence[Subtitle]) -> tuple[Subtitle, ...]:
    """The lines of the first language there is."""
    return tuple(line for line in lines if line.language == lines[0].language)


def _parts(orders: Sequence[ClipOrder], jobs: int) -> list[list[int]]:
    """Numbers of orders, in order of time, cut into as many runs of like total length."""
    in_time = sorted(range(len(orders)), key=lambda n: (orders[n].span.start, orders[n].span.end))
    total = sum(order.span.duration for order in orders)
    parts: list[list[int]] = [[] for _ in range(jobs)]
    done = Fraction(0)
    for number in in_time:
        parts[min(int(done * jobs / total), jobs - 1)].append(number)
        done += orders[number].span.duration
    return [part for part in parts if part]


def _encoded_seconds(clip: Clip) -> float:
    if clip.rendered is None or clip.rendered["encoder"] is None:
        return 0.0
    span = clip.rendered["span"]
    return float(span["end_seconds"] - span["start_seconds"])


def _set_rendered(clip: Clip, rendered: Rendered | ProcessError) -> None:
    if isinstance(rendered, ProcessError):
        clip.outcome = Outcome.of_error(rendered, "render")
        return
    clip.probe = rendered.probe
    clip.subtitles = rendered.subtitles
    clip.members = {
        extension: MemberFile(file.path, file.size, file.sha256)
        for extension, file in rendered.members.items()
    }
    clip.rendered = {
        "span": rendered.actual.row(),
        "frame_count": rendered.frame_count,
        "encoder": rendered.encoder,
        "geometry": rendered.geometry,
        "notes": list(rendered.notes) or None,
    }
