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
from clipmill.media.decode import MediaFile, Picture
from clipmill.media.facts import Probe
from clipmill.media.framing import Framing
from clipmill.media.packets import PacketSource
from clipmill.media.prepare import natural_audio_extension
from clipmill.media.smart_cut import (
    CannotMixError,
    SmartPlan,
    code_edge,
    cut_smart,
    plan_smart,
)

_AS_IT_IS = (None, "copy", "none")


def copy_clips(
    clips: Sequence[ClipWork],
    media: MediaFile,
    facts: Probe,
    edit: Edit,
    wanted: Mapping[str, str],
) -> None:
    """Make what can be made of packets as they are: all but sound that its container cannot hold.

    Args:
        clips: what to make; each gets its files or its failure.
        media: the open source.
        facts: what it is.
        edit: whether sound goes along.
        wanted: ``video`` and ``audio``, each with the extension wanted.
    """
    with PacketSource(media) as source:
        if "video" in wanted:
            sound = edit.audio_codec != "none"

            def cut(clip: ClipWork, target: Path) -> MadeFile:
                made = cut_copy(source, media, clip.span, target, facts=facts, sound=sound)
                return replace(made, geometry=_whole(facts).row())

            _make(clips, _extension(facts, wanted["video"]), cut)
        audio = wanted.get("audio")
        if audio and facts.audio and _holds(audio, facts.audio[0].codec, edit):
            if audio == ORIGINAL:
                audio = natural_audio_extension(facts.audio[0].codec)
            _make(clips, audio, lambda clip, to: cut_sound(source, clip.span, to))


def mix_clips(
    clips: Sequence[ClipWork], media: MediaFile, facts: Probe, edit: Edit, wanted: str
) -> None:
    """Make clips to the frame that are copied but for their edges.

    Args:
        clips: what to make; each gets its video, or a note why it must be coded as a whole.
        media: the open source.
        facts: what it is.
        edit: whether sound goes along.
        wanted: extension of the video.

    Raises:
        ProcessError: the source cannot be decoded.
    """
    extension = _extension(facts, wanted)
    index = media.frames
    if index is None or edit.audio_codec not in _AS_IT_IS:
        return
    with PacketSource(media) as source:
        plans: list[tuple[ClipWork, Path, SmartPlan]] = []
        for clip in clips:
            target = clip.folder / f"{clip.order.name}.{extension}"
            try:
                plans.append((clip, target, plan_smart(source, index, clip.span, facts, target)))
            except CannotMixError as reason:
                clip.note(f"coded anew as a whole: {reason}")
        _code_edges(media, source, [plan for *_, plan in plans])
        for clip, target, plan in plans:
            try:
                sound = media.sound if edit.audio_codec != "none" else None
                made = cut_smart(source, index, plan, target, sound=sound)
            except (CannotMixError, ProcessError) as reason:
                clip.note(f"coded anew as a whole: {reason}")
                continue
            clip.add(extension, replace(made, geometry=_whole(facts).row()))


def _code_edges(media: MediaFile, source: PacketSource, plans: Sequence[SmartPlan]) -> None:
    """Decode the edges of all clips in one run, and code each as its frames come by."""
    assert media.frames is not None
    routes = [(plan, edge) for plan in plans for edge in plan.edges]
    wants = [want for plan in plans for want in plan.wants(media.frames)]
    for piece in media.decode(wants) if wants else ():
        assert isinstance(piece, Picture)
        plan, edge = routes[piece.want]
        code_edge(plan, edge, source, piece.source)
        if piece.number == edge.numbers[-1]:
            code_edge(plan, edge, source, None)


def _make(
    clips: Sequence[ClipWork], extension: str, cut: Callable[[ClipWork, Path], MadeFile]
) -> None:
    for clip in clips:
        if not clip.has_failed:
            target = clip.folder / f"{clip.order.name}.{extension}"
            try:
                clip.add(extension, cut(clip, target))
            except ProcessError as error:
                target.unlink(missing_ok=True)
                clip.fail(error)


def _extension(facts: Probe, wanted: str) -> str:
    """The extension of copied video; what cannot be written is put into the container of all."""
    if wanted != ORIGINAL:
        return wanted
    extension = original_extension(facts)
    return extension if extension in CONTAINERS and extension not in AUDIO_ONLY else "mkv"


def _holds(extension: str, codec: str, edit: Edit) -> bool:
    if edit.audio_codec not in _AS_IT_IS or edit.audio_sample_rate or edit.audio_channels:
        return False
    return extension == ORIGINAL or (
        extension in CONTAINERS and CONTAINERS[extension].holds_audio(codec)
    )


def _whole(facts: Probe) -> Framing:
    """The picture as displayed, with nothing done to it."""
    assert facts.video is not None
    width, height = facts.video.width or 0, facts.video.height or 0
    return Framing(width, height, (0, 0, width, height), width, height, width, height)
