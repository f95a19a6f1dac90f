"""Subtitle files (WebVTT, SRT, ASS, TTML, json3) become lines of plain text, with their times."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from xml.etree import ElementTree

from clipmill.core.sample import Subtitle

_CLOCK = r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)"
_CLOCK_ALONE = re.compile(rf"\s*{_CLOCK}\s*")
_ARROW = re.compile(rf"^\s*{_CLOCK}\s*-->\s*{_CLOCK}")
_INLINE_TIME = re.compile(r"<(?:\d+:)?\d{1,2}:\d{1,2}\.\d+>")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<[\d:.]+>|\{\\[^{}]*\}")
# Of ASS: shapes to draw, and marks of breaks and of spaces that do not break.
_DRAWING = re.compile(r"\{[^{}]*\\p[1-9][^{}]*\}.*?(?=\{[^{}]*\\p0|$)")
_COMMENT = re.compile(r"\{[^{}\\]*\}")
_BREAK = re.compile(r"\\[Nh]|<br\s*/?>", re.IGNORECASE)
_NOT_CUES = ("NOTE", "STYLE", "REGION")

# Rolling captions repeat a line after a blink of about 10 ms; a pause longer than this is speech.
_TOUCHING_SECONDS = 0.1


class _Cue(NamedTuple):
    start_seconds: float
    end_seconds: float
    lines: list[str]


def parse_subtitles(
    data: bytes, extension: str, *, language: str, automatic: bool = False
) -> list[Subtitle]:
    """Read a subtitle file into lines, in order of time, without repeats of rolling captions.

    Args:
        data: the file's bytes.
        extension: what the file calls itself: ``vtt``, ``srt``, ``ass``, ``ssa``, ``ttml``,
            ``dfxp``, ``xml``, ``json3`` or ``json``.
        language: language to record with each line, such as ``en``.
        automatic: whether a machine wrote the lines.

    Raises:
        ValueError: the format is unknown, or the bytes are not in it.
    """
    kind = extension.lower().lstrip(".")
    reader = _READERS.get(kind)
    if reader is None:
        raise ValueError(
            f"subtitles in format {extension!r} cannot be read; "
            f"known formats: {', '.join(sorted(_READERS))}"
        )
    text = _decode(data)
    cues = [cue for cue in reader(text) if cue.end_seconds > cue.start_seconds]
    cues.sort(key=lambda cue: cue.start_seconds)
    merged = _without_repeats(cues, rolling=kind == "vtt" and bool(_INLINE_TIME.search(text)))
    return [
        Subtitle(language, cue.start_seconds, cue.end_seconds, "\n".join(cue.lines), automatic)
        for cue in merged
    ]


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _without_repeats(cues: list[_Cue], *, rolling: bool) -> list[_Cue]:
    """Drop what the line before says already: repeated cues, and the upper row of rolling ones."""
    merged: list[_Cue] = []
    shown: list[str] = []
    shown_until = float("-inf")
    for cue in cues:
        touching = cue.start_seconds - shown_until <= _TOUCHING_SECONDS
        lines = cue.lines
        repeated = shown[-len(lines) :] if rolling and lines else shown
        if touching and lines == repeated and merged:
            merged[-1] = merged[-1]._replace(
                end_seconds=max(merged[-1].end_seconds, cue.end_seconds)
            )
            lines = []
        elif rolling and touching and lines[:1] == shown[-1:]:
            lines = lines[1:]
        if lines:
            merged.append(cue._replace(lines=lines))
        if cue.lines:
            shown, shown_until = cue.lines, cue.end_seconds
    return merged


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))


def plain_line(text: str) -> str:
    """A subtitle's text without marks of style, on one line."""
    shown = _TAG.sub("", _BREAK.sub(" ", _DRAWING.sub("", text)))
    return " ".join(html.unescape(shown).split())


def _plain(lines: list[str]) -> list[str]:
    return [line for line in map(plain_line, lines) if line]


def _cue_blocks(text: str, gap: str) -> Iterator[_Cue]:
    for block in re.split(gap, text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = block.strip("\n").split("\n")
        if lines[0].split(" ")[0].strip() in _NOT_CUES:
            continue
        for number, line in enumerate(lines[:2]):
            times = _ARROW.match(line)
            if times:
                yield _Cue(
                    _seconds(*times.groups()[:3]),
                    _seconds(*times.groups()[3:]),
                    _plain(lines[number + 1 :]),
                )
                break


def _read_vtt(text: str) -> Iterator[_Cue]:
    if not text.startswith("WEBVTT"):
        raise ValueError("subtitles do not start with WEBVTT, so they are not WebVTT")
    # Only an empty line ends a cue; rolling captions hold lines of one blank.
    return _cue_blocks(text, r"\n\n+")


def _read_srt(text: str) -> list[_Cue]:
    cues = list(_cue_blocks(text, r"\n[ \t]*\n"))
    if text.strip() and not cues:
        raise ValueError("subtitles hold no 'HH:MM:SS,mmm --> HH:MM:SS,mmm' line, so are not SRT")
    return cues


def _read_ass(text: str) -> list[_Cue]:
    """The lines of ``[Events]``, whose ``Format`` tells their fields; the last one is the text."""
    fields: list[str] = []
    cues = []
    for line in text.splitlines():
        kind, _, rest = line.partition(":")
        if kind == "Format":
            fields = [name.strip() for name in rest.split(",")]
        elif kind == "Dialogue" and {"Start", "End", "Text"} <= set(fields):
            values = dict(zip(fields, rest.strip().split(",", len(fields) - 1), strict=False))
            times = [_CLOCK_ALONE.fullmatch(values.get(name, "")) for name in ("Start", "End")]
            if times[0] and times[1]:
                shown = _COMMENT.sub("", _DRAWING.sub("", values.get("Text", "")))
                start, end = (_seconds(*time.groups()) for time in times if time)
                cues.append(_Cue(start, end, _plain(shown.split("\\N"))))
    if text.strip() and not fields:
        raise ValueError("subtitles hold no 'Format:' line, so are not ASS")
    return cues


def _read_ttml(text: str) -> Iterator[_Cue]:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("TTML subtitles with a DOCTYPE are refused: entities may grow without end")
    try:
        # A declared encoding would contradict the text that is decoded already.
        root = ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text))
    except ElementTree.ParseError as error:
        raise ValueError(f"TTML subtitles are not well-formed XML: {error}") from error
    rates = {name.rsplit("}", 1)[-1]: value for name, value in root.attrib.items()}
    frame_rate = float(rates.get("frameRate", 30))
    tick_rate = float(rates.get("tickRate", 1))
    for element in root.iter():
        if element.tag.rsplit("}", 1)[-1] != "p" or "begin" not in element.attrib:
            continue
        start = _ttml_seconds(element.attrib["begin"], frame_rate, tick_rate)
        if "end" in element.attrib:
            end = _ttml_seconds(element.attrib["end"], frame_rate, tick_rate)
        else:
            end = start + _ttml_seconds(element.attrib.get("dur", "0s"), frame_rate, tick_rate)
        yield _Cue(start, end, _plain_ttml(element))


def _plain_ttml(element: ElementTree.Element) -> list[str]:
    parts: list[str] = []

    def collect(node: ElementTree.Element) -> None:
        parts.append("\n" if node.tag.rsplit("}", 1)[-1] == "br" else (node.text or ""))
        for child in node:
            collect(child)
            parts.append(child.tail or "")

    collect(element)
    lines = (" ".join(line.split()) for line in "".join(parts).split("\n"))
    return [line for line in lines if line]


def _ttml_seconds(value: str, frame_rate: float, tick_rate: float) -> float:
    offset = re.fullmatch(r"(\d+(?:\.\d+)?)(h|m|s|ms|f|t)", value.strip())
    if offset:
        number, unit = float(offset[1]), offset[2]
        seconds_per_unit = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}
        if unit in seconds_per_unit:
            return number * seconds_per_unit[unit]
        return number / (frame_rate if unit == "f" else tick_rate)
    clock = re.fullmatch(r"(\d+):(\d{2}):(\d{2}(?:\.\d+)?)(?::(\d+))?", value.strip())
    if not clock:
        raise ValueError(f"{value!r} is not a TTML time")
    return _seconds(clock[1], clock[2], clock[3]) + float(clock[4] or 0) / frame_rate


def _read_json3(text: str) -> Iterator[_Cue]:
    try:
        events: Any = json.loads(text)["events"]
        for event in events:
            if "segs" not in event or event.get("aAppend"):
                continue
            said = "".join(part.get("utf8", "") for part in event["segs"])
            start = event["tStartMs"] / 1000
            yield _Cue(start, start + event.get("dDurationMs", 0) / 1000, _plain(said.split("\n")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"subtitles are not in json3 format: {error!r}") from error


_READERS: dict[str, Callable[[str], Iterator[_Cue] | list[_Cue]]] = {
    "vtt": _read_vtt,
    "srt": _read_srt,
    "ass": _read_ass,
    "ssa": _read_ass,
    "ttml": _read_ttml,
    "dfxp": _read_ttml,
    "xml": _read_ttml,
    "json3": _read_json3,
    "json": _read_json3,
}
