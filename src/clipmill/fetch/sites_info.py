"""What is kept of a site's metadata, and which of its subtitles are fetched."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from clipmill.core.redact import plain_text, redact_url

# Bulky, of this moment only, or secret.
_DROPPED = frozenset(
    {
        *("automatic_captions", "cookies", "downloader_options", "epoch", "filename", "filepath"),
        *("formats", "fragment_base_url", "fragments", "heatmap", "http_headers"),
        *("manifest_url", "play_path", "player_url", "requested_downloads", "requested_formats"),
        *("requested_subtitles", "storyboards", "subtitles", "thumbnails", "url"),
    }
)
_SIGNED = re.compile(
    r"(?i)[?&;](?:[lr]?sig\w*|expires?|hdnt[sla]|hdnea|token|policy|hmac|md5|hash|key|key-pair-id"
    r"|auth\w*|x-(?:amz|goog)-[^=]+|st|e)="
)
_INTEGER_BITS = 64
_SUBTITLE_FORMATS = ("vtt", "srt", "ttml", "dfxp", "json3")


class WantsSubtitles(Protocol):
    """Which subtitles are wanted."""

    @property
    def subtitles(self) -> str:
        """``none``, ``first`` or ``all``."""

    @property
    def subtitle_languages(self) -> Sequence[str]:
        """In order of preference; ``all`` stands for every language."""

    @property
    def automatic_subtitles(self) -> bool:
        """Whether machine-made ones will do."""


def clean_info(value: Any) -> Any:
    """Metadata without what is bulky, of the moment or secret; signed URLs lose their query.

    Numbers and texts that JSON or a table cannot hold become null, and question marks.
    """
    if isinstance(value, Mapping):
        return {
            plain_text(str(key)): clean_info(part)
            for key, part in value.items()
            if key not in _DROPPED and not str(key).startswith("_")
        }
    if isinstance(value, (list, tuple)):
        return [clean_info(part) for part in value]
    if isinstance(value, str) and "://" in value:
        value = redact_url(value.partition("?")[0] if _is_signed_url(value) else value)
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, int):
        return value if value.bit_length() < _INTEGER_BITS else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _is_signed_url(text: str) -> bool:
    return re.match(r"https?://\S+$", text) is not None and _SIGNED.search(text) is not None


def pick_subtitles(
    info: Mapping[str, Any], wanted: WantsSubtitles
) -> Iterator[tuple[str, bool, Mapping[str, Any]]]:
    """Yield (language, whether automatic, track) of what is wanted, best first.

    A language is found by its code, else by a variant of it (``en`` finds ``en-GB``); made by
    people first, by machines only where those will do and people made none.
    """
    if wanted.subtitles == "none":
        return
    by_people = info.get("subtitles") or {}
    by_machines = (info.get("automatic_captions") or {}) if wanted.automatic_subtitles else {}
    languages: list[str] = []
    for language in wanted.subtitle_languages:
        languages += sorted({*by_people, *by_machines}) if language == "all" else [language]
    seen: set[str] = set()
    for language in languages:
        for tracks, automatic in ((by_people, False), (by_machines, True)):
            code = _variant(language, tracks)
            track = _readable(tracks.get(code) or ()) if code else None
            if code and track:
                if code not in seen:
                    yield code, automatic, track
                seen.add(code)
                break


def _variant(language: str, tracks: Mapping[str, Any]) -> str | None:
    if language in tracks:
        return language
    return next((code for code in sorted(tracks) if code.startswith(f"{language}-")), None)


def _readable(tracks: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The track in the format that is easiest to read; None when none is known."""
    known = [track for track in tracks if track.get("ext") in _SUBTITLE_FORMATS]
    return min(known, key=lambda track: _SUBTITLE_FORMATS.index(track["ext"]), default=None)
