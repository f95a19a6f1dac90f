"""Exact time: parsing, printing, and spans that cannot be empty."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipmill.core.time import Span, format_clock, parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (4, Fraction(4)),
        (0.1, Fraction(1, 10)),
        ("12.5", Fraction(25, 2)),
        ("12.5s", Fraction(25, 2)),
        ("00:00:01", Fraction(1)),
        ("00:00:01.100", Fraction(11, 10)),
        ("1:02:03.5", Fraction(3723) + Fraction(1, 2)),
        ("02:03", Fraction(123)),
    ],
)
def test_a_time_is_read_exactly(text, seconds):
    assert parse_seconds(text) == seconds


NOT_TIMES = ["", "abc", "1:2:3:4", "-1", -1, float("nan"), float("inf"), "1e3"]


@pytest.mark.parametrize("text", NOT_TIMES)
def test_what_is_not_a_time_is_refused(text):
    with pytest.raises(ValueError):
        parse_seconds(text)


@given(st.integers(min_value=0, max_value=10**9))
def test_clock_times_survive_printing_to_the_millisecond(milliseconds):
    assert parse_seconds(format_clock(Fraction(milliseconds, 1000))) == Fraction(milliseconds, 1000)


def test_rounding_never_prints_a_sixtieth_second():
    assert format_clock(59.9999) == "00:01:00.000"
    assert format_clock(1.1) == "00:00:01.100"  # the peer prints 00:00:01.1000


def test_a_span_is_half_open_and_never_empty():
    span = Span.parse(["00:00:01.5", 4])
    assert (span.start_seconds, span.end_seconds, span.duration) == (1.5, 4.0, Fraction(5, 2))
    for pair in ([2, 2], [3, 1], [1], [1, 2, 3]):
        with pytest.raises(ValueError):
            Span.parse(pair)


@given(
    st.fractions(0, 10**5, max_denominator=90_000),
    st.fractions("1/48000", 10**4, max_denominator=48_000),
)
def test_a_span_survives_a_table_exactly(start, duration):
    span = Span(start, start + duration)
    row = span.row()
    assert Span.from_row(row) == span
    assert row["start_seconds"] == float(start)


def test_a_frame_time_that_no_float_holds_survives_a_table():
    frame = Fraction(1001, 30000)
    assert Span.from_row(Span(7 * frame, 8 * frame).row()).start == 7 * frame
