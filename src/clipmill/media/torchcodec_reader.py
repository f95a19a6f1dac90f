"""Frames decoded by torchcodec as long as they are the right ones, and by PyAV from there on.

Torchcodec gives RGB alone, and says of a frame nothing but its time. So it is used where that is
enough: of containers that keep times and key frames, for codecs whose decoders give nothing when
they begin amid a group, and for pictures that need no more than a conversion of colours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np

from clipmill.core.errors import MissingExtra
from clipmill.core.extras import require
from clipmill.core.request import DecoderName
from clipmill.io.stretch import Place, read_at
from clipmill.media.frame_index import FrameIndex
from clipmill.media.plan import plan
from clipmill.media.pulse import beat
from clipmill.media.pyav import decoder_for, libav_name
from clipmill.media.sniff import HEAD_BYTES, sniff
from clipmill.media.tone import is_hdr
from clipmill.media.video import VideoReader

_CONTAINERS = ("mov,", "matroska,")
_CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mjpeg")
_PIXELS = ("yuv420p", "yuvj420p")
_PROGRESSIVE = 1  # libav's AV_FIELD_PROGRESSIVE; only H.264 and older codecs tell
# Pictures decoded at a time.
_BATCH_BYTES = 16 << 20
# Decoders of HEVC give wrong pictures when they begin where a file wrongly says they can. So it is
# decoded from its start, where at least this share of the packets up to the last is needed.
_LEAST_NEEDED = 0.5
_EXTRA = "torchcodec"
_USED_BY = "decoder 'torchcodec'"


def load_torchcodec() -> tuple[Any, Any]:
    """PyTorch, and torchcodec's decoders.

    Raises:
        MissingExtra: they are not installed, or do not find the libraries that they need.
    """
    torch = require("torch", extra=_EXTRA, used_by=_USED_BY)
    try:
        return torch, require("torchcodec.decoders", extra=_EXTRA, used_by=_USED_BY)
    except (RuntimeError, OSError) as error:
        raise MissingExtra(
            f"{_USED_BY} cannot be loaded: torchcodec needs the shared libraries of FFmpeg 4 to 8 "
            "(apt install ffmpeg, brew install ffmpeg or conda install ffmpeg), and a PyTorch that "
            "it was made for (without CUDA: pip install torchcodec==0.13.0 torch==2.13.0)."
        ) from error


def check_decoder(name: DecoderName) -> None:
    """Say what a decoder lacks, before anything is done.

    Raises:
        MissingExtra: it cannot be loaded.
    """
    if name == "torchcodec":
        load_torchcodec()


def may_serve(container: Any, stream: Any, place: Place, index: FrameIndex) -> bool:
    """Whether torchcodec gives the frames of a video as we do.

    Args:
        container: the open file.
        stream: its main video.
        place: where the file lies.
        index: the video's frames.
    """
    context, packets = stream.codec_context, index.packets
    codec = context.codec.canonical_name
    # Torchcodec has no list of what may be opened: it gets what is no playlist at first sight.
    is_video = sniff(read_at(place, 0, HEAD_BYTES)).kind == "video"
    return bool(
        is_video
        and container.format.name.startswith(_CONTAINERS)
        and codec in _CODECS
        and context.pix_fmt in _PIXELS
        and decoder_for(stream) is context  # else it has alpha
        and (context.field_order == _PROGRESSIVE or (codec != "h264" and not context.field_order))
        and not is_hdr(context)
        and not index.ordered_by_decoder
        and packets.keyframe[0]
        and (packets.pts[index.packet] == index.pts).all()
    )


class TorchcodecReader:
    """Decodes the main video of one file with torchcodec, on a GPU where PyTorch finds one.

    Args:
        pyav: decodes what torchcodec does not give.
        place: the file.
        index: the video's frames.
        ratio: width of a stored pixel divided by its height; None for square ones.

    Attributes:
        given: how many frames torchcodec has given so far.

    Raises:
        MissingExtra: torchcodec cannot be loaded.
    """

    def __init__(
        self, pyav: VideoReader, place: Place, index: FrameIndex, ratio: Fraction | None
    ) -> None:
        self._pyav = pyav
        self._index = index
        self.given = 0
        torch, decoders = load_torchcodec()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._jumps = pyav.stream.codec_context.codec.canonical_name != "hevc"
        try:
            self._decoder = decoders.VideoDecoder(
                libav_name(place),
                stream_index=pyav.stream.index,
                dimension_order="NHWC",
                num_ffmpeg_threads=1,
                device=device,
                custom_frame_mappings=self._mappings(),
            )
        except (AssertionError, RuntimeError, ValueError):  # of what PyAV can read
            self._decoder = None
            return
        # It turns pictures upright (not all versions do on a GPU), and leaves pixels as stored.
        if self._decoder.metadata.rotation and (ratio not in (None, 1) or device != "cpu"):
            self._decoder = None

    def frames(
        self, wanted: np.ndarray[Any, Any], spare: np.ndarray[Any, Any], *, loop_filter: bool
    ) -> Iterator[tuple[int, Any]]:
        """See ``VideoReader.frames``; pictures of torchcodec's are upright, in ``rgb24``."""
        last = -1
        if self._is_worth_it(wanted):
            for number, frame in self._right_ones(wanted):
                last = number
                self.given += 1
                yield number, frame
        left = wanted[wanted > last]
        if len(left):
            yield from self._pyav.frames(left, spare, loop_filter=loop_filter, after=last)

    def _mappings(self) -> str:
        """The index as torchcodec takes it, which then counts frames as we do."""
        index = self._index
        keyframe = index.keyframe if self._jumps else np.arange(len(index)) == 0
        duration = np.diff(index.pts, append=index.end_pts)
        rows = zip(index.pts.tolist(), duration.tolist(), keyframe.tolist(), strict=True)
        frames = [
            {"pts": pts, "duration": ticks, "key_frame": int(key)} for pts, ticks, key in rows
        ]
        return json.dumps({"frames": frames})

    def _is_worth_it(self, wanted: np.ndarray[Any, Any]) -> bool:
        if self._decoder is None or self._jumps:
            return self._decoder is not None
        stretches = plan(self._index, wanted)
        needed = sum(one.last - one.first + 1 for one in stretches)
        return needed >= _LEAST_NEEDED * (stretches[-1].last + 1)

    def _right_ones(self, wanted: np.ndarray[Any, Any]) -> Iterator[tuple[int, Any]]:
        """The frames up to the first that torchcodec does not give, or gives at another time."""
        base, context = self._index.time_base, self._pyav.stream.codec_context
        at_once = max(_BATCH_BYTES // max(3 * context.width * context.height, 1), 1)
        for start in range(0, len(wanted), at_once):
            beat()
            numbers = wanted[start : start + at_once]
            try:
                batch = self._decoder.get_frames_at(numbers.tolist())
            except (RuntimeError, ValueError, IndexError):
                return
            ticks = np.rint(batch.pts_seconds.cpu().numpy() * base.denominator / base.numerator)
            right = ticks == self._index.pts[numbers]
            pictures = batch.data.cpu().numpy()
            for number, picture, is_right in zip(numbers.tolist(), pictures, right, strict=True):
                if not is_right:
                    return
                frame = av.VideoFrame.from_numpy_buffer(picture, format="rgb24")
                frame.pts, frame.time_base = int(self._index.pts[number]), base
                yield number, frame
