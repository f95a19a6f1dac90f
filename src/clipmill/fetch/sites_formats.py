"""Which of a site's formats to take: the smallest that is good enough and plays anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Format = Mapping[str, Any]

# What yt-dlp fetches by itself, through its own guarded connections.
_PROTOCOLS = frozenset(
    {
        "http",
        "https",
        "m3u8",
        "m3u8_native",
        "http_dash_segments",
        "http_dash_segments_generator",
        "ism",
    }
)


class Choice(NamedTuple):
    """What to fetch of one video.

    Args:
        main: the format that holds what was asked for first.
        audio: a format with the sound alone, when ``main`` has pictures alone.
    """

    main: Format
    audio: Format | None = None


def choose_formats(
    formats: Sequence[Format], modalities: Sequence[str], max_height: int, audio_rate: int
) -> Choice | None:
    """Choose what to fetch.

    With ``video`` asked for: the lowest format at least as high as wanted, else the highest; at one
    height mp4 with H.264 first, then one that holds sound too, then the smallest. A format without
    sound is accompanied by one with sound alone, if there is any. With audio alone: the smallest
    m4a at least as rich as wanted, else the best sound.

    Args:
        formats: as yt-dlp lists them, worst first.
        modalities: ``video``, ``audio``.
        max_height: height wanted, in pixels.
        audio_rate: sample rate wanted, in Hz; 0 for the best.
    """
    usable = [each for each in formats if _is_usable(each)]
    sounds = [each for each in usable if not has_video(each)]
    pictures = [each for each in usable if has_video(each)]
    if "video" not in modalities:
        return _audio_choice(sounds, pictures, audio_rate)
    if not pictures:
        return None
    main = min(enumerate(pictures), key=lambda at: _video_rank(at[1], at[0], max_height))[1]
    if has_audio(main) or not sounds:
        return Choice(main)
    return Choice(main, _best_audio(sounds, audio_rate))


def has_video(each: Format) -> bool:
    """Whether a format holds pictures; unknown counts as yes."""
    return bool(each.get("vcodec") != "none")


def has_audio(each: Format) -> bool:
    """Whether a format holds sound; unknown counts as yes."""
    return bool(each.get("acodec") != "none")


def announced_bytes(each: Format) -> int:
    """Size a format is said to have, in bytes; 0 when nothing is said."""
    return int(each.get("filesize") or each.get("filesize_approx") or 0)


def _is_usable(each: Format) -> bool:
    return (
        (has_video(each) or has_audio(each))
        and each.get("protocol") in _PROTOCOLS
        and not each.get("has_drm")
    )


def _audio_choice(
    sounds: Sequence[Format], pictures: Sequence[Format], audio_rate: int
) -> Choice | None:
    if sounds:
        return Choice(_best_audio(sounds, audio_rate))
    muxed = [each for each in pictures if has_audio(each)]
    if not muxed:
        return None
    # The sound has to be taken out of a video, so the smallest video will do.
    return Choice(min(muxed, key=lambda each: (each.get("height") or math.inf, _weight(each))))


def _video_rank(each: Format, place: int, max_height: int) -> tuple[Any, ...]:
    height = each.get("height")
    codec = str(each.get("vcodec") or "")
    is_h264 = codec.startswith(("avc", "h264"))
    if height is None:
        # Sites that do not say list the best last.
        fit: tuple[float, ...] = (2, -place)
    elif height >= max_height:
        fit = (0, height)
    else:
        fit = (1, -height)
    return (
        *fit,
        -(each.get("language_preference") or -1),
        each.get("ext") != "mp4",
        each.get("dynamic_range") not in (None, "SDR"),
        bool(codec) and not is_h264,
        not has_audio(each),
        str(each.get("protocol")).startswith("m3u8"),
        _weight(each),
    )


def _best_audio(sounds: Sequence[Format], audio_rate: int) -> Format:
    native = max(each.get("language_preference") or -1 for each in sounds)
    sounds = [each for each in sounds if (each.get("language_preference") or -1) == native]
    rich = [
        each
        for each in sounds
        if audio_rate > 0 and each.get("ext") == "m4a" and (each.get("asr") or 0) >= audio_rate
    ]
    if rich:
        return min(rich, key=lambda each: (each["asr"], _weight(each)))
    return max(
        sounds,
        key=lambda each: (
            each.get("ext") == "m4a",
            each.get("abr") or each.get("tbr") or 0,
            each.get("asr") or 0,
        ),
    )


def _weight(each: Format) -> float:
    return float(announced_bytes(each) or each.get("tbr") or math.inf)
