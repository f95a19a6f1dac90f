"""Where the clips of a source are: opens it, looks at it once, and tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from clipmill.core.errors import ProcessError
from clipmill.core.request import Frames, Want
from clipmill.core.sample import KeptCut, Subtitle, subtitles_within
from clipmill.core.time import Span
from clipmill.io.stretch import Place
from clipmill.media.decode import MediaFile, Picture
from clipmill.media.frame_index import FrameIndex
from clipmill.steps.split.detector import Cut, Detector
from clipmill.steps.split.given import (
    FoundClip,
    clips_of_column,
    clips_of_stride,
    clips_of_subtitles,
    clips_of_times,
)
from clipmill.steps.split.options import SplitOptions
from clipmill.steps.split.result import SplitResult
from clipmill.steps.split.spans import HoldsFrame, SpanBuilder, any_span

if TYPE_CHECKING:
    from clipmill.steps.split.seams import Seams

_UNKNOWN_RATE = Fraction(25)
"""Taken where a stream has no nominal rate, in frames/s, as libav does."""
_SLACK_SECONDS = 0.002
"""By as much does a container round times that another keeps, some to milliseconds."""


def find_spans(
    path: Place,
    options: SplitOptions,
    *,
    within: Span | None = None,
    spans: Sequence[Sequence[Any]] | None = None,
    subtitles: Sequence[Subtitle] | None = None,
    cuts: Sequence[KeptCut] | None = None,
) -> SplitResult:
    """Find the clips of one source, or of a clip of it as if that were a source.

    A source without a cut, or without pictures, is one clip: the whole.

    Args:
        path: a local media file, or a stretch of one.
        options: what to split by, and the rules.
        within: the clip that is split; None for the whole source. Spans and cuts found are at
            times of the source nevertheless.
        spans: with ``column``, the ``[start, end]`` pairs that the row asks for, from the start of
            what is split: none of an empty list; None where it says nothing, which means the whole.
        subtitles: with ``subtitles``, the lines of one language, at times of the source.
        cuts: with ``cuts``, those that an earlier run kept of the source.

    Raises:
        ProcessError: the file cannot be read, gives more clips than are allowed, or has not the
            frames that its kept cuts name (``cuts_do_not_fit``).
        RecipeError: there is no such detector, or its settings are wrong.
    """
    with MediaFile(path) as media:
        start, end = Fraction(0), duration_of(media)
        if within is not None:
            start, end = within.start, min(within.end, end)
        if not options.looks or media.frames is None:
            lines = subtitles_within(subtitles or (), within) if within else subtitles
            clips = _split_unseen(media, start, end, options, spans, lines, cuts)
            return SplitResult([_moved(clip, start) for clip in clips], {}, end - start)
        watch = Watch(options, media.frame_rate, holds_frame_of(media, start))
        found: list[Span] = []
        for picture in media.decode([replace(want, span=within) for want in watch.wants]):
            assert isinstance(picture, Picture)
            if within is not None:  # detectors and rules count from where they begin
                picture = replace(picture, seconds=picture.seconds - start)
            found += watch.take(picture)
        found += watch.finish(end - start)
        all_cuts = {
            rate: [replace(cut, seconds=cut.seconds + start) for cut in cuts]
            for rate, cuts in watch.cuts.items()
        }
        clips = [_moved(FoundClip(span), start) for span in found]
        return SplitResult(clips, all_cuts, end - start, media.decoded_seconds)


def _moved(clip: FoundClip, by: Fraction) -> FoundClip:
    """The same clip, later by some seconds."""
    if clip.span is None:
        return clip
    return replace(clip, span=Span(clip.span.start + by, clip.span.end + by))


def duration_of(media: MediaFile) -> Fraction:
    """Exact length of a source: of its video, or of its sound where it has no video."""
    if media.frames is not None:
        return media.frames.end_seconds
    return media.sound.end_seconds if media.sound is not None else Fraction(0)


def detectors_of(
    options: SplitOptions, frame_rate: Fraction
) -> dict[float | None, tuple[Frames, Detector]]:
    """The detectors that a source is seen by, and what each wants to see, by detection rate.

    Args:
        options: the split step's.
        frame_rate: the source's nominal rate in frames/s.

    Raises:
        RecipeError: there is no such detector, or its settings are wrong.
    """
    kind, settings = options.detector_type(), options.parsed_detector_options()
    made: dict[float | None, tuple[Frames, Detector]] = {}
    for rate in (None, *options.frame_rates):
        wants = replace(kind.wants, fps=rate) if rate else kind.wants
        if options.fast:
            wants = replace(wants, loop_filter=False, nearest=True)
        made[rate] = (wants, kind(settings, frame_rate, fast=options.fast))
    return made


def holds_frame_of(media: MediaFile, start: Fraction = Fraction(0)) -> HoldsFrame:
    """Tells of spans that count from ``start``, in seconds, whether a frame begins within them."""
    frames = media.frames
    if frames is None:
        return any_span
    return lambda span: bool(frames.within(Span(span.start + start, span.end + start)))


class Watch:
    """Detectors at work on one source: pictures go in, and spans come out as they become final.

    Args:
        options: the split step's.
        frame_rate: the source's nominal rate in frames/s; None where it has none.
        holds_frame: of the source; see ``SpanBuilder``.

    Raises:
        RecipeError: there is no such detector, or its settings are wrong.
    """

    def __init__(
        self, options: SplitOptions, frame_rate: Fraction | None, holds_frame: HoldsFrame
    ) -> None:
        made = detectors_of(options, frame_rate or _UNKNOWN_RATE)
        self._rates = list(made)
        self._detectors: list[Detector | Seams] = [detector for _, detector in made.values()]
        if options.merge_below is not None:
            # Not before: it needs OpenCV, which rules that look at no picture do without.
            from clipmill.steps.split.seams import Seams

            self._detectors[0] = Seams(made[None][1])
        self._builder = SpanBuilder(options, holds_frame)
        self._keeps_whole = options.keep_whole
        self.wants = [Want(wants) for wants, _ in made.values()]
        """What the detectors want to see; clips are made by what the first one finds."""
        self.cuts: dict[float | None, list[Cut]] = {rate: [] for rate in self._rates}

    @property
    def decided_seconds(self) -> Fraction:
        """No cut that is still to come lies before this time."""
        return self._detectors[0].decided_seconds

    @property
    def open_start(self) -> Fraction:
        """Where the clip begins that comes next, as far as can be told now."""
        return self._builder.open_start

    def take(self, picture: Picture) -> list[Span]:
        """Look at the next picture of ``wants``; gives the spans that became final."""
        detector = self._detectors[picture.want]
        found = detector.push(picture)
        self.cuts[self._rates[picture.want]] += found
        if picture.want or self._keeps_whole:
            return []
        for cut in found:
            self._builder.push(cut)
        return self._builder.advance(detector.decided_seconds)

    def finish(self, end: Fraction) -> list[Span]:
        """The spans that the source's end makes final.

        Args:
            end: where the source ends, in seconds.
        """
        for number, (rate, detector) in enumerate(zip(self._rates, self._detectors, strict=True)):
            last = detector.finish()
            self.cuts[rate] += last
            for cut in last if number == 0 and not self._keeps_whole else ():
                self._builder.push(cut)
        return self._builder.finish(end)


def _split_unseen(
    media: MediaFile,
    start: Fraction,
    end: Fraction,
    options: SplitOptions,
    spans: Sequence[Sequence[Any]] | None,
    subtitles: Sequence[Subtitle] | None,
    cuts: Sequence[KeptCut] | None,
) -> list[FoundClip]:
    """Clips at times from ``start``, where the stretch begins that is split."""
    length, holds_frame = end - start, holds_frame_of(media, start)
    if options.detector == "stride":
        return clips_of_stride(length, options, holds_frame)
    if options.detector == "column" and spans is not None:
        return clips_of_column(spans, length, options, holds_frame)
    if options.detector == "subtitles":
        return clips_of_subtitles(subtitles or (), length, options, holds_frame)
    times: list[Fraction] = []
    if options.detector == "keyframes" and media.frames is not None:
        frames = media.frames
        times = [frames.seconds(int(number)) for number in frames.keyframe.nonzero()[0]]
    if options.detector == "cuts" and media.frames is not None:
        times = [_time_of(cut, media.frames) for cut in cuts or ()]
    return clips_of_times([time - start for time in times], length, options, holds_frame)


def _time_of(cut: KeptCut, frames: FrameIndex) -> Fraction:
    if cut.number < len(frames):
        time = frames.seconds(cut.number)
        if abs(float(time) - cut.seconds) < _SLACK_SECONDS:
            return time
    raise ProcessError(
        f"the cuts that were kept of it name frame {cut.number} at {cut.seconds:g} s, which it "
        "does not have: its frames are not those that the cuts were found in",
        error_class="cuts_do_not_fit",
    )
