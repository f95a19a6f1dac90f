"""From one source file to its clips: found by the split step, judged and made as they are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from clipmill.core.config import parse_config
from clipmill.core.errors import ProcessError
from clipmill.core.outcome import Outcome
from clipmill.core.sample import KeptCut, MediaRef, Sample, Subtitle
from clipmill.formats.trainers.fit import clip_span
from clipmill.io.stretch import Place, file_of
from clipmill.media.pool import MediaPool
from clipmill.run.clip_rows import ClipRows
from clipmill.run.clips import Clip, OnePass, SourceClips, making_of, sees_all
from clipmill.run.recipe import Recipe
from clipmill.run.source_checks import check_duration
from clipmill.sources.samples import relative_place
from clipmill.steps.split.options import SplitOptions

if TYPE_CHECKING:
    from clipmill.run.judging import Judge
    from clipmill.run.trial import TrialOrder
    from clipmill.steps.split.given import FoundClip
    from clipmill.steps.split.result import SplitResult

_ENDED = ("decoder_crashed", "decoder_hung", "step_crashed", "step_hung", "out_of_memory")
"""How a media process ends, be it by the file or by a step."""
WHOLE = parse_config(SplitOptions, {"detector": "whole"}, "split")


class ClipFinder:
    """Finds the clips of one source in media processes.

    Args:
        recipe: what to split by, and how to render what can be made as it is found.
        pool: media processes.
        parent: folder that the media of existing samples lie in; may be empty.
        sha256: of the media that the clips are made of, where these lie somewhere already.
        judge: the recipe's steps and conditions, if it has any.

    Attributes:
        probe: facts of the source, once ``find`` has looked at it.
        rows: what is known of each row's clips, by its key; likewise.
    """

    def __init__(
        self,
        recipe: Recipe,
        pool: MediaPool,
        parent: str,
        sha256: Mapping[MediaRef, str] | None = None,
        judge: Judge | None = None,
    ) -> None:
        self._recipe = recipe
        self._pool = pool
        self._parent = parent
        self._sha256 = sha256 or {}
        self._judge = judge
        self._splits: dict[str, OnePass] = {}
        self.rows: dict[str, ClipRows] = {}
        self.probe: dict[str, Any] | None = None

    async def find(
        self,
        path: Place,
        samples: Sequence[Sample],
        subtitles: Sequence[Subtitle],
        info: Mapping[str, Any] | None,
    ) -> dict[str, SourceClips]:
        """The clips of every row that wants this source, by the row's key.

        They are virtual; some may have been judged and made as they were found.

        Args:
            path: the source.
            samples: the rows.
            subtitles: lines that came with the source.
            info: the metadata of its site.

        Raises:
            ProcessError: the source cannot be read, or gives more clips than are allowed.
        """
        facts = await self._pool.call(
            "clipmill.media.probe:probe", path=path, keyframes=self._recipe.probe.keyframes
        )
        self.probe = facts.row()
        check_duration(self.probe, self._recipe.probe.max_duration_seconds)
        lines = {one.key: (*subtitles, *_at_times_of_source(one)) for one in samples}
        if self.probe["subtitle_languages"] and not all(lines.values()):
            embedded = await self._pool.call(
                "clipmill.media.embedded_subtitles:embedded_subtitles",
                path=path,
                zero_seconds=_zero_seconds(self.probe),
            )
            lines = {key: told or tuple(embedded) for key, told in lines.items()}
        for sample in samples:
            places, is_part = self._places(sample), self._recipe.makes_parts
            self.rows[sample.key] = ClipRows(
                sample, self.probe, lines[sample.key], places, info, is_part
            )
        alone = len(samples) == 1  # what is said of a clip may rest on other columns of its row
        found = {one.key: await self._found(path, one, judges=alone) for one in samples}
        if self._recipe.render is None or self._recipe.judges:
            for key, one in found.items():
                for clip in one.clips:
                    self.rows[key].place(clip)
        return found

    def _places(self, sample: Sample) -> list[dict[str, Any]] | None:
        """Where the source lies, for clips that stay virtual."""
        if self._recipe.render is not None:
            return None
        return [
            {
                **asdict(ref),
                "path": relative_place(ref.path, self._parent),
                "sha256": self._sha256.get(ref, ref.sha256),
            }
            for ref in sample.media
        ]

    async def _found(self, path: Place, sample: Sample, *, judges: bool) -> SourceClips:
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
        rows = self.rows[sample.key]
        asked = repr((sample.span, spans, rows.lines if split else (), cuts))
        if asked not in self._splits:
            folder = file_of(path).parent
            trial = self._judge.trial(rows, folder) if self._judge and judges else None
            self._splits[asked] = await self._split(path, rows, spans, cuts, trial)
        result = self._splits[asked]
        clips = [
            Clip(index, one.span, _ending(one), one.caption, cells=cells, made=made)
            for index, (one, cells, made) in enumerate(
                zip(result.found.clips, result.cells, result.made, strict=True)
            )
        ]
        return SourceClips(clips, _cut_cells(result.found), float(result.found.decoded_seconds))

    async def _split(
        self,
        path: Place,
        rows: ClipRows,
        spans: list[list[Any]] | None,
        cuts: tuple[KeptCut, ...],
        trial: TrialOrder | None,
    ) -> OnePass:
        """Find the clips, and judge and make them by the same decode as far as that can be."""
        split, within = self._recipe.split or WHOLE, rows.sample.span
        has_video = self.probe is not None and self.probe["video"] is not None
        if has_video and within is None and sees_all(split):
            one = await self._find_and_make(path, rows, split, trial)
            if one is not None:
                return one
        found: SplitResult = await self._pool.call(
            "clipmill.steps.split.find:find_spans",
            path=path,
            options=split,
            within=within,
            spans=spans,
            subtitles=_one_language(rows.lines),
            cuts=cuts,
        )
        count = len(found.clips)
        return OnePass(found, [None] * count, [{} for _ in range(count)])

    async def _find_and_make(
        self, path: Place, rows: ClipRows, split: SplitOptions, trial: TrialOrder | None
    ) -> OnePass | None:
        """Do all that one decode can do besides finding clips; None when it did nothing."""
        folder, name = file_of(path).parent, f"{file_of(path).name}.s{len(self._splits)}"
        told = self._judge is None if trial is None else trial.is_all
        making = making_of(self._recipe, folder) if told else None
        if making is None and (trial is None or not trial.looks):
            return None
        try:
            one: OnePass = await self._pool.call(
                "clipmill.run.one_pass:find_and_make",
                path=path,
                options=split,
                trial=trial,
                making=making,
                name=name,
                subtitles=rows.lines,
                keep_bytes=int(self._recipe.run.scene_bytes),
            )
        except ProcessError as error:
            if trial is None or error.error_class not in _ENDED:
                raise
            # Be it by the file or by a step: it is seen which when each has a turn of its own.
            for left in folder.glob(f"{name}-*"):
                left.unlink()
            return None
        return one


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


def _one_language(lines: Sequence[Subtitle]) -> tuple[Subtitle, ...]:
    """The lines of the first language there is."""
    return tuple(line for line in lines if line.language == lines[0].language)
