"""One file of one clip: pictures and sound go in as they are decoded, a checked file comes out."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from clipmill.core.errors import ProcessError
from clipmill.core.time import Span
from clipmill.media.check import Promise, check_file, thumbnail
from clipmill.media.clip_plan import FilePlan, PicturePlan
from clipmill.media.containers import container_of
from clipmill.media.facts import PreparedFile
from clipmill.media.packets import PacketSource
from clipmill.media.prepare import new_file
from clipmill.media.pyav import create_media, translated_errors
from clipmill.media.remux import copy_stream, exact_start
from clipmill.media.reshape import Reshaper
from clipmill.media.tracks import SoundTrack, VideoTrack

_WITHOUT_TIMES = frozenset({"wav", "mp3", "flac", "adts", "ogg", "opus"})


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A finished file of a clip.

    Args:
        file: where it lies, its size and hash.
        actual: what it holds of the source, in exact seconds from the source's first frame.
        frame_count: pictures in it; 0 for sound alone.
        encoder: libav's name of the encoder of its main stream; None where packets were copied.
        probe: what the file is, as ``Probe.row``.
        geometry: where its pixels come from, as ``Framing.row``; None for sound alone.
        notes: what the user should know.
    """

    file: PreparedFile
    actual: Span
    frame_count: int
    encoder: str | None
    probe: dict[str, Any]
    geometry: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Shown:
    """A picture that waits for the next one, since only that tells how long it is shown."""

    frame: Any
    seconds: Fraction
    repeat: int


class ClipWriter:
    """Writes one file of one clip, whoever decodes, and gives the same bytes every time.

    Pictures and samples may come in interleaved in any way, each in order of time. Sound of a
    file with pictures is held until a later picture comes, so it may run past the clip's end; for
    sound alone no more than the clip's may be given.

    Args:
        target: where to.
        plan: what the file is made of.
        start: the clip's start, in seconds from the source's first frame. The clip's first
            picture is shown then at a constant frame rate; else the clip starts with it.
        packets: of the source, where its sound is copied.
    """

    def __init__(
        self,
        target: Path,
        plan: FilePlan,
        start: Fraction,
        packets: PacketSource | None = None,
    ) -> None:
        self._target = target
        self._plan = plan
        self._start = start
        self._packets = packets if plan.copies_sound else None
        self._copied: Any = None
        self._sounds: deque[tuple[Fraction, np.ndarray[Any, Any]]] = deque()
        self._writer: Any = None
        self._video: VideoTrack | None = None
        self._audio: SoundTrack | None = None
        self._reshaper = Reshaper(plan.pictures) if plan.pictures else None
        self._held: _Shown | None = None
        self._first_thumbnail: Any = None

    def picture(self, picture: Any) -> None:
        """Take the next ``Picture`` of the clip.

        Raises:
            ProcessError: it cannot be encoded (``encode_failed``).
        """
        assert self._reshaper is not None
        with self._errors():
            frame = self._reshaper.shape(picture)
            if self._held is None:
                self._begin(picture, frame)
            else:
                self._show(picture.seconds)
            self._held = _Shown(frame, picture.seconds, picture.repeat)
            self._hear(picture.seconds)

    def sound(self, sound: Any) -> None:
        """Take the next ``Sound`` of the clip.

        Raises:
            ProcessError: it cannot be encoded (``encode_failed``).
        """
        self._sounds.append((sound.start_seconds, sound.samples))
        if self._plan.pictures is None:
            with self._errors():
                if self._writer is None:
                    self._open()
                self._hear(None)

    def finish(self, end: Fraction) -> MadeFile:
        """End the file, and check that it is what it should be.

        Args:
            end: when the last picture stops being shown, in seconds from the source's first frame.

        Raises:
            ProcessError: nothing came (``empty_span``), the rest cannot be encoded
                (``encode_failed``), or the file is not what it should be (``clip_check_failed``).
        """
        if self._writer is None:
            raise ProcessError(
                f"nothing of the source lies within the span at {float(self._start):g} s",
                error_class="empty_span",
            )
        last_thumbnail = thumbnail(self._held.frame) if self._held else None
        with self._errors():
            last_pts = self._end_pictures(end)
            self._hear(None, end)
            if self._audio:
                self._mux(self._audio.finish())
            self._mux(self._copied_sound(end))
            self._writer.close()
        promise = Promise(
            frame_count=self._video.frame_count if self._video else 0,
            seconds=end - self._start,
            last_seconds=last_pts,
            sound_seconds=self._sound_seconds(),
            thumbnails=(self._first_thumbnail, last_thumbnail),
        )
        probe = check_file(self._target, promise)
        return self._made(end, probe)

    def abandon(self) -> None:
        """Give up, leaving nothing behind."""
        if self._writer is not None:
            with contextlib.suppress(ProcessError), self._errors():
                self._writer.close()
        self._target.unlink(missing_ok=True)

    def _made(self, end: Fraction, probe: dict[str, Any]) -> MadeFile:
        plan, pictures = self._plan, self._plan.pictures
        coding = pictures.coding if pictures else plan.sound
        return MadeFile(
            new_file(self._target),
            Span(self._start, end),
            self._video.frame_count if self._video else 0,
            coding.encoder if coding else None,
            probe,
            pictures.framing.row() if pictures else None,
            (*plan.notes, *self._late_sound()),
        )

    def _errors(self) -> Any:
        return translated_errors(self._target, writing=True)

    def _begin(self, picture: Any, frame: Any) -> None:
        pictures = self._plan.pictures
        assert pictures is not None
        if not pictures.is_constant:
            self._start = picture.seconds
        self._first_thumbnail = thumbnail(frame)
        self._open(pictures, frame)

    def _open(self, pictures: PicturePlan | None = None, first: Any = None) -> None:
        kind, sound = container_of(self._plan.extension), self._plan.sound
        bases = [pictures.time_base] if pictures else []
        bases += [Fraction(1, sound.rate)] if sound else []
        bases += [self._packets.sample_seconds] if self._packets else []
        options = {**kind.options, **exact_start(kind.muxer, bases)}
        # Packets then lie in the same order whatever came first, pictures or sound.
        self._writer = create_media(
            self._target, kind.muxer, {**options, "max_interleave_delta": "0"}
        )
        if pictures:
            self._video = VideoTrack(
                self._writer,
                pictures.coding,
                first,
                time_base=pictures.time_base,
                frame_rate=pictures.frame_rate,
                gop=pictures.gop,
            )
        if sound:
            self._audio = SoundTrack(self._writer, sound, self._plan.language)
        elif self._packets:
            self._copied = copy_stream(self._writer, self._packets.audio)

    def _show(self, until: Fraction) -> int:
        """Encode the picture that waits; tells when it is shown last, in ticks of the stream."""
        held, video, pictures = self._held, self._video, self._plan.pictures
        assert held is not None
        assert video is not None
        assert pictures is not None
        if not pictures.is_constant:
            pts = round((held.seconds - self._start) / pictures.time_base)
            ticks = round((until - held.seconds) / pictures.time_base)
            self._mux(video.add(held.frame, pts, max(ticks, 1)))
            return pts
        for _ in range(held.repeat):
            self._mux(video.add(held.frame, video.frame_count, 1))
        return video.frame_count - 1

    def _end_pictures(self, end: Fraction) -> Fraction:
        held, pictures = self._held, self._plan.pictures
        if held is None or self._video is None or pictures is None:
            return Fraction(0)
        last = self._show(end)
        self._mux(self._video.finish(round((end - self._start) / pictures.time_base)))
        return last * pictures.time_base

    def _hear(self, until: Fraction | None, end: Fraction | None = None) -> None:
        """Encode the sound that waits: all of it, or what ends by a time of the source."""
        sound = self._plan.sound
        while self._audio and sound and self._sounds:
            start, samples = self._sounds[0]
            if until is not None and start + Fraction(samples.shape[1], sound.rate) > until:
                break
            self._sounds.popleft()
            room = None if end is None else end - self._start
            self._mux(self._audio.add(samples, start - self._start, room))

    def _copied_sound(self, end: Fraction) -> Iterator[Any]:
        if self._packets is None:
            return
        muxer = container_of(self._plan.extension).muxer
        for packet in self._packets.sound(Span(self._start, end), muxer):
            packet.stream = self._copied
            yield packet

    def _sound_seconds(self) -> Fraction | None:
        if self._audio is None or self._audio.next_sample is None or self._plan.sound is None:
            return None
        return Fraction(self._audio.next_sample - self._audio.first_sample, self._plan.sound.rate)

    def _late_sound(self) -> tuple[str, ...]:
        """What to tell where a file cannot say that its sound begins later than the clip."""
        kind, sound = container_of(self._plan.extension), self._plan.sound
        if self._audio is None or sound is None or kind.muxer not in _WITHOUT_TIMES:
            return ()
        late = self._audio.first_sample / sound.rate
        name = self._plan.extension
        return (f"the sound of {name} begins {late:.3f} s into the clip",) if late >= 0.001 else ()

    def _mux(self, packets: Iterator[Any]) -> None:
        for packet in packets:
            self._writer.mux_one(packet)
