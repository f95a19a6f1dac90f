"""Every file that was made is read again: whole, as long as promised, the right pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from clipmill.core.errors import ProcessError
from clipmill.media.containers import container_of
from clipmill.media.facts import Probe
from clipmill.media.probe import probe, probe_container
from clipmill.media.pulse import beat
from clipmill.media.pyav import as_fraction, open_media

_THUMBNAIL_SIDE = 32
# Mean difference of luma, of 255. Coarse coding without the loop filter stays below 4.
_DIFFERENT = 12
# Containers round times to milliseconds, and sound ends with a whole packet.
_PICTURE_SECONDS = Fraction(2, 1000)
_SOUND_SECONDS = Fraction(1, 10)
# An mp3 and raw AAC count an encoder's start-up, and what fills the last packet, as sound.
_START_UP_PACKETS = {"mp3": 5, "mp3float": 5, "aac": 2}
_TELL_ALL = frozenset({"mp4", "mov"})

Thumbnail = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Promise:
    """What a file should be.

    Args:
        frame_count: pictures in it; 0 for sound alone.
        seconds: how long its pictures last, or its sound where there are none.
        last_seconds: when its last picture is shown, from its first.
        sound_seconds: how long its sound lasts; None for no sound.
        thumbnails: of the first and the last picture, as they went into the encoder; None where
            that is not known.
        decodes_all: whether every picture must be decoded, and come out at its place.
    """

    frame_count: int
    seconds: Fraction
    last_seconds: Fraction
    sound_seconds: Fraction | None
    thumbnails: tuple[Thumbnail | None, Thumbnail | None]
    decodes_all: bool = False


def thumbnail(frame: Any) -> Thumbnail:
    """A tiny picture to compare by: luma as int16 (32, 32).

    Args:
        frame: PyAV's frame.
    """
    small = frame.reformat(_THUMBNAIL_SIDE, _THUMBNAIL_SIDE, "gray", threads=1)
    return small.to_ndarray().astype(np.int16)  # type: ignore[no-any-return]


def check_file(path: Path, promise: Promise) -> dict[str, Any]:
    """Read a file that was made, and decode its pictures cheaply to the end.

    Frames that no other depends on are counted but not decoded, and the loop filter is left out.

    Args:
        path: the file.
        promise: what it should be.

    Returns:
        What it is, as ``Probe.row``.

    Raises:
        ProcessError: it is something else (``clip_check_failed``).
    """
    try:
        facts, problem = _look(path, promise)
        if facts.integrity != "ok":
            problem = f"it is {facts.integrity}"
    except ProcessError as error:
        problem = error.message
    if problem:
        raise ProcessError(
            f"the {path.suffix[1:]} was made but is not what it should be: {problem}",
            error_class="clip_check_failed",
        )
    return facts.row()


def _look(path: Path, promise: Promise) -> tuple[Probe, str | None]:
    """What a file is, and what is wrong with it, in words; None when nothing is."""
    # The head of an mp4 tells all, so that one open of it does for both; libav must read on
    # elsewhere, and seeking back there leaves sound out that lies before zero.
    tells_all = container_of(path.suffix.removeprefix(".")).muxer in _TELL_ALL
    with open_media(path, unseen=tells_all, made_here=tells_all) as container:
        video = container.streams.video[0] if promise.frame_count else None
        seen = _Seen(promise)
        for packet in container.demux():
            beat()
            if packet.stream is video:
                seen.look(packet)
            elif packet.size:
                seen.listen(packet)
        lasts = video and video.duration and video.duration * as_fraction(video.time_base)
        if tells_all:
            container.seek(0)
        facts = probe_container(container, path) if tells_all else probe(path)
    if lasts and abs(lasts - promise.seconds) > _PICTURE_SECONDS:
        return facts, f"it lasts {float(lasts):g} s instead of {float(promise.seconds):g} s"
    return facts, seen.problem() if video else seen.sound_problem()


class _Seen:
    """What reading a file shows, against what was promised."""

    def __init__(self, promise: Promise) -> None:
        self._promise = promise
        self._count = self._decoded = 0
        self._last_pts, self._rises = -1, True
        self._places: tuple[range, range] = range(0), range(0)
        # In ticks, which cost a tenth of exact seconds.
        self._sound_base = Fraction(1)
        self._sound_start: int | None = None
        self._sound_end = 0
        self._start_up = 0
        self._thumbnails: list[Thumbnail | None] = [None, None]

    def look(self, packet: Any) -> None:
        context = packet.stream.codec_context
        if packet.size:
            if not self._count:
                context.options = {**context.options, "skip_loop_filter": "all"}
                self._places = self._ticks(packet.pts, as_fraction(packet.time_base) or Fraction(1))
            self._count += 1
            # Pictures that no other depends on are left out, but for those that are compared.
            matters = self._promise.decodes_all or self._place(packet.pts) is not None
            context.skip_frame = "DEFAULT" if matters else "NONREF"
        for frame in packet.decode():
            self._decoded += 1
            self._rises = self._rises and frame.pts > self._last_pts
            self._last_pts = frame.pts
            place = self._place(frame.pts)
            if place is not None:
                small = thumbnail(frame)
                self._thumbnails[place] = small
                if self._promise.frame_count == 1:
                    self._thumbnails = [small, small]

    def listen(self, packet: Any) -> None:
        if self._sound_start is None:
            self._sound_base = as_fraction(packet.time_base) or Fraction(1)
            # What lies before zero is an encoder's start-up, which players skip.
            self._sound_start = max(packet.pts, 0)
        duration = packet.duration or 0
        self._sound_end = max(self._sound_end, packet.pts + duration)
        count = _START_UP_PACKETS.get(packet.stream.codec_context.name, 0)
        self._start_up = max(self._start_up, count * duration)

    def _ticks(self, start: int, base: Fraction) -> tuple[range, range]:
        """Where the first and the last picture are shown, in ticks, give or take the rounding."""
        first, last = (
            range(
                math.ceil((seconds - _PICTURE_SECONDS) / base) + start,
                math.floor((seconds + _PICTURE_SECONDS) / base) + start + 1,
            )
            for seconds in (Fraction(0), self._promise.last_seconds)
        )
        return first, last

    def _place(self, ticks: int) -> int | None:
        """0 for the first picture, 1 for the last, None for any other."""
        first, last = self._places
        if ticks in first:
            return 0
        return 1 if ticks in last else None

    def problem(self) -> str | None:
        """What is wrong, in words; None when nothing is."""
        promise = self._promise
        if self._count != promise.frame_count:
            return f"it holds {self._count} frames instead of {promise.frame_count}"
        if promise.decodes_all and (self._decoded != promise.frame_count or not self._rises):
            return f"{self._decoded} of its {promise.frame_count} frames can be decoded in order"
        for name, made, meant in zip(
            ("first", "last"), self._thumbnails, promise.thumbnails, strict=True
        ):
            if made is None:
                return f"its {name} frame cannot be decoded"
            if meant is not None and np.abs(made - meant).mean() > _DIFFERENT:
                return f"its {name} frame is not the one of the source"
        return self.sound_problem()

    def sound_problem(self) -> str | None:
        """What is wrong with the sound, in words; None when nothing is."""
        meant = self._promise.sound_seconds
        if meant is None:
            return None
        if self._sound_start is None:
            return "it has no sound"
        lasts = (self._sound_end - self._sound_start) * self._sound_base
        if abs(lasts - meant) > max(_SOUND_SECONDS, self._start_up * self._sound_base):
            return f"its sound lasts {float(lasts):g} s, not {float(meant):g} s"
        return None
