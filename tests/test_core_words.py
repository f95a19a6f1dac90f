"""Messages name settings as the user gave them."""

import pytest

from clipmill.core.words import (
    as_keywords,
    as_options,
    as_shown,
    counted,
    duration_text,
    hours_text,
    name_of,
)

PLACES = [("source", "url_col"), ("write", "format"), ("write", "encode_formats")]


@pytest.mark.parametrize(
    ("style", "name"),
    [("option", "--url-col"), ("keyword", "url_col"), ("key", "source.url_col")],
)
def test_a_setting_has_a_name_for_everyone(style, name):
    assert name_of(("source", "url_col"), style) == name


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("say it with url_col.", "say it with --url-col."),
        ("write.format was 1", "--format was 1"),
        ("it has the columns 'url_col', /data/url_col and url_col.csv", None),
        ("the format of my_url_col", None),
    ],
)
def test_names_become_options_but_not_what_is_quoted(said, told):
    assert as_options(said, PLACES) == (told or said)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Use --extend or --url-col.", 'Use mode="extend" or url_col.'),
        ("write.format was 1", "format was 1"),
        ("run tool --with-its-own", None),
    ],
)
def test_options_become_keywords_but_not_those_of_others(said, told):
    assert as_keywords(said, PLACES) == (told or said)


def test_lengths_are_told_in_the_unit_that_suits_them():
    told = [duration_text(seconds) for seconds in (0, 9.96, 90, 3600, 7_200_000)]
    assert told == ["0.0 s", "10.0 s", "1.5 min", "1.00 hours", "2,000.00 hours"]
    assert hours_text(0.01) == "36.0 s"


def test_one_is_singular():
    assert [counted(n, "shard") for n in (0, 1, 2000)] == ["0 shards", "1 shard", "2,000 shards"]


def test_a_text_of_the_data_gives_a_terminal_no_orders():
    assert as_shown("two\nlines\r\x1b[2Jgone\u2028") == r"two\nlines\r\x1b[2Jgone\u2028"
    assert as_shown("\N{CAT} \\n 猫") == "\N{CAT} \\n 猫"
    assert as_shown("abcdef", longest=3) == "abc..."
