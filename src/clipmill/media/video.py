"""The decoder's frames in order of showing, each with its number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av

from clipmill.media.frame_index import FrameIndex
from clipmill.media.pulse import beat
from clipmill.media.pyav import read_only


class VideoReader:
    """Decodes one video, from its start.

    Args:
        container: open, its packets not yet used up.
        stream: the video.
        index: its frames.
    """

    def __init__(self, container: Any, stream: Any, index: FrameIndex) -> None:
        self._container = container
        self._stream = stream
        self._index = index

    def frames(self, last: int) -> Iterator[tuple[int, Any]]:
        """Yield (number, ``av.VideoFrame``) in order of showing.

        A damaged packet costs only itself.

        Args:
            last: number of the last frame that is wanted; later ones may come.

        Raises:
            av.FFmpegError: nothing at all could be decoded.
        """
        first_error: av.FFmpegError | None = None
        count, shown = 0, -1
        index = self._index
        read_only(self._container, [self._stream])
        for packet in self._packets():
            try:
                frames = self._stream.codec_context.decode(packet)
            except av.error.InvalidDataError as error:
                first_error = first_error or error
                continue
            for frame in frames:
                # Output order of a decoder is the order of showing, whatever the file says.
                number = count if index.ordered_by_decoder else int(index.packets.number[frame.pts])
                count += 1
                if number <= shown or number >= len(index):
                    continue  # hidden, or told out of turn by a damaged file
                shown = number
                frame.pts, frame.time_base = int(index.pts[number]), index.time_base
                yield number, frame
            if shown >= last:
                return
        if first_error and not count:
            raise first_error

    def _packets(self) -> Iterator[Any]:
        """Yield the packets, each bearing its place in order of decoding for a time, then None."""
        serial = 0
        try:
            for packet in self._container.demux(self._stream):
                beat()
                if packet.size:  # an empty one would end the decoder's work
                    packet.pts = serial
                    serial += 1
                    yield packet
        except av.error.InvalidDataError:
            pass  # as the index knows
        yield None
