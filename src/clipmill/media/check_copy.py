"""Copies are read again: every picture's packet is there, byte for byte; most are not decoded."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from clipmill.core.errors import ProcessError
from clipmill.io.stretch import mapped
from clipmill.media.facts import AudioFacts, Probe, VideoFacts
from clipmill.media.geometry import displayed_size
from clipmill.media.h264 import is_refresh
from clipmill.media.probe import probe_container
from clipmill.media.pulse import beat
from clipmill.media.pyav import decode_packet, open_media

# What a container does not tell, or not reliably, but a decoder does.
_BY_THE_DECODER = ("profile", "pixel_format", "bit_depth", "coded_width", "coded_height",
                   "color_primaries", "color_transfer", "color_space", "color_range", "hdr",
                   "interlaced", "has_alpha")  # fmt: skip

_LARGEST_TERM = 1 << 16


@dataclass(frozen=True, slots=True)
class Original:
    """What a copy is compared with.

    Args:
        video: the source's main video.
        facts: of the source, learnt with the help of decoders.
        coded_aspect_ratio: width of a stored pixel divided by its height, as the source's decoder
            tells it, whatever the container says.
    """

    video: Any
    facts: Probe
    coded_aspect_ratio: Fraction | None

    @property
    def is_rewritten(self) -> bool:
        """Whether a muxer changes how its packets are written, as of a broadcast's H.264."""
        context = self.video.codec_context
        with_start_codes = not bytes(context.extradata or b"").startswith(b"\1")
        return context.name in ("h264", "hevc") and with_start_codes

    @property
    def is_plain(self) -> bool:
        """Whether its copies are neither turned nor in Dolby Vision, not being so itself."""
        video = self.facts.video
        return video is not None and not video.rotation_degrees and video.hdr != "dolby_vision"

    def begins_surely(self, packet: Any) -> bool:
        """Whether a key frame is one, without decoding it.

        Of H.264 containers also call those so from which on the picture refreshes little by
        little.
        """
        context = self.video.codec_context
        data = bytes(context.extradata or b"")
        return context.name != "h264" or is_refresh(bytes(packet), data)


def check_copy(
    path: Path, original: Original, packets: Iterator[Any], frame_count: int
) -> dict[str, Any]:
    """Read a copy again, and compare its pictures with those that it was made of.

    Args:
        path: the copy.
        original: of what.
        packets: of the pictures in it, as they are in the source, in order of decoding.
        frame_count: how many these are.

    Returns:
        What it is, as ``Probe.row``.

    Raises:
        ProcessError: other packets are in it (``clip_check_failed``), or it does not begin with a
            picture that can be shown (``cannot_copy``).
    """
    try:
        with open_media(path, undecoded=True, made_here=True) as container:
            first, written = next(packets), _written(container, path)
            if original.is_rewritten:
                count, is_same = sum(1 for _ in written), True
            else:
                count, is_same = _compare(written, itertools.chain([first], packets))
            container.seek(0)
            facts = probe_container(container, path, plain=original.is_plain)
            shows = original.begins_surely(first) or _shows_first(container.streams.video[0])
    except ProcessError as error:
        raise _failed(error.message) from error
    if count != frame_count or not is_same:
        raise _failed(f"it holds {count} frames, which are not the {frame_count} of the source")
    if not shows:
        raise ProcessError(
            "packets cannot be copied: its key frame shows nothing without the frames before it; "
            "take precision exact",
            error_class="cannot_copy",
        )
    return _told_by_decoders(facts, original).row()


def _failed(problem: str) -> ProcessError:
    return ProcessError(
        f"the clip was made but is not what it should be: {problem}",
        error_class="clip_check_failed",
    )


def _compare(written: Iterable[bytes], packets: Iterator[Any]) -> tuple[int, bool]:
    """How many packets were written, and whether they are the source's."""
    count, is_same = 0, True
    for data in written:
        beat()
        count += 1
        packet = next(packets, b"")
        # Neither hashing nor a copy of the packet is needed for this.
        is_same = is_same and len(data) == len(memoryview(packet)) and data.startswith(packet)
    return count, is_same


def _written(container: Any, path: Path) -> Iterator[bytes]:
    """Yield the packets of a file's video that it holds whole."""
    video = container.streams.video[0]
    if container.format.name.startswith("mov,"):
        # Its table tells where every packet lies, which is a third of the work of demuxing.
        with mapped(path) as (data, _, end):
            for entry in video.index_entries:
                start, size = entry.pos, entry.size
                if size and start + size <= end:
                    yield data[start : start + size]
        return
    for packet in container.demux(video):
        if packet.size:
            yield bytes(packet)


def _shows_first(video: Any) -> bool:
    """Whether the first picture comes out of a decoder that begins with its packet."""
    first: int | None = None
    video.container.seek(0)
    for packet in video.container.demux(video):
        first = packet.pts if first is None else first
        frames, _ = decode_packet(video.codec_context, packet if packet.size else None)
        if frames:
            return bool(frames[0].pts == first)
    return False


def _told_by_decoders(facts: Probe, original: Original) -> Probe:
    """What decoders tell of a copy is what they tell of the source, whose packets it holds."""
    source = original.facts
    video, audio = facts.video, facts.audio
    if video is not None and source.video is not None:
        video = _video(video, source.video, original.coded_aspect_ratio)
    if source.audio:
        audio = [_audio(stream, source.audio[0]) for stream in audio]
    integrity = "ok" if facts.integrity == "undecodable" else facts.integrity
    return replace(facts, video=video, audio=audio, integrity=integrity)


def _video(made: VideoFacts, source: VideoFacts, coded_ratio: Fraction | None) -> VideoFacts:
    told = {name: getattr(source, name) for name in _BY_THE_DECODER}
    ratio = coded_ratio
    if made.sample_aspect_ratio is not None:
        ratio = Fraction(made.sample_aspect_ratio).limit_denominator(_LARGEST_TERM)
    stored = source.coded_width or 0, source.coded_height or 0
    width, height = displayed_size(*stored, ratio, made.rotation_degrees)
    told |= {"width": width or None, "height": height or None}
    return replace(made, **told, sample_aspect_ratio=None if ratio is None else float(ratio))


def _audio(made: AudioFacts, source: AudioFacts) -> AudioFacts:
    if made.codec != source.codec or made.channels != source.channels:
        return made
    return replace(made, layout=source.layout)
