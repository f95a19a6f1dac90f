"""From cuts to clips: every rule, and that it makes no difference how the cuts come in."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipmill.core.errors import ProcessError, RecipeError
from clipmill.core.sample import Subtitle
from clipmill.core.time import Span
from clipmill.demo.media import make_video
from clipmill.steps.split.detector import Cut
from clipmill.steps.split.find import find_spans
from clipmill.steps.split.given import (
    clips_of_column,
    clips_of_stride,
    clips_of_subtitles,
    clips_of_times,
)
from clipmill.steps.split.options import SplitOptions
from clipmill.steps.split.spans import SpanBuilder


def spans_of(cuts: list[float], end: float, **options: object) -> list[tuple[float, float]]:
    builder = SpanBuilder(SplitOptions.model_validate(options))
    for number, time in enumerate(cuts):
        builder.push(Cut(number, number, Fraction(str(time)), 30.0))
    return plain(builder.finish(Fraction(str(end))))


def plain(spans: list[Span]) -> list[tuple[float, float]]:
    return [(span.start_seconds, span.end_seconds) for span in spans]


def test_scenes_lie_between_cuts() -> None:
    assert spans_of([2, 5], 9) == [(0, 2), (2, 5), (5, 9)]


def test_no_cut_means_one_clip_the_whole() -> None:
    assert spans_of([], 9) == [(0, 9)]


def test_short_scenes_are_left_out_and_equally_long_ones_kept() -> None:
    assert spans_of([2, 5], 6, min_seconds=2) == [(0, 2), (2, 5)]


@pytest.mark.parametrize(
    ("strategy", "kept"),
    [
        ("all", [(0, 2), (2, 6), (6, 10), (10, 11.5)]),
        ("first", [(0, 2), (2, 6)]),
        ("drop", [(0, 2)]),
    ],
)
def test_long_scenes_are_cut_into_pieces(strategy: str, kept: list[tuple[float, float]]) -> None:
    assert spans_of([2], 11.5, max_seconds=4, max_strategy=strategy, min_seconds=1.5) == kept


def test_a_remainder_that_is_too_short_is_left_out() -> None:
    assert spans_of([], 9, max_seconds=4, min_seconds=2) == [(0, 4), (4, 8)]


def test_a_scene_as_long_as_the_longest_clip_is_one_clip() -> None:
    assert spans_of([], 4, max_seconds=4, max_strategy="drop") == [(0, 4)]


def test_both_ends_of_scenes_are_trimmed_before_lengths_count() -> None:
    options = {"trim_start_seconds": "0.5", "trim_end_seconds": "00:00:01", "min_seconds": 1}
    assert spans_of([2, 5], 5.5, **options) == [(2.5, 4)]


def test_neighbours_that_look_alike_are_joined() -> None:
    builder = SpanBuilder(SplitOptions(merge_below=10))
    builder.push(Cut(0, 0, Fraction(2), 30.0, seam=4.0))
    builder.push(Cut(1, 1, Fraction(5), 30.0, seam=10.0))
    assert plain(builder.finish(Fraction(9))) == [(0, 5), (5, 9)]


def test_the_longest_scene_alone_is_kept_and_then_cut_to_length() -> None:
    assert spans_of([2, 6], 9, longest_only=True) == [(2, 6)]
    assert spans_of([2, 6], 9, longest_only=True, max_seconds=3) == [(2, 5), (5, 6)]


def test_pieces_of_a_scene_that_goes_on_come_out_at_once() -> None:
    builder = SpanBuilder(SplitOptions(max_seconds=3, trim_end_seconds=1))
    assert builder.advance(Fraction(399, 100)) == []
    assert plain(builder.advance(Fraction(4))) == [(0, 3)]
    assert plain(builder.advance(Fraction(10))) == [(3, 6), (6, 9)]
    assert plain(builder.finish(Fraction(12))) == [(9, 11)]


def test_a_source_cannot_flood_the_table() -> None:
    with pytest.raises(ProcessError, match="more than 10 clips") as caught:
        spans_of([], 10**9, max_seconds="0.001", max_clips=10)
    assert caught.value.error_class == "too_many_clips"


times = st.fractions(min_value=Fraction(1, 100), max_value=60, max_denominator=1001)


@st.composite
def rules(draw: st.DrawFn) -> SplitOptions:
    shortest = draw(st.just(Fraction(0)) | times)
    return SplitOptions(
        min_seconds=shortest,
        max_seconds=draw(st.none() | times.map(lambda time: time + shortest)),
        max_strategy=draw(st.sampled_from(["all", "first", "drop"])),
        trim_start_seconds=draw(st.just(Fraction(0)) | times),
        trim_end_seconds=draw(st.just(Fraction(0)) | times),
        merge_below=draw(st.none() | st.just(10.0)),
        longest_only=draw(st.booleans()),
        max_clips=1_000_000,
    )


@settings(deadline=None)
@given(
    options=rules(),
    scenes=st.lists(st.tuples(times, st.sampled_from([5.0, 20.0])), min_size=1, max_size=8),
    steps=st.lists(st.fractions(min_value=0, max_value=1, max_denominator=50), max_size=30),
)
def test_cuts_that_come_bit_by_bit_give_the_same_clips(
    options: SplitOptions, scenes: list[tuple[Fraction, float]], steps: list[Fraction]
) -> None:
    cuts, time = [], Fraction(0)
    for number, (length, seam) in enumerate(scenes[:-1]):
        time += length
        cuts.append(Cut(number, number, time, 30.0, seam))
    end = time + scenes[-1][0]

    at_once = SpanBuilder(options)
    for cut in cuts:
        at_once.push(cut)
    expected = at_once.finish(end)

    bit_by_bit, spans, coming = SpanBuilder(options), [], list(cuts)
    for decided in sorted(step * end for step in steps):
        while coming and coming[0].seconds < decided:
            bit_by_bit.push(coming.pop(0))
        spans += bit_by_bit.advance(decided)
    for cut in coming:
        bit_by_bit.push(cut)
    spans += bit_by_bit.finish(end)

    assert spans == expected
    assert all(early.end <= late.start for early, late in pairwise(spans))
    for span in spans:
        assert span.end <= end
        assert span.duration >= options.min_seconds
        assert options.max_seconds is None or span.duration <= options.max_seconds


def test_a_stride_makes_clips_of_one_length() -> None:
    options = SplitOptions(detector="stride", stride_seconds=4, min_seconds=2)
    clips = clips_of_stride(Fraction(13), options)
    assert [(clip.span.start, clip.span.end) for clip in clips if clip.span] == [
        (0, 4),
        (4, 8),
        (8, 12),
    ]


def test_a_stride_may_overlap() -> None:
    options = SplitOptions(detector="stride", stride_seconds=4, max_seconds=6, min_seconds=6)
    clips = clips_of_stride(Fraction(13), options)
    assert [(clip.span.start, clip.span.end) for clip in clips if clip.span] == [(0, 6), (4, 10)]


@pytest.fixture(scope="module")
def ten_frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames at 0, 0.1 ... 0.9 s, the last of which is shown until 1 s."""
    return make_video(tmp_path_factory.mktemp("frames") / "ten.mp4", seconds=1, audio=None)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"detector": "stride", "stride_seconds": "0.31"}, [(0, 0.31), (0.31, 0.62), (0.62, 0.93)]),
        ({"detector": "whole", "max_seconds": "0.95"}, [(0, 0.95)]),
        ({"detector": "whole", "max_seconds": "0.9"}, [(0, 0.9), (0.9, 1)]),
        ({"detector": "keyframes", "trim_start_seconds": "0.95"}, []),
        ({"detector": "content", "max_seconds": "0.95"}, [(0, 0.95)]),
        ({"detector": "content", "max_seconds": "0.95", "longest_only": True}, [(0, 0.95)]),
    ],
)
def test_what_is_left_and_holds_no_frame_is_no_clip(
    ten_frames: Path, options: dict[str, object], kept: list[tuple[float, float]]
) -> None:
    clips = find_spans(ten_frames, SplitOptions.model_validate(options)).clips
    assert plain([clip.span for clip in clips if clip.span]) == kept


def test_a_clip_of_a_source_ends_with_a_piece_that_holds_a_frame_too(ten_frames: Path) -> None:
    within = Span(Fraction("0.2"), Fraction("0.95"))
    for detector in ("content", "whole"):
        options = SplitOptions(detector=detector, max_seconds=Fraction("0.72"))
        clips = find_spans(ten_frames, options, within=within).clips
        assert plain([clip.span for clip in clips if clip.span]) == [(0.2, 0.92)]


def test_a_span_that_was_asked_for_is_a_clip_though_it_holds_no_frame(ten_frames: Path) -> None:
    options = SplitOptions(detector="column", max_seconds=Fraction("0.95"))
    clips = find_spans(ten_frames, options, spans=[[0.93, 0.98], [0, 1]]).clips
    assert plain([clip.span for clip in clips if clip.span]) == [(0.93, 0.98), (0, 0.95)]


def test_spans_of_a_column_may_overlap_and_end_with_the_source() -> None:
    asked = [["00:00:03.500", "00:00:06"], [1, 4], ["8.5s", 1e6]]
    clips = clips_of_column(asked, Fraction(10), SplitOptions(detector="column"))
    assert plain([clip.span for clip in clips if clip.span]) == [(3.5, 6), (1, 4), (8.5, 10)]
    assert [clip.given for clip in clips] == [0, 1, 2]


@pytest.mark.parametrize("bad", [[5, 4], [3, 3], [10, 12], ["soon", "later"], [1], [-1, 2]])
def test_an_impossible_span_is_a_failed_clip_of_its_own(bad: list[object]) -> None:
    clips = clips_of_column([[1, 2], bad], Fraction(10), SplitOptions(detector="column"))
    good, failed = clips
    assert good.span == Span(Fraction(1), Fraction(2))
    assert failed.span is None
    assert failed.error_class == "invalid_span"
    assert failed.error_message
    assert failed.error_message.startswith("clip 1 cannot be cut out")


def test_a_subtitle_line_becomes_the_caption_of_its_clip() -> None:
    lines = [
        Subtitle("en", Fraction("0.5"), Fraction(2), "One."),
        Subtitle("en", Fraction(11), Fraction(12), "Two."),
    ]
    one, two = clips_of_subtitles(lines, Fraction(10), SplitOptions(detector="subtitles"))
    assert (one.caption, one.span) == ("One.", Span(Fraction(1, 2), Fraction(2)))
    assert two.error_class == "invalid_span"


def test_times_outside_the_source_part_nothing() -> None:
    clips = clips_of_times(
        [Fraction(0), Fraction(4), Fraction(10)], Fraction(10), SplitOptions(detector="keyframes")
    )
    assert plain([clip.span for clip in clips if clip.span]) == [(0, 4), (4, 10)]


def test_a_million_spans_of_one_source_are_refused() -> None:
    with pytest.raises(ProcessError, match="more than 100,000 clips"):
        clips_of_column([[0, 1]] * 100_001, Fraction(10), SplitOptions(detector="column"))


def test_a_misspelt_detector_or_setting_is_told() -> None:
    with pytest.raises(RecipeError, match="Did you mean 'content'"):
        SplitOptions(detector="contnet").detector_type()
    with pytest.raises(RecipeError, match="Did you mean 'threshold'"):
        SplitOptions(detector_options={"treshold": 3}).parsed_detector_options()


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_seconds": 3, "max_seconds": 2},
        {"max_seconds": 0},
        {"detector": "stride"},
        {"stride_seconds": 3},
        {"detector": "whole", "detector_options": {"threshold": 3}},
        {"detector": "keyframes", "merge_below": 3},
    ],
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        SplitOptions.model_validate(wrong)
