"""The files of a source's clips that are made of its packets rather than of decoded pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from clipmill.core.edit import Edit
from clipmill.core.errors import ProcessError
from clipmill.media.clip_plan import ORIGINAL
from clipmill.media.clip_work import ClipWork
from clipmill.media.clip_writer import MadeFile
from clipmill.media.containers import AUDIO_ONLY, CONTAINERS, original_extension
from clipmill.media.cut_copy import cut_copy, cut_sound
from clipmill.media.decode import MediaFile
from clipmill.media.facts import Probe
from clipmill.media.framing import Framing
from clipmill.media.packets import PacketSource
from clipmill.media.prepare import natural_audio_extension


def copy_clips(
    clips: Sequence[ClipWork],
    media: MediaFile,
    facts: Probe,
    edit: Edit,
    wanted: Mapping[str, str],
) -> dict[str, str]:
    """Make what can be made of packets as they are.

    Args:
        clips: what to make; each gets its files or its failure.
        media: the open source.
        facts: what it is.
        edit: whether sound goes along.
        wanted: ``video`` and ``audio``, each with the extension wanted.

    Returns:
        What of ``wanted`` is still to be coded: sound that a container does not hold as it is.
    """
    left = dict(wanted)
    with PacketSource(media) as source:
        if "video" in left:
            extension = _extension(facts, left.pop("video"))
            sound = edit.audio_codec != "none"

            def cut(clip: ClipWork, target: Path) -> MadeFile:
                made = cut_copy(source, media, clip.span, target, facts=facts, sound=sound)
                return replace(made, geometry=_whole(facts).row())

            _make(clips, extension, cut)
        audio = left.get("audio")
        if audio and facts.audio and _holds(audio, facts.audio[0].codec, edit):
            if audio == ORIGINAL:
                audio = natural_audio_extension(facts.audio[0].codec)
            _make(clips, audio, lambda clip, to: cut_sound(source, clip.span, to))
            del left["audio"]
    return left


def _make(
    clips: Sequence[ClipWork], extension: str, cut: Callable[[ClipWork, Path], MadeFile]
) -> None:
    for clip in clips:
        if not clip.has_failed:
            target = clip.folder / f"{clip.order.name}.{extension}"
            try:
                clip.add(extension, cut(clip, target))
            except ProcessError as error:
                clip.fail(error)


def _extension(facts: Probe, wanted: str) -> str:
    """The extension of copied video; what cannot be written is put into the container of all."""
    if wanted != ORIGINAL:
        return wanted
    extension = original_extension(facts)
    return extension if extension in CONTAINERS and extension not in AUDIO_ONLY else "mkv"


def _holds(extension: str, codec: str, edit: Edit) -> bool:
    if edit.audio_codec not in (None, "copy", "none"):
        return False
    return extension == ORIGINAL or (
        extension in CONTAINERS and CONTAINERS[extension].holds_audio(codec)
    )


def _whole(facts: Probe) -> Framing:
    """The picture as displayed, with nothing done to it."""
    assert facts.video is not None
    width, height = facts.video.width or 0, facts.video.height or 0
    return Framing(width, height, (0, 0, width, height), width, height, width, height)
