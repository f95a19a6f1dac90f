"""One clip under way: which frames and sound it wants, and the files they go into."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from clipmill.core.errors import ProcessError
from clipmill.core.request import Frames, Want
from clipmill.core.sample import Subtitle, subtitles_within
from clipmill.core.time import Span
from clipmill.core.words import counted
from clipmill.media.clip_plan import FilePlan
from clipmill.media.clip_writer import ClipWriter, MadeFile
from clipmill.media.decode import MediaFile, Picture
from clipmill.media.facts import PreparedFile
from clipmill.media.frame_index import FrameIndex
from clipmill.media.images import ImageWriter
from clipmill.media.packets import PacketSource
from clipmill.media.reshape import Padding
from clipmill.media.sound import Sound
from clipmill.media.sound_index import SoundIndex

# The last picture is shown until the next one of the source, which may be far away.
_LONGEST_OVERHANG_SECONDS = Fraction(1, 10)


@dataclass(frozen=True, slots=True)
class ClipOrder:
    """One clip to be made.

    Args:
        name: of its files, without extension.
        span: of the source, in exact seconds from its first frame.
        subtitles: of the source, in all languages.
    """

    name: str
    span: Span
    subtitles: tuple[Subtitle, ...] = ()


@dataclass(frozen=True, slots=True)
class Rendered:
    """A clip that was made and checked.

    Args:
        name: as ordered.
        members: its files, by extension without dot.
        requested: the span ordered.
        actual: what its main file holds of the source, in exact seconds.
        frame_count: pictures in its main file; 0 for sound alone.
        encoder: libav's name of what made it; None where packets were copied.
        probe: what its main file is, as ``Probe.row``; None where only images were made.
        geometry: where its pixels come from, as ``Framing.row``; None for sound alone.
        subtitles: what is shown within ``actual``, timed from its start.
        notes: what the user should know.
    """

    name: str
    members: dict[str, PreparedFile]
    requested: Span
    actual: Span
    frame_count: int
    encoder: str | None
    probe: dict[str, Any] | None
    geometry: dict[str, Any] | None
    subtitles: list[Subtitle]
    notes: tuple[str, ...] = ()


class ClipWork:
    """One clip while it is being made.

    Args:
        order: what to make.
        folder: where its files are written.
        roles: of the files that are still to be made: ``video``, ``audio``.
    """

    def __init__(
        self, order: ClipOrder, folder: Path, roles: Iterable[str] = ("video", "audio")
    ) -> None:
        self.order = order
        self.folder = folder
        self.span = order.span
        self.roles = set(roles)
        self.wants: list[Want] = []
        self._parts: list[FileWork | ImageWork] = []
        self._takers: list[FileWork | ImageWork] = []
        self._members: dict[str, PreparedFile] = {}
        self._main: MadeFile | None = None
        self._notes: list[str] = []
        self._error: ProcessError | None = None

    @property
    def has_failed(self) -> bool:
        """Whether there will be no such clip."""
        return self._error is not None

    def add(self, extension: str, made: MadeFile) -> None:
        """Count a finished file in; what else there is of the clip follows its main file."""
        self.roles.discard("video" if made.frame_count else "audio")
        self._members[extension] = made.file
        self._notes += made.notes
        if self._main is None or made.frame_count:  # whichever is done first
            self._main = made
            self.span = made.actual

    def note(self, note: str) -> None:
        """Tell the user something about this clip."""
        self._notes.append(note)

    def begin(self, parts: Iterable[FileWork | ImageWork]) -> None:
        """Have further files made from what is decoded."""
        for part in parts:
            self._parts.append(part)
            self.wants += part.wants
            self._takers += [part] * len(part.wants)

    def take(self, want: int, piece: Picture | Sound) -> None:
        """Use a piece of the decode.

        Args:
            want: which of ``wants`` it is of.
            piece: a picture or sound.
        """
        if self._error:
            return
        part = self._takers[want]
        try:
            part.take(piece)
            if part.is_complete:
                self._end(part)
        except ProcessError as error:
            self.fail(error)

    def fail(self, error: ProcessError) -> None:
        """Give the clip up, unless it is whole already."""
        if self._error or (self._parts and all(part.is_ended for part in self._parts)):
            return
        self._error = error
        self.abandon()

    def abandon(self) -> None:
        """Leave no file behind."""
        for part in self._parts:
            part.abandon()
        for file in self._members.values():
            file.path.unlink(missing_ok=True)

    def finish(self) -> Rendered | ProcessError:
        """The clip, or why there is none."""
        for part in self._parts:
            if not self._error and not part.is_ended:
                try:
                    self._end(part)
                except ProcessError as error:
                    self.fail(error)
        return self._error or self._rendered()

    def _end(self, part: FileWork | ImageWork) -> None:
        if not part.is_ended:
            part.finish(self)
            part.is_ended = True

    def _rendered(self) -> Rendered:
        main = self._main
        actual = main.actual if main else self.span
        return Rendered(
            name=self.order.name,
            members=dict(sorted(self._members.items())),
            requested=self.order.span,
            actual=actual,
            frame_count=main.frame_count if main else 0,
            encoder=main.encoder if main else None,
            probe=main.probe if main else None,
            geometry=main.geometry if main else None,
            subtitles=subtitles_within(self.order.subtitles, actual),
            notes=tuple(dict.fromkeys(self._notes)),
        )

    def add_images(self, members: dict[str, PreparedFile]) -> None:
        """Count finished images in."""
        self._members |= members


class FileWork:
    """One file of one clip, and what it still waits for.

    Args:
        name: of the file, without extension.
        span: of the clip, in exact seconds.
        media: the open source.
        plan: what the file is made of.
        folder: where it is written.
        packets: of the source, where its sound is copied.

    Raises:
        ProcessError: the span holds nothing of the source (``empty_span``).
    """

    def __init__(
        self,
        name: str,
        span: Span,
        media: MediaFile,
        plan: FilePlan,
        folder: Path,
        packets: PacketSource | None = None,
    ) -> None:
        self.extension = plan.extension
        self.is_ended = False
        self.wants: list[Want] = []
        start, end = span.start, span.end
        self._pictures_left = 0
        if plan.pictures:
            assert media.frames is not None
            rate = plan.pictures.frame_rate if plan.pictures.is_constant else None
            actual, self._pictures_left = shown(media.frames, span, rate)
            start, end = actual.start, actual.end
            self.wants.append(Want(plan.pictures.request, span))
        self._sound_until: Fraction | None = None
        heard = media.sound and heard_within(media.sound, Span(start, end))
        if not heard:
            # No file has a sound that is never heard; one of sound alone would be nothing.
            if not plan.pictures:
                raise _empty(span)
            plan = replace(plan, sound=None, copies_sound=False)
        elif plan.sound and plan.sound_request:
            end = end if plan.pictures else heard.end
            self.wants.append(Want(plan.sound_request, Span(start, end)))
            self._sound_until = heard.end - Fraction(1, plan.sound.rate)
        self.span = Span(start, end)
        self._rate = plan.sound.rate if plan.sound else 1
        target = folder / f"{name}.{plan.extension}"
        self._writer: ClipWriter | None = ClipWriter(target, plan, start, packets)

    def take(self, piece: Picture | Sound) -> None:
        """Use a piece of the decode."""
        if self._writer is None:
            return  # sound that goes on after the last of it was counted
        if isinstance(piece, Picture):
            self._writer.picture(piece)
            self._pictures_left -= piece.repeat
            return
        self._writer.sound(piece)
        end = piece.start_seconds + Fraction(piece.samples.shape[1], self._rate)
        if self._sound_until is not None and end >= self._sound_until:
            self._sound_until = None

    @property
    def is_complete(self) -> bool:
        """Whether all pictures and all sound have come."""
        return self._pictures_left <= 0 and self._sound_until is None

    def finish(self, clip: ClipWork) -> None:
        """End the file, check it and hand it to its clip."""
        assert self._writer is not None
        clip.add(self.extension, self._writer.finish(self.span.end))
        if self._pictures_left > 0:
            lost = counted(self._pictures_left, "frame")
            clip.note(f"{lost} of the source cannot be decoded; those before are shown longer")
        self._writer = None  # an encoder holds tens of megabytes until it is let go

    def abandon(self) -> None:
        """Give up, leaving nothing behind."""
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None


class ImageWork:
    """The images of one clip, and what is still waited for.

    Args:
        request: which frames.
        span: of the clip, in exact seconds.
        pad: what frames them in black.
        writer: where they go.
    """

    is_complete = False  # how many there are is known when the decode has passed

    def __init__(self, request: Frames, span: Span, pad: Padding, writer: ImageWriter) -> None:
        self.wants = [Want(request, span)]
        self.is_ended = False
        self._pad = pad
        self._writer = writer

    def take(self, piece: Picture | Sound) -> None:
        """Use a piece of the decode."""
        assert isinstance(piece, Picture)
        frame = self._pad.run(piece.frame)
        for _ in range(piece.repeat):
            self._writer.add(frame)

    def finish(self, clip: ClipWork) -> None:
        """Hand the images to their clip."""
        clip.add_images(self._writer.members)

    def abandon(self) -> None:
        """Give up, leaving nothing behind."""
        self._writer.abandon()


def shown(index: FrameIndex, span: Span, frame_rate: Fraction | None) -> tuple[Span, int]:
    """What a clip shows of its source, and in how many pictures.

    It starts with the first frame that starts within the span, and ends when the next one after
    it begins, though hardly beyond the end of the span. At a constant frame rate it starts with
    the span and ends with the last of its ticks.

    Args:
        index: of the source.
        span: of the clip, in exact seconds.
        frame_rate: of the clip when it is constant, in frames/s.

    Raises:
        ProcessError: no frame is shown within the span (``empty_span``).
    """
    if frame_rate:
        count = math.ceil((min(span.end, index.end_seconds) - span.start) * frame_rate)
        if count <= 0:
            raise _empty(span)
        return Span(span.start, span.start + count / frame_rate), count
    numbers = index.within(span)
    if not numbers:
        raise _empty(span)
    is_last = numbers.stop >= len(index)
    following = index.end_seconds if is_last else index.seconds(numbers.stop)
    end = min(following, span.end + _LONGEST_OVERHANG_SECONDS)
    return Span(index.seconds(numbers.start), end), len(numbers)


def heard_within(sound: SoundIndex, span: Span) -> Span | None:
    """The part of a span in which the source sounds; None when it is silent throughout.

    Args:
        sound: of the source.
        span: in exact seconds from its first frame.
    """
    start, end = max(sound.start_seconds, span.start), min(sound.end_seconds, span.end)
    return Span(start, end) if start < end else None


def _empty(span: Span) -> ProcessError:
    return ProcessError(
        f"nothing of the source begins within {span.start_seconds:g}-{span.end_seconds:g} s",
        error_class="empty_span",
    )
