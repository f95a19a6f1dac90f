"""The two tracks of a file under way: pictures and sound in, packets out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np

from clipmill.media.encoders import SoundCoding, VideoCoding
from clipmill.media.pulse import beat
from clipmill.media.sound_clock import PACKED_FLOAT

_FORMATS = ("fltp", "flt", "s16", "s16p")
_BLOCK_SAMPLES = 4096
# Timestamps of a container may be rounded to milliseconds; only what is more is a gap.
_JITTER_SECONDS = Fraction(1, 50)
_LIMITED_RANGE = 1


class VideoTrack:
    """Pictures in order of time, as a stream of a file that is being written.

    Args:
        writer: the open output.
        coding: which encoder.
        first: the first picture as it will be encoded: its size, pixels and colours are the
            stream's.
        time_base: seconds per tick of the stream.
        frame_rate: frames per second on average.
        gop: frames from one key frame to the next, at the most.
    """

    def __init__(
        self,
        writer: Any,
        coding: VideoCoding,
        first: Any,
        *,
        time_base: Fraction,
        frame_rate: Fraction,
        gop: int,
    ) -> None:
        self._stream = writer.add_stream(coding.encoder, rate=frame_rate, options=coding.options)
        context = self._stream.codec_context
        context.width, context.height = first.width, first.height
        context.pix_fmt = first.format.name
        context.time_base = time_base
        context.thread_count = 1
        context.gop_size = 1 if coding.keeps_pixels else gop
        context.color_primaries, context.color_trc = first.color_primaries, first.color_trc
        context.colorspace = first.colorspace
        context.color_range = first.color_range or _LIMITED_RANGE
        self._time_base = time_base
        self._durations: dict[int, int] = {}
        self._held: Any = None
        self._start: int | None = None
        self.frame_count = 0

    def add(self, frame: Any, pts: int, duration: int) -> Iterator[Any]:
        """Encode one picture.

        Args:
            frame: PyAV's frame; only its pixels count.
            pts: when it is shown, in ticks.
            duration: for how long, in ticks.
        """
        frame.pts, frame.time_base = pts, self._time_base
        frame.pict_type = av.video.frame.PictureType.NONE  # the source's choice is not ours
        self._durations[pts] = duration
        self.frame_count += 1
        yield from self._timed(self._stream.encode(frame))

    def finish(self, end: int) -> Iterator[Any]:
        """What the encoder still holds.

        Args:
            end: when the last picture stops being shown, in ticks.
        """
        yield from self._timed(self._stream.encode(None))
        if self._held is not None:
            # An mp4 lasts as long as its packets in order of decoding do, whichever is shown last.
            # At uneven times that may be longer already; what is shown last still ends in time.
            left = end - (self._held.dts - (self._start or 0))
            self._held.duration = max(left, self._held.duration or 0, 1)
            yield self._held

    def _timed(self, packets: list[Any]) -> Iterator[Any]:
        for packet in packets:
            beat()
            # Not every encoder hands durations through.
            packet.duration = self._durations.pop(packet.pts, packet.duration)
            if self._held is not None:
                yield self._held
            elif self._start is None:
                self._start = packet.dts
            self._held = packet


class SoundTrack:
    """Samples in order of time, as a stream of a file that is being written.

    Args:
        writer: the open output.
        coding: which encoder.
        language: of what is said, or None.
    """

    def __init__(self, writer: Any, coding: SoundCoding, language: str | None = None) -> None:
        self._stream = writer.add_stream(coding.encoder, rate=coding.rate, options=coding.options)
        context = self._stream.codec_context
        names = {form.name for form in context.codec.audio_formats or ()}
        context.format = next((name for name in _FORMATS if name in names), context.format)
        context.layout = coding.coded_layout
        context.thread_count = 1
        if language:
            self._stream.metadata["language"] = language
        # The encoder's own conversion loses the last few samples.
        self._converter = av.AudioResampler(context.format, context.layout, coding.rate)
        self._coding = coding
        self._blocks: list[np.ndarray[Any, Any]] = []
        self._waiting = 0
        self.first_sample = 0
        self.next_sample: int | None = None
        self._encoded = 0

    def add(
        self, samples: np.ndarray[Any, Any], start: Fraction, end: Fraction | None
    ) -> Iterator[Any]:
        """Encode samples, cut to what lies within the clip; gaps between them become silence.

        Args:
            samples: float32 (channels, N) in [-1, 1].
            start: when the first one is heard, in seconds from the clip's start.
            end: when the clip ends, in seconds from its start; None when that is not near.
        """
        rate = self._coding.rate
        position = round(start * rate)
        if self.next_sample is None:
            self.first_sample = self.next_sample = self._encoded = max(position, 0)
        ahead = position - self.next_sample
        if position >= 0 and abs(ahead) <= _JITTER_SECONDS * rate:
            ahead = 0
        if ahead > 0:
            samples = np.pad(samples, ((0, 0), (ahead, 0)))
        else:
            samples = samples[:, -ahead:] if ahead else samples
        if end is not None:
            samples = samples[:, : max(math.ceil(end * rate) - self.next_sample, 0)]
        self._blocks.append(samples)
        self._waiting += samples.shape[1]
        self.next_sample += samples.shape[1]
        if self._waiting >= _BLOCK_SAMPLES:
            yield from self._encode(self._waiting // _BLOCK_SAMPLES * _BLOCK_SAMPLES)

    def finish(self) -> Iterator[Any]:
        """What is still held, here and in the encoder."""
        if self._waiting:
            yield from self._encode(self._waiting)
        if self.next_sample is not None:
            for even in self._converter.resample(None):
                yield from self._stream.encode(even)
            yield from self._stream.encode(None)

    def _encode(self, count: int) -> Iterator[Any]:
        """Encode held samples in blocks whose size does not depend on how they came in."""
        held = np.concatenate(self._blocks, axis=1)
        self._blocks, self._waiting = [held[:, count:]], held.shape[1] - count
        for first in range(0, count, _BLOCK_SAMPLES):
            block = held[:, first : min(first + _BLOCK_SAMPLES, count)]
            # Of planes, PyAV takes seven at the most.
            frame: Any = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(block.T).reshape(1, -1),
                format=PACKED_FLOAT,
                layout=self._coding.layout,
            )
            frame.sample_rate, frame.pts = self._coding.rate, self._encoded
            frame.time_base = Fraction(1, self._coding.rate)
            self._encoded += block.shape[1]
            for even in self._converter.resample(frame):
                yield from self._stream.encode(even)
