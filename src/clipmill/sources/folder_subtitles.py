"""Subtitle files beside media files: ``walk.srt`` or ``walk.en.srt`` are of ``walk.mp4``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict
from typing import Any

from clipmill.core.sample import Subtitle
from clipmill.media.subtitles import parse_subtitles
from clipmill.sources.streams import open_stored, reading
from clipmill.sources.table_format import extension_of

_EXTENSIONS = frozenset({"srt", "vtt", "ass", "ssa", "ttml"})
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_UNKNOWN_LANGUAGE = "und"


def media_stem(name: str, stems: Collection[str]) -> str | None:
    """Stem of the media file that a subtitle file is of; None for any other file.

    Args:
        name: of the file.
        stems: those of the media files of its folder.
    """
    if extension_of(name) not in _EXTENSIONS:
        return None
    stem = name.rpartition(".")[0]
    if stem in stems:
        return stem
    shorter, _, language = stem.rpartition(".")
    return shorter if shorter in stems and _LANGUAGE.fullmatch(language) else None


def read_subtitles(folder: str, stem: str, names: Iterable[str]) -> list[dict[str, Any]]:
    """The lines of a media file's subtitle files, as cells; of one that is no such file, none.

    Args:
        folder: that they lie in.
        stem: of the media file.
        names: of the subtitle files; those without a language come first.
    """
    ordered = sorted(names, key=lambda name: (name.count("."), name))
    return [asdict(line) for name in ordered for line in _lines(folder, stem, name)]


def _lines(folder: str, stem: str, name: str) -> Iterator[Subtitle]:
    path = f"{folder}/{name}"
    with reading(path), open_stored(path) as file:
        data = file.read()
    language = name[len(stem) + 1 :].rpartition(".")[0] or _UNKNOWN_LANGUAGE
    try:
        yield from parse_subtitles(data, extension_of(name), language=language)
    except ValueError:
        return
