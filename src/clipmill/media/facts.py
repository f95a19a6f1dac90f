"""What a media process sends back: what it found, each with unit and description, and what it made.

Plain values, cheap to pickle; whoever reads them needs no PyAV.
"""

# ruff: noqa: RUF009  # _fact is dataclasses.field with the metadata filled in

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def _fact(description: str, unit: str | None = None) -> Any:
    return field(metadata={"description": description, **({"unit": unit} if unit else {})})


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """One video stream; whatever is unknown is None."""

    codec: str = _fact("libav's name of the codec, such as h264")
    profile: str | None = _fact("the codec's profile, such as High")
    pixel_format: str | None = _fact("libav's name, such as yuv420p")
    bit_depth: int | None = _fact("bits per colour component", "bits")
    width: int | None = _fact("as displayed: rotated, with square pixels", "pixels")
    height: int | None = _fact("as displayed: rotated, with square pixels", "pixels")
    coded_width: int | None = _fact("as stored", "pixels")
    coded_height: int | None = _fact("as stored", "pixels")
    rotation_degrees: int = _fact("clockwise turn that shows the stored picture upright", "degrees")
    sample_aspect_ratio: float | None = _fact("width of a stored pixel divided by its height")
    average_frame_rate: float | None = _fact("over the whole stream", "frames/s")
    real_frame_rate: float | None = _fact("what the stream means to have", "frames/s")
    variable_frame_rate: bool | None = _fact("whether frames are unevenly spaced")
    frame_count: int | None = _fact("frames whose data are in the file")
    frame_count_source: str | None = _fact("index: the container's table; packets: counted")
    keyframe_seconds: list[float] | None = _fact("of key frames, from the first; on request", "s")
    start_pts: int | None = _fact("first timestamp", "ticks")
    duration_pts: int | None = _fact("first frame's start to last frame's end", "ticks")
    time_base_numerator: int = _fact("a tick lasts numerator / denominator seconds")
    time_base_denominator: int = _fact("a tick lasts numerator / denominator seconds")
    duration_seconds: float | None = _fact("first frame's start to last frame's end", "s")
    bit_rate: int | None = _fact("of this stream", "bits/s")
    color_primaries: str | None = _fact("libav's name, such as bt709")
    color_transfer: str | None = _fact("libav's name, such as smpte2084")
    color_space: str | None = _fact("libav's name of the matrix, such as bt2020nc")
    color_range: str | None = _fact("tv (limited) or pc (full)")
    hdr: str = _fact("sdr, hdr10, pq, hlg or dolby_vision")
    interlaced: bool | None = _fact("whether frames are made of two fields")
    has_alpha: bool = _fact("whether pixels may be transparent")
    language: str | None = _fact("as written in the file")


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFacts:
    """One audio stream; whatever is unknown is None."""

    codec: str = _fact("libav's name of the codec, such as aac")
    sample_rate: int | None = _fact("samples per second of each channel", "Hz")
    channels: int | None = _fact("number of channels")
    layout: str | None = _fact("libav's name, such as stereo or 5.1")
    bit_rate: int | None = _fact("of this stream", "bits/s")
    language: str | None = _fact("as written in the file")
    start_seconds: float | None = _fact("first timestamp", "s")
    duration_seconds: float | None = _fact("how long", "s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What is known of one media file; whatever is unknown is None."""

    container: str = _fact("such as mp4, mov, webm, matroska, avi, mpegts, mp3")
    duration_seconds: float | None = _fact("of the video, or else of the longest audio", "s")
    start_seconds: float | None = _fact("first timestamp of the same stream", "s")
    bit_rate: int | None = _fact("of everything in the file", "bits/s")
    integrity: str = _fact(
        "ok; truncated: data the container speaks of are missing; corrupt: packets cannot be "
        "read; undecodable: no picture could be made of the video's start"
    )
    video: VideoFacts | None = _fact("the main video; null for a file of sound alone")
    video_stream_count: int = _fact("videos in the file; cover art is none")
    audio: list[AudioFacts] = _fact("every audio stream, the main one first")
    subtitle_languages: list[str | None] = _fact("one entry per subtitle stream")

    def row(self) -> dict[str, Any]:
        """The facts as a cell of the ``probe`` column: plain values, which travel fastest."""
        row = _values(self)
        row["video"] = self.video and _values(self.video)
        row["audio"] = [_values(stream) for stream in self.audio]
        return row


@dataclass(frozen=True, slots=True)
class PreparedFile:
    """One member of a sample, as a local file.

    Args:
        path: where it lies; the downloaded file itself when nothing had to change.
        size: in bytes.
        sha256: of the bytes, in hex; None for the downloaded file, which its fetcher has hashed.
    """

    path: Path
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A downloaded file made ready to be written.

    Args:
        probe: what the file is, as ``Probe.row``; of the written file when sound and picture came
            apart.
        members: by extension, without dot.
    """

    probe: dict[str, Any]
    members: dict[str, PreparedFile] = field(default_factory=dict)


def _values(facts: Any) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in facts.__slots__}
