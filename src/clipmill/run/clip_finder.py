"""From one source file to its clips: found by the split step, and made as they are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from clipmill.core.config import parse_config
from clipmill.core.errors import ProcessError
from clipmill.core.outcome import Outcome
from clipmill.core.sample import KeptCut, MediaRef, Sample, Subtitle
from clipmill.core.time import Span
from clipmill.formats.trainers.fit import clip_span
from clipmill.io.stretch import Place, file_of
from clipmill.media.pool import MediaPool
from clipmill.run.clips import Clip, OnePass, SourceClips, fits_one_pass
from clipmill.run.recipe import Recipe
from clipmill.run.source_checks import check_duration
from clipmill.sources.samples import relative_place
from clipmill.steps.split.options import SplitOptions

if TYPE_CHECKING:
    from clipmill.steps.split.given import FoundClip
    from clipmill.steps.split.result import SplitResult

WHOLE = parse_config(SplitOptions, {"detector": "whole"}, "split")


class ClipFinder:
    """Finds the clips of one source in media processes.

    Args:
        recipe: what to split by, and how to render what can be made as it is found.
        pool: media processes.
        parent: folder that the media of existing samples lie in; may be empty.
        sha256: of the media that the clips are made of, where these lie somewhere already.

    Attributes:
        probe: facts of the source, once ``find`` has looked at it.
        lines: subtitles of each row, by its key, at times of the source; likewise.
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
        self.lines: dict[str, tuple[Subtitle, ...]] = {}
        self.probe: dict[str, Any] | None = None

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
            self.lines[sample.key] = (*subtitles, *_at_times_of_source(sample))
        if self.probe["subtitle_languages"] and not all(self.lines.values()):
            embedded = await self._pool.call(
                "clipmill.media.embedded_subtitles:embedded_subtitles",
                path=path,
                zero_seconds=_zero_seconds(self.probe),
            )
            self.lines = {key: lines or tuple(embedded) for key, lines in self.lines.items()}
        found = {sample.key: await self._found(path, sample) for sample in samples}
        if self._recipe.render is None or self._recipe.judges:
            for sample in samples:
                self._place(sample, found[sample.key])
        return found

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
        lines = self.lines[sample.key]
        asked = repr((sample.span, spans, lines if split else (), cuts))
        if asked not in self._splits:
            self._splits[asked] = await self._split(path, sample.span, spans, lines, cuts)
        result = self._splits[asked]
        clips = []
        for index, (found, made) in enumerate(zip(result.found.clips, result.made, strict=True)):
            clips.append(Clip(index, found.span, _ending(found), found.caption))
            if made is not None:
                clips[-1].set_rendered(made)
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
        for clip in found.clips:
            clip.probe = _facts_within(self.probe, clip.span)
            clip.source_media = None if self._recipe.render else places
            if clip.span is not None:
                # Whole, since where the files of a clip begin and end is not known yet.
                lines = (one for one in self.lines[sample.key] if one.is_shown_within(clip.span))
                clip.subtitles = [one.timed_from(clip.span.start_seconds) for one in lines]


def _at_times_of_source(sample: Sample) -> list[Subtitle]:
    """The lines that a row brings; those of a clip are timed from its start."""
    if sample.span is None:
        return list(sample.subtitles)
    return [line.timed_from(-sample.span.start_seconds) for line in sample.subtitles]


def _zero_seconds(probe: Mapping[str, Any]) -> Fraction:
    """When the first frame is shown by the file's own clock; of sound alone, when it begins."""
    video = probe["video"]
    if video is None or video["start_pts"] is None:
        return Fraction(probe["start_seconds"] or 0)
    base = Fraction(video["time_base_numerator"], video["time_base_denominator"])
    return Fraction(video["start_pts"]) * base


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


_UNTOLD = ("keyframe_seconds", "frame_count", "frame_count_source", "duration_pts")


def _facts_within(probe: dict[str, Any] | None, span: Span | None) -> dict[str, Any] | None:
    """Facts of a source as they are of a stretch of it: as long, and of frames not counted yet."""
    if probe is None or span is None:
        return probe
    length = {"duration_seconds": float(span.duration)}
    video = probe["video"] and {**probe["video"], **dict.fromkeys(_UNTOLD), **length}
    sound = [{**stream, "duration_seconds": None} for stream in probe["audio"]]
    return {**probe, **length, "video": video, "audio": sound}


def _one_language(lines: Sequence[Subtitle]) -> tuple[Subtitle, ...]:
    """The lines of the first language there is."""
    return tuple(line for line in lines if line.language == lines[0].language)
