"""One decode of a file, which gives every consumer exactly the frames and samples it asked for."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import numpy as np

from clipmill.core.errors import ProcessError
from clipmill.core.request import Audio, DecoderName, Frames, Want
from clipmill.core.seen import CodedPacket
from clipmill.core.time import Span
from clipmill.io.stretch import Place, size_of
from clipmill.media.choose import choose
from clipmill.media.coded import read_coded
from clipmill.media.facts import Probe
from clipmill.media.frame_index import FrameIndex
from clipmill.media.probe import probe_unread
from clipmill.media.pyav import as_fraction, main_audio, main_video, open_media
from clipmill.media.serve import Audience, Consumer, Looks
from clipmill.media.sound import Sound, decode_sound
from clipmill.media.sound_index import SoundIndex
from clipmill.media.torchcodec_reader import TorchcodecReader, may_serve
from clipmill.media.video import VideoReader
from clipmill.media.walk import walk

# Reading packets again costs three times as much as keeping them.
_KEPT_BYTES = 64 << 20
Index = tuple[FrameIndex | None, SoundIndex | None]
"""The frames and the sound of a file; None for what it has not, or was not looked at."""


@dataclass(eq=False)
class Picture:
    """One frame of one want.

    Args:
        want: index into the wants.
        number: the frame's number in order of showing; 0 is the source's first.
        pts: when it is shown, in ticks of the source.
        seconds: when it is shown, exact, from time zero.
        repeat: at how many of the wanted times it is shown; at least 1.
        keyframe: whether it was coded without reference to others.
        source: ``av.VideoFrame`` as it came from the decoder.
        request: how it should look.
        look: makes the source look as a request wants it.
    """

    want: int
    number: int
    pts: int
    seconds: Fraction
    repeat: int
    keyframe: bool
    source: Any
    request: Frames
    look: Callable[[Frames], Any]

    @cached_property
    def frame(self) -> Any:
        """``av.VideoFrame``, upright, with square pixels, cut and scaled, in the wanted format.

        Made when it is first asked for: some look at the source alone.

        Raises:
            ProcessError: the crop is not within the picture.
        """
        return self.look(self.request)

    def as_shown(self, request: Frames | None = None) -> Picture:
        """The same with nothing but ``frame``, to be kept without what came from the decoder.

        Args:
            request: how it should look. Default: as it does.
        """
        request = request or self.request
        frame = self.look(request)
        return replace(self, source=None, request=request, look=lambda _: frame)

    @property
    def pts_seconds(self) -> float:
        """When it is shown, in seconds from time zero."""
        return float(self.seconds)

    @property
    def pixels(self) -> np.ndarray[Any, Any]:
        """The picture as the array that its request promises."""
        array: np.ndarray[Any, Any] = self.frame.to_ndarray()
        return array


class MediaFile:
    """One open media file, as a context manager.

    Args:
        path: a local file, or a stretch of one.
        keeps_packets: whether to keep the packets that were read for the index, where an mp4 or
            Matroska is no longer than 64 MiB.
        probes: whether to learn all that there is to know of the file.
        hears: whether its sound is of interest; its packets need not be looked at otherwise.
        known: ``index`` of the same file as it was opened before, so as not to read it for that.
        decoder: what decodes its pictures, as far as all who want some want RGB and it gives the
            right ones; all else PyAV decodes.

    Attributes:
        facts: what it is; None unless it was to be probed.
        packets: of each stream, by its index, in order of decoding; None when they are not kept.
        frames: its main video's frames; None for sound alone.
        sound: its main audio; None when there is none that can be decoded.
        decoded_frames: how many frames have been decoded so far.
        frame_rate: the main video's nominal rate in frames/s, as libav guesses it.
        sample_aspect_ratio: width of a stored pixel of it divided by its height; None if unknown.
        coded_aspect_ratio: the same as its decoder tells it, whatever its container says.

    Raises:
        ProcessError: on entering or decoding: the file cannot be read.
    """

    facts: Probe | None
    packets: dict[int, list[Any]] | None
    frames: FrameIndex | None
    sound: SoundIndex | None
    frame_rate: Fraction | None
    sample_aspect_ratio: Fraction | None
    coded_aspect_ratio: Fraction | None

    def __init__(
        self,
        path: Place,
        *,
        keeps_packets: bool = False,
        probes: bool = False,
        hears: bool = True,
        known: Index | None = None,
        decoder: DecoderName = "pyav",
    ) -> None:
        self.path = path
        self._keeps_packets = keeps_packets
        self._probes = probes
        self._hears = hears
        self._known = known
        self._decoder = decoder
        self.decoded_frames = 0
        self._decoded_ticks = 0
        self._video: VideoReader | None = None
        self._torchcodec: TorchcodecReader | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._container = stack.enter_context(open_media(self.path))
            self.facts = probe_unread(self._container, self.path) if self._probes else None
            video = main_video(self._container)
            audio = main_audio(self._container) if self._hears else None
            self.frame_rate = as_fraction(video.guessed_rate) if video else None
            self.sample_aspect_ratio = as_fraction(video.sample_aspect_ratio) if video else None
            context = video.codec_context if video else None
            self.coded_aspect_ratio = context and as_fraction(context.sample_aspect_ratio)
            self.packets = {} if self._keeps_packets and self._may_keep() else None
            self.frames, self.sound = self._known or walk(
                self._container, self.path, video, audio, self.packets
            )
            if self.frames is None and self.sound is None:
                raise ProcessError(
                    "it holds no frame and no sound that could be decoded",
                    error_class="no_packets",
                )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def index(self) -> Index:
        """What was learnt of its frames and its sound, to open it again with."""
        return self.frames, self.sound

    @property
    def decoded_by_torchcodec(self) -> int:
        """How many of the decoded frames torchcodec gave."""
        return self._torchcodec.given if self._torchcodec else 0

    @property
    def decoded_seconds(self) -> Fraction:
        """How much video was decoded so far, each frame lasting until the next one is shown."""
        return self._decoded_ticks * self.frames.time_base if self.frames else Fraction(0)

    def decode(self, wants: Sequence[Want]) -> Iterator[Picture | Sound]:
        """Yield the pictures and pieces of sound that are wanted, in order of time.

        Args:
            wants: what to show and to play of which spans; those for sound are given nothing
                where there is none, and likewise for pictures.

        Raises:
            ProcessError: nothing could be decoded.
        """
        runs: list[Iterator[Picture | Sound]] = []
        if self.frames and any(isinstance(want.request, Frames) for want in wants):
            runs.append(self._pictures(self.frames, wants))
        if self.sound and any(isinstance(want.request, Audio) for want in wants):
            runs.append(self._sounds(self.sound, wants))
        yield from heapq.merge(*runs, key=time_of)

    def coded(self, spans: Sequence[Span]) -> Iterator[tuple[int, CodedPacket]]:
        """Yield the packets of spans, each with the number of its span, in order of the file.

        Args:
            spans: which packets are a span's, ``core.request.Packets`` says.
        """
        container = self._open()
        try:
            yield from read_coded(container, self.frames, self.sound, spans)
        finally:
            container.close()

    def _may_keep(self) -> bool:
        # Elsewhere libav works some times out, and differently after it has sought.
        tells_times = self._container.format.name.startswith(("mov,", "matroska,"))
        return tells_times and size_of(self.path) <= _KEPT_BYTES

    def _open(self) -> Any:
        return self._stack.enter_context(open_media(self.path))

    def _sounds(self, index: SoundIndex, wants: Sequence[Want]) -> Iterator[Sound]:
        heard = [
            (number, want.request, want.span)
            for number, want in enumerate(wants)
            if isinstance(want.request, Audio)
        ]
        container = self._open()
        try:
            yield from decode_sound(container, main_audio(container), index, heard)
        finally:
            container.close()

    def _pictures(self, index: FrameIndex, wants: Sequence[Want]) -> Iterator[Picture]:
        consumers = [
            Consumer(number, want.request, choose(want.request, want.span, index))
            for number, want in enumerate(wants)
            if isinstance(want.request, Frames)
        ]
        if not any(len(consumer.choice.numbers) for consumer in consumers):
            return
        if self._video is None:
            self._video = VideoReader(self._open, self._container, index)
            self._begin_torchcodec(self._video, index)
        wanted, spare = _needs(consumers, len(index), neighbours=self._video.is_interlaced)
        loop_filter = any(consumer.request.loop_filter for consumer in consumers)
        in_rgb = all(consumer.request.is_for_any_decoder for consumer in consumers)
        reader = (in_rgb and self._torchcodec) or self._video
        looks = Looks(self.sample_aspect_ratio)
        audience = Audience(consumers)
        before: Any = None
        shown: tuple[int, Any] | None = None
        for number, frame in reader.frames(wanted, spare, loop_filter=loop_filter):
            self.decoded_frames += 1
            self._decoded_ticks += index.duration(number)
            if shown:
                look = looks.of(before, shown[1], frame)
                yield from self._give(index, shown, number, audience, look)
                before = shown[1]
            shown = number, frame
        if shown:
            look = looks.of(before, shown[1], None)
            yield from self._give(index, shown, len(index), audience, look)

    def _begin_torchcodec(self, video: VideoReader, index: FrameIndex) -> None:
        if self._decoder == "torchcodec" and may_serve(
            self._container, video.stream, self.path, index
        ):
            self._torchcodec = TorchcodecReader(video, self.path, index, self.sample_aspect_ratio)

    def _give(
        self,
        index: FrameIndex,
        shown: tuple[int, Any],
        following: int,
        audience: Audience,
        look: Callable[[Frames], Any],
    ) -> Iterator[Picture]:
        """Give a frame to all who want it; it is shown until the following one that there is."""
        number, frame = shown
        # Where the order is the decoder's, so are the key frames.
        keyframe = frame.key_frame if index.ordered_by_decoder else bool(index.keyframe[number])
        pts, seconds = int(index.pts[number]), index.seconds(number)
        for consumer in audience.at(number):
            repeat = consumer.take(number, following, keyframe=keyframe)
            if repeat:
                yield Picture(
                    want=consumer.want,
                    number=number,
                    pts=pts,  # an encoder may have set the frame's
                    seconds=seconds,
                    repeat=repeat,
                    keyframe=keyframe,
                    source=frame,
                    request=consumer.request,
                    look=look,
                )


def _needs(
    consumers: Sequence[Consumer], count: int, *, neighbours: bool
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The numbers of all frames that are needed, and of each frame whether it can be spared."""
    needed, firm = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    for consumer in consumers:
        needed[consumer.choice.numbers] = True
        if not consumer.request.nearest:
            firm[consumer.choice.numbers] = True
    if neighbours:
        # A whole picture of two fields is made with the help of those before and after.
        for frames in (needed, firm):
            beside = np.flatnonzero(frames)
            frames[np.maximum(beside - 1, 0)] = True
            frames[np.minimum(beside + 1, count - 1)] = True
    return np.flatnonzero(needed), ~firm


def time_of(piece: Picture | Sound) -> Fraction:
    """When a piece begins, in exact seconds from time zero."""
    return piece.seconds if isinstance(piece, Picture) else piece.start_seconds
