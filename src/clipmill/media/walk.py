"""One walk over a file's packets: which frames it holds, and from when to when it sounds."""

from __future__ import annotations

from typing import Any

import av

from clipmill.io.stretch import Place
from clipmill.media.edit_list import presented_end
from clipmill.media.frame_index import FrameIndex, IndexBuilder
from clipmill.media.pulse import beat
from clipmill.media.pyav import read_only
from clipmill.media.sound_index import SoundIndex, SoundIndexBuilder


def walk(
    container: Any, place: Place, video: Any, audio: Any, kept: dict[int, list[Any]] | None = None
) -> tuple[FrameIndex | None, SoundIndex | None]:
    """Index the main video and the main audio; a broken file's part that can be read counts.

    Args:
        container: just opened; its packets are used up afterwards.
        place: the open file.
        video: its main video, or None.
        audio: its main audio, or None.
        kept: takes the packets of each stream, by its index; None to let them go.
    """
    frames = IndexBuilder(video) if video and video.codec_context else None
    samples = SoundIndexBuilder(audio) if audio and audio.codec_context else None
    builders: dict[int, IndexBuilder | SoundIndexBuilder] = {}
    if frames:
        builders[video.index] = frames
    if samples:
        builders[audio.index] = samples
    if kept is not None:
        kept.update({index: [] for index in builders})
    streams = [stream for stream in container.streams if stream.index in builders]
    read_only(container, streams)
    add = {index: builder.add for index, builder in builders.items()}
    keep = {index: packets.append for index, packets in (kept or {}).items()}
    try:
        for packet in container.demux(*streams) if streams else ():  # of none it would read all
            beat()
            if packet.size:
                index = packet.stream_index
                add[index](packet)
                if keep:
                    keep[index](packet)
    except av.error.InvalidDataError:
        pass  # what came before it is there
    shown = frames.finish(presented_end(place, video)) if frames else None
    zero = shown.first_pts * shown.time_base if shown else None
    return shown, samples.finish(zero) if samples else None
