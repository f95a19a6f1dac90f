"""Subtitle files become plain, deduplicated lines."""

import pytest

from clipmill.core.sample import Subtitle
from clipmill.media.subtitles import parse_subtitles, plain_line


def lines(data: str, extension: str) -> list[tuple[float, float, str]]:
    parsed = parse_subtitles(data.encode(), extension, language="en")
    return [(line.start_seconds, line.end_seconds, line.text) for line in parsed]


def test_webvtt_drops_settings_tags_notes_styles_and_identifiers():
    text = """WEBVTT - a title
Kind: captions

STYLE
::cue { color: lime }

NOTE 00:00:00.000 --> 00:00:09.000 is only a comment

intro
00:01.000 --> 00:02.500 align:start position:0%
<v Anna>Hello &amp; <i>welcome</i>
to   the show

100:00:00.000 --> 100:00:01.000
Much later
"""
    assert lines(text, "vtt") == [
        (1.0, 2.5, "Hello & welcome\nto the show"),
        (360000.0, 360001.0, "Much later"),
    ]


def test_rolling_automatic_captions_say_every_line_once():
    text = """WEBVTT

00:00:00.000 --> 00:00:02.000 align:start position:0%
\x20
first<00:00:00.500><c> line</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
first line
\x20

00:00:02.010 --> 00:00:04.000 align:start position:0%
first line
second<00:00:02.500><c> line</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
second line
\x20
"""
    assert lines(text, "vtt") == [(0.0, 2.01, "first line"), (2.01, 4.01, "second line")]


def test_a_word_said_twice_with_a_pause_stays_twice():
    text = (
        "WEBVTT\n\n00:01.000 --> 00:02.000\nYes.\n\n00:02.000 --> 00:03.000\nYes.\n\n"
        "00:05.000 --> 00:06.000\nYes.\n"
    )
    assert lines(text, "vtt") == [(1.0, 3.0, "Yes."), (5.0, 6.0, "Yes.")]


def test_a_refrain_within_a_two_line_cue_is_kept_where_captions_do_not_roll():
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nla la\n\n00:02.000 --> 00:03.000\nla la\nand so on\n"
    assert lines(text, "vtt") == [(1.0, 2.0, "la la"), (2.0, 3.0, "la la\nand so on")]


def test_srt_with_windows_newlines_and_position_tags():
    text = (
        "1\r\n00:00:01,500 --> 00:00:03,000\r\n{\\an8}<b>Up here</b>\r\n\r\n"
        "2\r\n00:00:03,000 --> 00:00:04,250\r\nCaf\u00e9\r\n"
    )
    assert lines(text, "srt") == [(1.5, 3.0, "Up here"), (3.0, 4.25, "Caf\u00e9")]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("I <3 <b>you</b> &gt; all", "I <3 you > all"),
        ("one<br/>two", "one two"),
        (r"{\i1}Hello,{\i0} with\Nnext\hrow", "Hello, with next row"),
        (r"{\an8\p1}m 0 0 l 100 0{\p0}a shape was drawn", "a shape was drawn"),
        (r"{\pos(1,2)}m 0 is text", "m 0 is text"),
    ],
)
def test_what_is_no_mark_of_style_is_text(written, shown):
    assert plain_line(written) == shown


def test_ass_has_its_fields_in_any_order_and_no_shapes_or_comments():
    text = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname
Style: Default,Arial

[Events]
Format: Start, End, Style, Text
Dialogue: 0:00:00.50,0:00:01.00,Default,{\\i1}Hello,{\\i0} with, commas\\Nnext\\hrow{a comment}
Comment: 0:00:01.00,0:00:02.00,Default,nothing to see
Dialogue: 0:00:02.00,0:00:03.00,Default,{\\p1}m 0 0 l 100 0{\\p0}
Dialogue: 1:00:00.00,1:00:01.25,Default,much later
Dialogue: soon,0:00:03.00,Default,at no time
"""
    assert lines(text, "ass") == [
        (0.5, 1.0, "Hello, with, commas\nnext row"),
        (3600.0, 3601.25, "much later"),
    ]


def test_srt_in_an_old_code_page_is_read():
    data = "1\n00:00:01,000 --> 00:00:02,000\nCaf\u00e9\n".encode("cp1252")
    assert parse_subtitles(data, "srt", language="fr", automatic=True) == [
        Subtitle("fr", 1.0, 2.0, "Caf\u00e9", automatic=True)
    ]


def test_ttml_with_clock_offset_tick_and_frame_times():
    text = """<?xml version="1.0" encoding="UTF-16"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter"
    ttp:tickRate="1000" ttp:frameRate="25"><body><div>
  <p begin="00:00:01.500" end="00:00:02.000">one<br/>two <span>words</span></p>
  <p begin="3s" dur="500ms">three</p>
  <p begin="4000t" end="00:00:05:05">four</p>
</div></body></tt>"""
    assert lines(text, "ttml") == [
        (1.5, 2.0, "one\ntwo words"),
        (3.0, 3.5, "three"),
        (4.0, 5.2, "four"),
    ]


def test_json3_skips_layout_events_and_appended_newlines():
    text = """{"events": [
      {"tStartMs": 0, "dDurationMs": 9000, "id": 1},
      {"tStartMs": 100, "dDurationMs": 1900, "segs": [{"utf8": "hello"}, {"utf8": " there"}]},
      {"tStartMs": 1990, "aAppend": 1, "segs": [{"utf8": "\\n"}]}]}"""
    assert lines(text, "json3") == [(0.1, 2.0, "hello there")]


def test_an_empty_webvtt_has_no_lines():
    assert lines("WEBVTT\n", "vtt") == []


def test_reversed_cues_are_left_out():
    assert lines("WEBVTT\n\n00:09.000 --> 00:01.000\nbackwards\n", "vtt") == []


@pytest.mark.parametrize(
    ("data", "extension", "says"),
    [
        ("<html>Not found</html>", "vtt", "WEBVTT"),
        ("Not found", "srt", "SRT"),
        ("<tt><body>", "ttml", "well-formed"),
        ("<!DOCTYPE tt [<!ENTITY a 'aaaa'>]><tt>&a;</tt>", "ttml", "DOCTYPE"),
        ("<tt><p begin='soon' end='later'>x</p></tt>", "ttml", "soon"),
        ("[]", "json3", "json3"),
        ("anything", "sub", "known formats"),
    ],
)
def test_a_file_in_the_wrong_format_says_so(data, extension, says):
    with pytest.raises(ValueError, match=says):
        parse_subtitles(data.encode(), extension, language="en")
