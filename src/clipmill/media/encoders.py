"""Codec -> libav's encoder and its settings: one thread, the same bytes every time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import av

from clipmill.core.edit import Edit
from clipmill.core.errors import ProcessError
from clipmill.media.channels import USUAL_LAYOUTS, coded_layout
from clipmill.media.containers import container_of, refuse_sound_codec, refuse_video_codec

_SOFTWARE = {
    "h264": "libx264",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "ffv1": "ffv1",
}
_HARDWARE = {
    "h264": ("h264_nvenc", "h264_videotoolbox", "h264_qsv", "h264_amf", "h264_v4l2m2m"),
    "hevc": ("hevc_nvenc", "hevc_videotoolbox", "hevc_qsv", "hevc_amf", "hevc_v4l2m2m"),
    "av1": ("av1_nvenc", "av1_qsv", "av1_amf"),
    "vp9": ("vp9_qsv",),
    "ffv1": (),
}
_AUDIO = {
    "aac": "aac",
    "opus": "libopus",
    "mp3": "libmp3lame",
    "flac": "flac",
    "alac": "alac",
    "pcm": "pcm_s16le",
}
_X26_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
_PRESETS: dict[str, tuple[str, ...]] = {
    "libx264": _X26_PRESETS,
    "libx265": _X26_PRESETS,
    "libsvtav1": tuple(str(number) for number in range(14)),
    "libvpx-vp9": tuple(str(number) for number in range(-8, 9)),
    "ffv1": (),
}
"""Speeds that encoders know; those of hardware have names of their own."""
_AUDIO_BIT_RATE = {"aac": 192_000, "libmp3lame": 192_000, "libopus": 160_000}
X264_REPEATABLE = "cpu-independent=1"
"""Without it x264 takes code for wide registers that reads memory it never wrote, and no two runs
agree; with it processors agree as well. It costs 1 %."""
_PROOF_FRAMES = 4
_PROOF_SIZE = (320, 192)


@dataclass(frozen=True, slots=True)
class VideoCoding:
    """An encoder of pictures and its settings.

    Args:
        codec: libav's name of the codec, such as ``h264``.
        encoder: libav's name of the encoder, such as ``libx264``.
        options: for the encoder.
        keeps_pixels: whether pictures stay in the source's pixel format; else they are 8-bit
            4:2:0.
        note: what the user should know about the choice, or None.
    """

    codec: str
    encoder: str
    options: dict[str, str]
    keeps_pixels: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class SoundCoding:
    """An encoder of sound and its settings.

    Args:
        codec: libav's name of the codec, such as ``aac``.
        encoder: libav's name of the encoder.
        rate: samples per second, in Hz.
        channels: how many.
        layout: libav's name of their arrangement as they come in, such as ``5.1(side)``.
        coded_layout: the same as they are coded, such as ``5.1``.
        options: for the encoder.
        note: what the user should know, or None.
    """

    codec: str
    encoder: str
    rate: int
    channels: int
    layout: str
    coded_layout: str
    options: dict[str, str]
    note: str | None = None


def choose_video(edit: Edit, extension: str) -> VideoCoding:
    """The encoder for clips of a container.

    Args:
        edit: names the codec, and perhaps the encoder.
        extension: of the container, such as ``mp4``.

    Raises:
        ProcessError: the container does not hold the codec (``container_mismatch``), or the
            encoder named is not there or does not work (``encoder_unavailable``).
    """
    refuse_video_codec(edit, extension)
    name, note = _SOFTWARE[edit.video_codec], None
    if edit.encoder == "hardware":
        proven = next((n for n in _HARDWARE[edit.video_codec] if not encoder_trouble(n)), None)
        note = None if proven else f"no hardware encoder of {edit.video_codec} works here"
        name = proven or name
    elif edit.encoder:
        refuse_encoder(edit)
        name = edit.encoder
    return VideoCoding(
        edit.video_codec, name, _video_options(name, edit), edit.video_codec == "ffv1", note
    )


def refuse_encoder(edit: Edit) -> None:
    """Refuse an encoder of video that cannot be used here, and name those that can.

    Raises:
        ProcessError: it is not there, makes another codec, or does not work
            (``encoder_unavailable``).
    """
    codec, name = edit.video_codec, edit.encoder
    if name in (None, "hardware"):
        return
    trouble = encoder_trouble(str(name), codec)
    if trouble:
        known = [_SOFTWARE[codec], *_HARDWARE[codec]]
        working = [other for other in known if not encoder_trouble(other)]
        raise ProcessError(
            f"{name} cannot be used for {codec}: {trouble}; here {' and '.join(working)} can, and "
            "hardware means the first of hardware's that works",
            error_class="encoder_unavailable",
        )


def refuse_preset(edit: Edit) -> None:
    """Refuse a preset that the encoder of video does not know.

    Raises:
        ProcessError: it does not (``encoder_unavailable``); names those it knows.
    """
    name = edit.encoder or _SOFTWARE[edit.video_codec]
    known = _PRESETS.get(name)
    if edit.preset is None or known is None or edit.preset in known:
        return
    told = f"it knows {', '.join(known)}" if known else "it has none"
    raise ProcessError(
        f"{name} has no preset {edit.preset}; {told}", error_class="encoder_unavailable"
    )


def choose_sound(edit: Edit, extension: str, rate: int, channels: int, layout: str) -> SoundCoding:
    """The encoder for the sound of a container.

    Args:
        edit: names the codec, and perhaps rate and channels.
        extension: of the container, such as ``mp4`` or ``wav``.
        rate: of the source's sound, in Hz.
        channels: likewise.
        layout: libav's name of their arrangement.

    Raises:
        ProcessError: the container does not hold the codec (``container_mismatch``).
    """
    refuse_sound_codec(edit, extension)
    name = _AUDIO.get(str(edit.audio_codec), str(container_of(extension).encoder))
    codec: Any = av.Codec(name, "w")
    rate = edit.audio_sample_rate or rate
    rates = codec.audio_rates
    if rates and rate not in rates:
        rate = min((r for r in rates if r >= rate), default=max(rates))
    coded, note = coded_layout(name, layout, channels), None
    if edit.audio_channels not in (None, channels):
        channels, layout = edit.audio_channels, USUAL_LAYOUTS[edit.audio_channels]
        coded = layout
    elif coded is None:
        note = f"{codec.canonical_name} takes no sound in {layout}; it was mixed down to stereo"
        channels, layout, coded = 2, "stereo", "stereo"
    options = {"flags": "+bitexact"}
    if name in _AUDIO_BIT_RATE:
        share = Fraction(min(channels, 2), 2)
        options["b"] = str(round(_AUDIO_BIT_RATE[name] * share))
    return SoundCoding(codec.canonical_name, name, rate, channels, layout, coded, options, note)


def gop_size(edit: Edit, frame_rate: Fraction) -> int:
    """Frames from one key frame to the next, at the most."""
    return max(1, round(Fraction(str(edit.gop_seconds)) * frame_rate))


@cache
def encoder_trouble(name: str, codec: str | None = None) -> str | None:
    """Why an encoder cannot be used here, found out by encoding a few pictures; None if it can.

    Args:
        name: libav's name of the encoder.
        codec: the codec it should be of; None for any.
    """
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 greets on stderr, past libav's log
    try:
        found: Any = av.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        return "there is no such encoder in libav as it is installed"
    if found.name != name:  # a codec's name finds whatever encoder there is of it
        return f"it is the name of a codec, of which {found.name} is an encoder"
    if codec and found.canonical_name != codec:
        return f"it makes {found.canonical_name}, not {codec}"
    if name in _SOFTWARE.values():
        return None  # linked in, so always there
    try:
        packets = _encode_a_little(name)
    except (av.FFmpegError, ValueError) as error:
        return str(error)
    return None if packets else "it returns nothing"


def _encode_a_little(name: str) -> int:
    context: Any = av.CodecContext.create(name, "w")
    context.width, context.height = _PROOF_SIZE
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, 25), 25
    frames = [av.VideoFrame(*_PROOF_SIZE, "yuv420p") for _ in range(_PROOF_FRAMES)]
    count = 0
    for number, frame in enumerate([*frames, None]):
        if frame:
            frame.pts = number
        count += len(context.encode(frame))
    return count


def _quality(edit: Edit, default: str) -> str:
    return default if edit.crf is None else f"{edit.crf:g}"


def _video_options(name: str, edit: Edit) -> dict[str, str]:
    """Settings of an encoder: quality, speed, a single thread, no version strings."""
    options = {"flags": "+bitexact"}
    if name == "libx264":
        options |= {"crf": _quality(edit, "23"), "preset": edit.preset or "veryfast"}
        options["x264-params"] = X264_REPEATABLE
    elif name == "libx265":
        quiet = "log-level=none:info=0:pools=none:frame-threads=1"
        options |= {"crf": _quality(edit, "28"), "preset": edit.preset or "veryfast"}
        options["x265-params"] = quiet
    elif name == "libsvtav1":
        options |= {"crf": _quality(edit, "35"), "preset": edit.preset or "10"}
        options["svtav1-params"] = "lp=1"
    elif name == "libvpx-vp9":
        options |= {"crf": _quality(edit, "32"), "b": "0", "deadline": "good"}
        options |= {"cpu-used": edit.preset or "5", "lag-in-frames": "16"}
    elif name == "ffv1":
        options |= {"level": "3", "slicecrc": "1"}
    elif name.endswith("_nvenc"):
        options |= {"rc": "vbr", "cq": _quality(edit, "25"), "b": "0"}
        options |= {"preset": edit.preset} if edit.preset else {}
    else:
        options |= {"preset": edit.preset} if edit.preset else {}
        options |= {"global_quality": f"{edit.crf:g}"} if edit.crf is not None else {}
    return options
