"""Which container holds which codecs, and what a file's container is called by its users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clipmill.core.errors import ProcessError
from clipmill.media.facts import Probe

if TYPE_CHECKING:
    from clipmill.core.edit import Edit


@dataclass(frozen=True, slots=True)
class Container:
    """What one file extension stands for.

    Args:
        muxer: libav's name of the writer.
        video: codecs it holds; None for any that libav can write there.
        audio: codecs it holds; None for any that libav can write there.
        encoder: for audio that it does not hold; None where audio is only ever copied.
        options: for the writer.
    """

    muxer: str
    video: frozenset[str] | None
    audio: frozenset[str] | None
    encoder: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def holds_video(self, codec: str) -> bool:
        """Whether video of this codec can be written as it is."""
        return self.video is None or codec in self.video

    def holds_audio(self, codec: str) -> bool:
        """Whether audio of this codec can be written as it is."""
        if "pcm" in (self.audio or ()) and codec.startswith("pcm_"):
            return True
        return self.audio is None or codec in self.audio


def _of(codecs: str) -> frozenset[str]:
    return frozenset(codecs.split())


_MP4_VIDEO = _of("h264 hevc av1 vp9 vvc mpeg4 mpeg2video mpeg1video")
_MP4_AUDIO = _of("aac mp3 mp2 ac3 eac3 alac opus flac vorbis dts")
# The index in front lets a reader start, and a probe end, before the whole file is there.
_FASTSTART = {"movflags": "+faststart"}

CONTAINERS: dict[str, Container] = {
    "mp4": Container("mp4", _MP4_VIDEO, _MP4_AUDIO, "aac", _FASTSTART),
    "m4v": Container("mp4", _MP4_VIDEO, _MP4_AUDIO, "aac", _FASTSTART),
    "mov": Container(
        "mov",
        _MP4_VIDEO - {"av1", "vp9", "vvc"} | _of("prores dnxhd mjpeg png qtrle dvvideo"),
        _of("aac mp3 ac3 eac3 alac pcm"),
        "aac",
        _FASTSTART,
    ),
    "mkv": Container("matroska", None, None, "flac"),
    "webm": Container("webm", _of("vp8 vp9 av1"), _of("opus vorbis"), "libopus"),
    "m4a": Container("ipod", _of(""), _of("aac alac"), "aac", _FASTSTART),
    "mka": Container("matroska", _of(""), None, "flac"),
    "ogg": Container("ogg", _of(""), _of("opus vorbis flac"), "libopus"),
    "opus": Container("opus", _of(""), _of("opus"), "libopus"),
    "mp3": Container("mp3", _of(""), _of("mp3"), "libmp3lame"),
    "aac": Container("adts", _of(""), _of("aac"), "aac"),
    "flac": Container("flac", _of(""), _of("flac"), "flac"),
    "wav": Container("wav", _of(""), _of("pcm"), "pcm_s16le"),
}
AUDIO_ONLY = frozenset(name for name, kind in CONTAINERS.items() if kind.video == frozenset())

# Extensions that a file keeps byte for byte although it may be known by another one.
_SAME_FAMILY: dict[str, frozenset[str]] = {
    "mp4": _of("mp4 m4v mov m4a"),
    "mov": _of("mov mp4 m4v m4a"),
    "webm": _of("webm mkv mka"),
    "matroska": _of("mkv mka"),
    "ogg": _of("ogg oga opus"),
}
_EXTENSIONS = {
    "matroska": ("mkv", "mka"),
    "mp4": ("mp4", "m4a"),
    "mpegts": ("ts", "ts"),
    "mpeg": ("mpg", "mpg"),
    "mpegvideo": ("mpg", "mpg"),
    "asf": ("wmv", "wma"),
    "ogg": ("ogv", "ogg"),
    "aiff": ("aiff", "aiff"),
}


def container_of(extension: str) -> Container:
    """The container that an extension stands for.

    Raises:
        ProcessError: nothing is known under this extension.
    """
    try:
        return CONTAINERS[extension]
    except KeyError:
        raise ProcessError(
            f"media cannot be written as {extension!r}; choose one of "
            f"{', '.join(CONTAINERS)}, or 'original' to keep every file as it came",
            error_class="container_mismatch",
        ) from None


def holds_sound(edit: Edit, extension: str) -> bool:
    """Whether a container holds the codec of sound that is asked for, if one is."""
    wanted = edit.audio_codec
    if wanted in (None, "copy", "none"):
        return True
    return container_of(extension).holds_audio("pcm_s16le" if wanted == "pcm" else str(wanted))


def refuse_video_codec(edit: Edit, extension: str) -> None:
    """Refuse a codec of video that its container does not hold.

    Raises:
        ProcessError: it does not (``container_mismatch``).
    """
    codec = edit.video_codec
    if not container_of(extension).holds_video(codec):
        holders = [name for name, kind in CONTAINERS.items() if kind.holds_video(codec)]
        raise ProcessError(
            f"{codec} video cannot be put into {extension}; choose another codec, or "
            f"one of the containers {', '.join(holders)}",
            error_class="container_mismatch",
        )


def refuse_sound_codec(edit: Edit, extension: str) -> None:
    """Refuse a codec of sound that its container does not hold.

    Raises:
        ProcessError: it does not (``container_mismatch``).
    """
    if not holds_sound(edit, extension):
        raise ProcessError(
            f"{edit.audio_codec} sound cannot be put into {extension}; its own choice is "
            f"{container_of(extension).encoder}",
            error_class="container_mismatch",
        )


def original_extension(probe: Probe) -> str:
    """What a file of this container and content is usually called, without dot."""
    with_video, sound_only = _EXTENSIONS.get(probe.container, (probe.container,) * 2)
    if probe.container == "ogg" and probe.video is None and probe.audio[0].codec == "opus":
        return "opus"
    return with_video if probe.video else sound_only


def fits(probe: Probe, extension: str) -> bool:
    """Whether a file may be kept byte for byte under an extension.

    An mp4, m4a or mov is one family to every reader; what is asked for as sound must hold no
    picture, and be coded as its name promises.
    """
    family = _SAME_FAMILY.get(probe.container, frozenset({probe.container}))
    if extension not in AUDIO_ONLY:
        return extension in family
    holds = CONTAINERS[extension].holds_audio
    return extension in family and not probe.video and all(holds(a.codec) for a in probe.audio)
