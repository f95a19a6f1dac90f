"""From a downloaded file to the members of a sample: kept as it came, or in another container."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clipmill.core.errors import ProcessError
from clipmill.io.append import hash_file
from clipmill.media.containers import AUDIO_ONLY, CONTAINERS, fits, original_extension
from clipmill.media.facts import Prepared, PreparedFile, Probe
from clipmill.media.probe import probe
from clipmill.media.remux import mismatch, remux, transcode_audio

ORIGINAL = "original"


def prepare(
    path: Path,
    *,
    wanted: Mapping[str, str],
    folder: Path,
    audio_path: Path | None = None,
    keep_keyframes: bool = False,
) -> Prepared:
    """Probe a downloaded file and bring it into the containers that are wanted.

    A file stays byte for byte as it is when its container fits. Otherwise its packets are put
    into the container wanted; video is never coded anew, sound only where its container demands
    it. A file whose main stream is not asked for costs nothing but its probe.

    Args:
        path: the downloaded file.
        wanted: ``video`` and ``audio``, each with the extension wanted, such as
            ``{"video": "mp4", "audio": "m4a"}``; ``original`` keeps what came.
        folder: where new files are written, named after ``path``.
        audio_path: the sound, when it was downloaded apart from the picture.
        keep_keyframes: also list the times of key frames in the probe.

    Raises:
        ProcessError: the file is broken, lacks what is wanted (``no_video_stream``,
            ``no_audio_stream``), or is coded in a way the container cannot hold
            (``container_mismatch``).
    """
    facts = probe(path, keyframes=keep_keyframes)
    try:
        return _prepared(path, facts, audio_path, wanted, folder, keep_keyframes)
    except ProcessError as error:
        error.details["probe"] = facts.row()  # what was learnt stays with the failed row
        raise


def _prepared(
    path: Path,
    facts: Probe,
    audio_path: Path | None,
    wanted: Mapping[str, str],
    folder: Path,
    keep_keyframes: bool,
) -> Prepared:
    sound_facts = probe(audio_path) if audio_path else facts
    members: dict[str, PreparedFile] = {}
    if "video" in wanted:
        extension, file = _video(path, facts, audio_path, sound_facts, wanted["video"], folder)
        members[extension] = file
        if audio_path:
            facts = probe(file.path, keyframes=keep_keyframes)
    if "audio" in wanted:
        source = audio_path or path
        extension, file = _audio(source, sound_facts, wanted["audio"], folder)
        if extension in members:
            raise ProcessError(
                f"video and audio would both be named .{extension}; ask for different containers",
                error_class="container_mismatch",
            )
        members[extension] = file
    return Prepared(facts.row(), members)


def _video(
    path: Path,
    facts: Probe,
    audio_path: Path | None,
    sound_facts: Probe,
    wanted: str,
    folder: Path,
) -> tuple[str, PreparedFile]:
    if facts.video is None:
        raise ProcessError(
            "it holds sound alone, but video is wanted", error_class="no_video_stream"
        )
    if audio_path is None and (wanted == ORIGINAL or fits(facts, wanted)):
        extension = original_extension(facts) if wanted == ORIGINAL else wanted
        return extension, _unchanged(path)
    if wanted == ORIGINAL:
        wanted = _common_extension(facts, sound_facts)
    elif wanted in AUDIO_ONLY:
        raise mismatch(facts.video.codec, "video", wanted)
    target = folder / f"{path.name}.{wanted}"
    remux(path, target, extension=wanted, audio_source=audio_path)
    return wanted, new_file(target)


def _audio(path: Path, facts: Probe, wanted: str, folder: Path) -> tuple[str, PreparedFile]:
    if not facts.audio:
        raise ProcessError("it has no sound, but audio is wanted", error_class="no_audio_stream")
    if facts.video is None and (wanted == ORIGINAL or fits(facts, wanted)):
        extension = original_extension(facts) if wanted == ORIGINAL else wanted
        return extension, _unchanged(path)
    if wanted == ORIGINAL:
        wanted = natural_audio_extension(facts.audio[0].codec)
    target = folder / f"{path.name}.{wanted}"
    kind = CONTAINERS.get(wanted)
    if kind and kind.holds_audio(facts.audio[0].codec):
        remux(path, target, extension=wanted, streams="audio")
    else:
        transcode_audio(path, target, extension=wanted)
    return wanted, new_file(target)


def _common_extension(facts: Probe, sound_facts: Probe) -> str:
    """What a picture and a sound that came apart are put into when any container will do."""
    codecs = [sound.codec for sound in sound_facts.audio]
    for extension in ("mp4", "webm"):
        kind = CONTAINERS[extension]
        holds_picture = facts.video is not None and kind.holds_video(facts.video.codec)
        if holds_picture and all(kind.holds_audio(codec) for codec in codecs):
            return extension
    return "mkv"


def natural_audio_extension(codec: str) -> str:
    """What sound of a codec is usually kept in."""
    for extension in ("m4a", "opus", "ogg", "mp3", "flac", "wav"):
        if CONTAINERS[extension].holds_audio(codec):
            return extension
    return "mka"


def _unchanged(path: Path) -> PreparedFile:
    return PreparedFile(path, path.stat().st_size, None)


def new_file(path: Path) -> PreparedFile:
    """A member that was written here.

    Raises:
        ProcessError: libav has written nothing (``no_packets``).
    """
    if not path.exists():  # libav makes no file for a stream without a single packet
        raise ProcessError("nothing in it could be read", error_class="no_packets")
    return PreparedFile(path, path.stat().st_size, hash_file(path))
