"""What the files of a source's clips are made of, decided once for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from clipmill.core.edit import Edit
from clipmill.core.errors import ProcessError
from clipmill.core.request import Audio, Frames
from clipmill.media.containers import AUDIO_ONLY, container_of, holds_sound
from clipmill.media.encoders import (
    SoundCoding,
    VideoCoding,
    choose_sound,
    choose_video,
    gop_size,
)
from clipmill.media.framing import Box, Framing, plan_framing

ORIGINAL = "original"
_NATURAL = {"h264": "mp4", "hevc": "mp4", "av1": "mp4", "vp9": "webm", "ffv1": "mkv"}
_NATURAL_AUDIO = {"opus": "opus", "mp3": "mp3", "flac": "flac", "pcm": "wav"}


@dataclass(frozen=True, slots=True)
class Traits:
    """What must be known of a source before its clips are made.

    Args:
        width: of the picture as displayed, in pixels; None for sound alone.
        height: likewise.
        time_base: seconds per tick of the video.
        frame_rate: frames per second on average.
        rotation_degrees: clockwise turn that shows stored pictures upright.
        sound_rate: of the main audio, in Hz; None for no sound.
        channels: of the main audio.
        layout: libav's name of their arrangement, such as ``stereo``.
        sound_codec: libav's name of the codec of the main audio, such as ``aac``.
        language: of the main audio, or None.
    """

    width: int | None
    height: int | None
    time_base: Fraction
    frame_rate: Fraction
    rotation_degrees: int
    sound_rate: int | None
    channels: int
    layout: str
    sound_codec: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class PicturePlan:
    """The pictures of a file.

    Args:
        coding: their encoder.
        framing: from the source's pictures to these.
        time_base: seconds per tick.
        frame_rate: frames per second on average.
        rotation_degrees: clockwise turn that shows stored pictures upright.
        is_constant: whether every picture lasts one tick; else they keep the source's timing.
        gop: frames from one key frame to the next, at the most.
    """

    coding: VideoCoding
    framing: Framing
    time_base: Fraction
    frame_rate: Fraction
    rotation_degrees: int
    is_constant: bool
    gop: int

    @property
    def request(self) -> Frames:
        """The frames that the decode must give, for one clip."""
        framing = self.framing
        return Frames(
            fps=self.frame_rate if self.is_constant else None,
            crop=framing.frames_crop,
            size=(framing.scaled_width, framing.scaled_height),
            pixel_format="yuv420p",
        )


@dataclass(frozen=True, slots=True)
class FilePlan:
    """One file of each clip.

    Args:
        extension: its name's ending and its container.
        pictures: None for sound alone.
        sound: None for no sound, or for sound that is copied.
        copies_sound: whether packets of the main audio go along as they are.
        language: of the sound, or None.
        notes: what the user should know.
    """

    extension: str
    pictures: PicturePlan | None
    sound: SoundCoding | None
    copies_sound: bool = False
    language: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def role(self) -> str:
        """What it is of a clip: ``video`` or ``audio``."""
        return "video" if self.pictures else "audio"

    @property
    def sound_request(self) -> Audio | None:
        """The sound that the decode must give, for one clip."""
        if self.sound is None:
            return None
        # More than two channels are the source's own.
        channels = self.sound.channels if self.sound.channels <= 2 else None
        return Audio(rate=self.sound.rate, channels=channels)


def plan_files(
    traits: Traits, edit: Edit, wanted: Mapping[str, str], letterbox: Box | None = None
) -> list[FilePlan]:
    """The files of each clip of a source.

    Args:
        traits: of the source.
        edit: what is asked for.
        wanted: ``video`` and ``audio``, each with the extension wanted, such as
            ``{"video": "mp4", "audio": "m4a"}``; ``original`` takes what suits the codec.
        letterbox: the box within black bars, where they were looked for.

    Raises:
        ProcessError: the source lacks what is wanted (``no_video_stream``, ``no_audio_stream``),
            or a container does not hold a codec (``container_mismatch``).
    """
    plans = []
    if "video" in wanted:
        plans.append(_video_file(traits, edit, wanted["video"], letterbox))
    if "audio" in wanted:
        plans.append(_audio_file(traits, edit, wanted["audio"], beside="video" in wanted))
    names = [plan.extension for plan in plans]
    if len(set(names)) < len(names):
        raise ProcessError(
            f"video and audio would both be named .{names[0]}; ask for different containers",
            error_class="container_mismatch",
        )
    return plans


def plan_picture_framing(traits: Traits, edit: Edit, letterbox: Box | None = None) -> Framing:
    """Where the pixels of a source's pictures go.

    Raises:
        ProcessError: there are no pictures (``no_video_stream``), or the box to keep lies outside
            of them (``crop_outside``).
    """
    if traits.width is None or traits.height is None:
        raise ProcessError(
            "it holds sound alone, but video is wanted", error_class="no_video_stream"
        )
    even = edit.video_codec != "ffv1"
    return plan_framing(traits.width, traits.height, edit, letterbox=letterbox, even=even)


def _video_file(traits: Traits, edit: Edit, wanted: str, letterbox: Box | None) -> FilePlan:
    framing = plan_picture_framing(traits, edit, letterbox)
    extension = _NATURAL[edit.video_codec] if wanted == ORIGINAL else wanted
    if extension in AUDIO_ONLY:
        raise ProcessError(
            f"video cannot be put into {extension}, which holds sound alone",
            error_class="container_mismatch",
        )
    coding = choose_video(edit, extension)
    rate = edit.frame_rate or traits.frame_rate
    pictures = PicturePlan(
        coding,
        framing,
        1 / rate if edit.frame_rate else traits.time_base,
        rate,
        traits.rotation_degrees,
        edit.frame_rate is not None,
        gop_size(edit, rate),
    )
    sound, copies = None, edit.audio_codec == "copy" and traits.sound_rate is not None
    copies = copies and container_of(extension).holds_audio(traits.sound_codec)
    if traits.sound_rate and edit.audio_codec != "none" and not copies:
        sound = choose_sound(edit, extension, traits.sound_rate, traits.channels, traits.layout)
    notes = tuple(note for note in (coding.note, sound and sound.note) if note)
    return FilePlan(extension, pictures, sound, copies, traits.language, notes)


def _audio_file(traits: Traits, edit: Edit, wanted: str, *, beside: bool) -> FilePlan:
    if not traits.sound_rate:
        raise ProcessError("it has no sound, but audio is wanted", error_class="no_audio_stream")
    extension = wanted
    if wanted == ORIGINAL:
        extension = _NATURAL_AUDIO.get(str(edit.audio_codec), "m4a")
    if beside and not holds_sound(edit, extension):
        edit = edit.model_copy(update={"audio_codec": None})  # it was meant for the video
    sound = choose_sound(edit, extension, traits.sound_rate, traits.channels, traits.layout)
    notes = (sound.note,) if sound.note else ()
    return FilePlan(extension, None, sound, language=traits.language, notes=notes)
