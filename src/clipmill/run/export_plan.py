"""What an export will make, told from tables alone: the same decisions, without the work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from clipmill.core.errors import ProcessError, RecipeError
from clipmill.core.media_names import AUDIO_EXTENSIONS
from clipmill.core.time import Span
from clipmill.formats.trainers.fit import Fit, Misfit, clip_span, fit_clip, retiming
from clipmill.io.folder import Folder
from clipmill.run.explain import edit_in_words
from clipmill.run.input import open_input
from clipmill.run.output import scratch_folder
from clipmill.run.prepare import check_columns, check_recipe
from clipmill.run.recipe import Recipe
from clipmill.sources.base import MEDIA_COLUMN, Part
from clipmill.sources.samples import SampleSource

AS_THEY_ARE = "as they are"


@dataclass(slots=True)
class BucketPlan:
    """What goes to one bucket.

    Args:
        bucket: its size and frames, such as ``832x480x81``; for no trainer, what is asked for of
            clips, such as ``short_side 360``, or ``as they are``.
        clips: how many.
        frames: of all of them.
        seconds: of all of them, as long as they are in the end.
        crop_loss: share of the picture that is cut off, on average, 0 to 1.
        most_crop_loss: the same of the worst clip.
        trimmed_seconds: left out at the ends of all clips.
        retime_error_seconds: how much too early frames were taken, on average.
        repeated_frames: shown a second time, since sources have fewer.
        enlarged: clips whose pictures are enlarged.
    """

    bucket: str
    clips: int = 0
    frames: int = 0
    seconds: float = 0.0
    crop_loss: float = 0.0
    most_crop_loss: float = 0.0
    trimmed_seconds: float = 0.0
    retime_error_seconds: float = 0.0
    repeated_frames: int = 0
    enlarged: int = 0

    def add(self, fit: Fit, video: Mapping[str, Any]) -> None:
        """Count a clip in."""
        rate, frames = fit.edit.frame_rate, fit.bucket.frames or 0
        self.crop_loss = _mean(self.crop_loss, fit.crop_loss, self.clips)
        self.most_crop_loss = max(self.most_crop_loss, fit.crop_loss)
        self.trimmed_seconds += fit.trimmed_seconds
        self.seconds += float(frames / rate) if rate else 0.0
        self.enlarged += fit.bucket.width > video["width"] or fit.bucket.height > video["height"]
        if told := retiming(fit, video["average_frame_rate"]):
            self.retime_error_seconds = _mean(
                self.retime_error_seconds, told.error_seconds, self.clips
            )
            self.repeated_frames += told.repeated
        self.frames += frames
        self.clips += 1


@dataclass(slots=True)
class ExportPlan:
    """What an export will make.

    Args:
        rows: samples that are taken.
        clips: of these that will be made.
        buckets: in the order of their names.
        dropped: of each reason how many go to no bucket.
        failing: of each error class how many lack what is wanted, so that they will fail.
        examples: of each of these the first key and what is said of it.
        without_caption: samples that have no text.
    """

    rows: int = 0
    clips: int = 0
    buckets: dict[str, BucketPlan] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    failing: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    without_caption: int = 0

    def dump(self) -> dict[str, Any]:
        """As JSON-like values, buckets as a list."""
        return {**asdict(self), "buckets": [asdict(one) for one in self.buckets.values()]}


def plan_export(recipe: Recipe) -> ExportPlan:
    """Tell what an export will make; nothing is written, and no media are opened.

    Args:
        recipe: of the export.

    Raises:
        UserError: the recipe cannot be carried out, or its input has no facts of its media yet.
    """
    check_recipe(recipe)
    output = Folder(recipe.write.to)
    given = open_input(recipe, None, output, scratch_folder(output, recipe.run.temp_dir))
    check_columns(recipe, given)
    source = given.source
    if not isinstance(source, SampleSource) or not source.place:
        raise RecipeError(
            "A dry run goes by what is known of samples, and this input is no dataset yet: "
            "`clipmill download` it first."
        )
    plan = ExportPlan()
    for key, span, probe, caption in _samples(source):
        plan.rows += 1
        plan.without_caption += not caption
        _place(plan, recipe, key, span, probe)
    plan.buckets = dict(sorted(plan.buckets.items()))
    plan.clips = sum(bucket.clips for bucket in plan.buckets.values())
    return plan


def _samples(source: SampleSource) -> Iterator[tuple[str, Span | None, Any, str | None]]:
    for number, file in enumerate(source.files()):
        facts = source.facts(number)
        if "probe" not in facts.column_names:
            raise RecipeError(
                f"Shard {source.shard_name(number)} says nothing of its media, as a peer's does: "
                "`clipmill download` the dataset first."
            )
        rows = source.read(Part(number, 0, file.rows))
        has_caption = "caption" in rows.column_names
        captions = rows["caption"].to_pylist() if has_caption else [None] * file.rows
        virtual = "_span" in rows.column_names
        spans = rows["_span"].to_pylist() if virtual else [None] * file.rows
        has_media = MEDIA_COLUMN in rows.column_names
        media = rows[MEDIA_COLUMN].to_pylist() if has_media else [None] * file.rows
        told = zip(facts.to_pylist(), spans, captions, media, strict=True)
        for fact, span, caption, kept in told:
            probe = _probe_of(fact["probe"], kept)
            yield fact["key"], span and Span.from_row(span), probe, caption


def _probe_of(probe: Any, kept: Sequence[Mapping[str, Any]] | None) -> Any:
    """What is known of a sample's media: of a source of which sound alone was kept, that alone."""
    if probe and kept and all(one["extension"] in AUDIO_EXTENSIONS for one in kept):
        return {**probe, "video": None}
    return probe


def _place(plan: ExportPlan, recipe: Recipe, key: str, span: Span | None, probe: Any) -> None:
    fit: Fit | Misfit | None = None
    if recipe.fit is not None and recipe.render is not None:
        try:
            fit = fit_clip(span, probe, recipe.fit, recipe.render)
        except ProcessError as error:
            fit = Misfit(error.error_class, error.message)  # type: ignore[arg-type]
    if isinstance(fit, Misfit):
        plan.dropped[fit.reason] = plan.dropped.get(fit.reason, 0) + 1
        plan.examples.setdefault(fit.reason, f"{key}: {fit.message}")
    elif lack := _lack(recipe, probe):
        plan.failing[lack[0]] = plan.failing.get(lack[0], 0) + 1
        plan.examples.setdefault(lack[0], f"{key}: {lack[1]}")
    elif fit is None:
        name = (recipe.render and edit_in_words(recipe.render)) or AS_THEY_ARE
        bucket = plan.buckets.setdefault(name, BucketPlan(name))
        bucket.clips += 1
        bucket.seconds += _seconds(span, probe)
    else:
        name = str(fit.bucket)
        plan.buckets.setdefault(name, BucketPlan(name)).add(fit, probe["video"])


def _lack(recipe: Recipe, probe: Any) -> tuple[str, str] | None:
    """The error class that a sample will fail with for want of what is asked for, and its words."""
    wanted = recipe.write.encode_formats
    if "video" in wanted and probe and not probe["video"]:
        return "no_video_stream", "it holds sound alone, but video is wanted"
    if "audio" in wanted and probe and not probe["audio"]:
        return "no_audio_stream", "it has no sound, but audio is wanted"
    return None


def _seconds(span: Span | None, probe: Any) -> float:
    if whole := span or clip_span(None, probe):
        return float(whole.duration)
    return (probe or {}).get("duration_seconds") or 0.0


def _mean(mean: float, value: float, count: int) -> float:
    return mean + (value - mean) / (count + 1)
