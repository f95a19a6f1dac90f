"""Which frames a request means, told by brute force over its times."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipmill.core.request import Frames
from clipmill.core.time import Span
from clipmill.media.choose import choose, exact
from clipmill.media.frame_index import FrameIndex, Packets


def make_index(gaps, first_pts=0, time_base=Fraction(1, 1000)):
    """An index of frames that last so many ticks each."""
    edges = first_pts + np.concatenate(([0], np.cumsum(gaps)))
    count = len(gaps)
    serials = np.arange(count)
    keyframe = serials % 4 == 0
    pts = edges[:-1].astype(np.int64)
    packets = Packets(serials, keyframe, pts, pts, serials, temporal_layers=False)
    return FrameIndex(
        pts=pts,
        keyframe=keyframe,
        time_base=time_base,
        end_pts=int(edges[-1]),
        packet=serials,
        packets=packets,
        ordered_by_decoder=False,
    )


def starting(index, time):
    """The first frame that starts at a time, or else after it, or just before it."""
    times = [index.seconds(n) for n in range(len(index))]
    if time in times:
        return times.index(time)
    leeway = min(Fraction(1, 1000), index.end_seconds / len(index) / 4)
    just_before = [n for n, start in enumerate(times) if start < time < start + leeway]
    return just_before[-1] if just_before else sum(start < time for start in times)


def shown_at(index, times, start, end):
    """(number, how often) of the frames shown at some times of a span, one time after the other."""
    end = min(end, index.end_seconds)
    leeway = min(Fraction(1, 1000), index.end_seconds / len(index) / 4)
    inside = range(starting(index, start), starting(index, end)) if start < end else []
    counts = {}
    for time in times:
        if time < end and inside:
            before = [n for n in inside if index.seconds(n) - leeway < time]
            number = before[-1] if before else inside[0]
            counts[number] = counts.get(number, 0) + 1
    return sorted(counts.items())


def chosen(request, span, index):
    choice = choose(request, span, index)
    assert choice.numbers.dtype == choice.repeats.dtype == np.int64
    return list(zip(choice.numbers.tolist(), choice.repeats.tolist(), strict=True))


GAPS = st.lists(st.integers(1, 90), min_size=1, max_size=30)
SECONDS = st.fractions(0, 3, max_denominator=97)
LENGTHS = st.fractions(Fraction(1, 97), 3, max_denominator=97)
TIME_BASES = st.sampled_from([Fraction(1, 1000), Fraction(1001, 30000), Fraction(1, 90000)])


@settings(deadline=None)
@given(GAPS, SECONDS, LENGTHS, TIME_BASES, st.integers(-500, 500), st.data())
def test_times_of_a_span(gaps, start, length, time_base, first_pts, data):
    index = make_index(gaps, first_pts, time_base)
    span = Span(start, start + length)
    last = min(span.end, index.end_seconds)

    fps = data.draw(st.sampled_from([1, 3, 24, 29.97, Fraction(30000, 1001), 0.1]))
    leeway = min(Fraction(1, 1000), index.end_seconds / len(index) / 4)
    steps = range(int((last - start) * exact(fps)) + 2 if last > start else 0)
    times = [start + k / exact(fps) for k in steps]
    times = [time for time in times if time == start or time < last - leeway]
    assert chosen(Frames(fps=fps), span, index) == shown_at(index, times, start, span.end)

    count = data.draw(st.integers(1, 40))
    middles = [start + (last - start) * Fraction(2 * k + 1, 2 * count) for k in range(count)]
    assert chosen(Frames(count=count), span, index) == shown_at(index, middles, start, span.end)

    at = tuple(sorted(data.draw(st.lists(st.fractions(0, 3, max_denominator=50), max_size=9))))
    times = [start + time for time in at]
    assert chosen(Frames(at=at), span, index) == shown_at(index, times, start, span.end)


def test_counts_add_up():
    index = make_index([7, 90, 1, 1, 1, 45, 33, 90] * 9)
    for count in (1, 2, 8, 100, 1000):
        assert choose(Frames(count=count), None, index).repeats.sum() == count


def test_frames_by_number():
    index = make_index([10] * 20)
    span = Span(Fraction(35, 1000), Fraction(150, 1000))
    assert chosen(Frames(), span, index) == [(n, 1) for n in range(4, 15)]
    assert chosen(Frames(every_nth=4), span, index) == [(4, 1), (8, 1), (12, 1)]
    assert chosen(Frames(keyframes=True), span, index) == [(4, 1), (8, 1), (12, 1)]


@pytest.mark.parametrize("rate", [24, 25, 30, 60, Fraction(24000, 1001), Fraction(30000, 1001)])
def test_spans_between_cuts_that_people_round_to_milliseconds_share_no_frame(rate):
    """PySceneDetect's lists are so; 0.067 s is no cut after the frame that starts at 1/15 s."""
    index = make_index([1001] * 200, time_base=Fraction(1) / rate / 1001)
    cuts = [0, 2, 7, 50, 51, 120, 199]
    rounded = [Fraction(round(1000 * cut / rate), 1000) for cut in cuts]
    for (first, start), (last, end) in pairwise(zip(cuts, rounded, strict=True)):
        assert index.within(Span(start, end)) == range(first, last)


@pytest.mark.parametrize("rate", [24, 30, 60, 120, Fraction(24000, 1001), Fraction(30000, 1001)])
def test_a_sources_own_rate_takes_every_frame_once_though_times_are_rounded(rate):
    """As in Matroska, WebM and FLV, which count in milliseconds; from wherever a span starts."""
    pts = [int(Fraction(n * 1000) / rate + Fraction(1, 2)) for n in range(201)]
    index = make_index(np.diff(pts), first_pts=7)
    for first in range(20):
        span = Span(index.seconds(first), index.seconds(160))
        assert chosen(Frames(fps=rate), span, index) == [(n, 1) for n in range(first, 160)]
        times = tuple(Fraction(k) / rate for k in range(100))
        halved = chosen(Frames(fps=rate / Fraction(2)), span, index)
        assert halved == [(n, 1) for n in range(first, 160, 2)]
        assert [n for n, _ in chosen(Frames(at=times), span, index)] == list(
            range(first, first + 100)
        )


def test_a_rate_of_any_size_costs_no_more_than_the_frames():
    index = make_index([10] * 20)
    # All but the last millisecond, by which the source's end may be rounded.
    assert choose(Frames(fps=10**12), None, index).repeats.sum() == 199 * 10**9
    span = Span(Fraction(1, 10**20), Fraction(1))
    assert len(choose(Frames(fps=Fraction(10**18, 10**18 - 1)), span, index).numbers) == 1


def test_floats_are_read_as_people_write_them():
    assert exact(29.97) == Fraction(2997, 100)
    assert exact(0.1) == Fraction(1, 10)


@pytest.mark.parametrize(
    "span", [Span(Fraction(1), Fraction(2)), Span(Fraction(201, 10**4), Fraction(202, 10**4))]
)
def test_spans_without_a_frame_mean_none(span):
    assert chosen(Frames(fps=5), span, make_index([10] * 20)) == []
