"""Subtitles that lie in a media file beside its pictures, as lines of text."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from av.stream import Disposition

from clipmill.core.sample import Subtitle
from clipmill.io.stretch import Place
from clipmill.media.pulse import beat
from clipmill.media.pyav import as_fraction, decode_packet, known_time, open_media, read_only
from clipmill.media.subtitles import plain_line

_UNKNOWN_LANGUAGE = "und"


def embedded_subtitles(path: Place, zero_seconds: Fraction) -> list[Subtitle]:
    """The lines of a file's text subtitles, in order of time, language by language.

    Of several streams in one language the first is taken, before those that show foreign words
    alone (forced); pictures of text are left out.

    Args:
        path: a local media file.
        zero_seconds: when the source's first frame is shown by the file's own clock.

    Raises:
        ProcessError: the file cannot be read.
    """
    with open_media(path) as container:
        chosen: dict[str, Any] = {}
        texts = [one for one in container.streams.subtitles if _is_text(one)]
        for stream in sorted(texts, key=lambda one: bool(one.disposition & Disposition.forced)):
            chosen.setdefault(stream.language or _UNKNOWN_LANGUAGE, stream)
        if not chosen:
            return []
        languages = {stream.index: language for language, stream in chosen.items()}
        read_only(container, list(chosen.values()))
        lines: dict[str, list[Subtitle]] = {language: [] for language in chosen}
        for packet in container.demux(*chosen.values()):
            beat()
            if packet.size:
                language = languages[packet.stream.index]
                lines[language] += _lines_of(packet, language, zero_seconds)
    return [
        line
        for found in lines.values()
        for line in sorted(found, key=lambda one: (one.start_seconds, one.end_seconds))
    ]


def _is_text(stream: Any) -> bool:
    return stream.codec_context is not None and stream.codec_context.codec.text_sub


def _lines_of(packet: Any, language: str, zero_seconds: Fraction) -> list[Subtitle]:
    pts = known_time(packet.pts)
    if pts is None:
        return []
    base = as_fraction(packet.time_base) or Fraction(1)
    begin = pts * base - zero_seconds
    start, end = max(float(begin), 0.0), float(begin + (packet.duration or 0) * base)
    parts, _ = decode_packet(packet.stream.codec_context, packet)
    texts = (getattr(part, "dialogue", None) for part in parts)
    plain = (plain_line(text.decode("utf-8", "replace")) for text in texts if text)
    return [Subtitle(language, start, end, text) for text in plain if text and end > start]
