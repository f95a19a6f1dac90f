"""One clip under way: which frames and sound it wants, and the files they go into."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from clipmill.core.errors import ProcessError
from clipmill.core.request import Want
from clipmill.core.sample import Subtitle, subtitles_within
from clipmill.core.time import Span
from clipmill.media.clip_plan import FilePlan
from clipmill.media.clip_writer import ClipWriter, MadeFile
from clipmill.media.decode import MediaFile, Picture
from clipmill.media.frame_index import FrameIndex
from clipmill.media.prepare import PreparedFile
from clipmill.media.sound import Sound

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
    """One clip while its source is being decoded.

    Args:
        order: what to make.
        media: the open source.
        plans: the files of each clip.
        folder: where they are written.
    """

    def __init__(
        self, order: ClipOrder, media: MediaFile, plans: Sequence[FilePlan], folder: Path
    ) -> None:
        self.order = order
        self.wants: list[Want] = []
        self._takers: list[FileWork] = []
        self._made: dict[str, MadeFile] = {}
        self._error: ProcessError | None = None
        self._files: list[FileWork] = []
        try:
            span = order.span
            for plan in plans:
                self._files.append(FileWork(order.name, span, media, plan, folder))
                if plan.pictures:
                    span = self._files[-1].span  # a file of the sound follows its picture
        except ProcessError as error:
            self.fail(error)
        for file in self._files:
            self.wants += file.wants
            self._takers += [file] * len(file.wants)

    def take(self, want: int, piece: Picture | Sound) -> None:
        """Use a piece of the decode.

        Args:
            want: which of ``wants`` it is of.
            piece: a picture or sound.
        """
        if self._error:
            return
        file = self._takers[want]
        try:
            file.take(piece)
            if file.is_complete:
                self._end(file)
        except ProcessError as error:
            self.fail(error)

    def fail(self, error: ProcessError) -> None:
        """Give up on what is not made yet; a clip that is whole already stays."""
        if not self._error and len(self._made) < max(1, len(self._files)):
            self._error = error
            for file in self._files:
                file.writer.abandon()

    def finish(self) -> Rendered | ProcessError:
        """The clip, or why there is none."""
        for file in self._files:
            if not self._error and file.extension not in self._made:
                try:
                    self._end(file)
                except ProcessError as error:
                    self.fail(error)
        return self._error or self._rendered()

    def _end(self, file: FileWork) -> None:
        if file.extension not in self._made:
            self._made[file.extension] = file.writer.finish(file.span.end)

    def _rendered(self) -> Rendered:
        main = self._made[self._files[0].extension]
        return Rendered(
            name=self.order.name,
            members={extension: made.file for extension, made in self._made.items()},
            requested=self.order.span,
            actual=main.actual,
            frame_count=main.frame_count,
            encoder=main.encoder,
            probe=main.probe,
            geometry=main.geometry,
            subtitles=subtitles_within(self.order.subtitles, main.actual),
            notes=tuple(dict.fromkeys(n for made in self._made.values() for n in made.notes)),
        )


class FileWork:
    """One file of one clip, and what it still waits for.

    Args:
        name: of the file, without extension.
        span: of the clip, in exact seconds.
        media: the open source.
        plan: what the file is made of.
        folder: where it is written.

    Raises:
        ProcessError: the span holds nothing of the source (``empty_span``).
    """

    def __init__(
        self, name: str, span: Span, media: MediaFile, plan: FilePlan, folder: Path
    ) -> None:
        self.extension = plan.extension
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
        if plan.sound and media.sound:
            sound_end = media.sound.end_seconds
            end = end if plan.pictures else min(end, sound_end)
            if start < end:
                assert plan.sound_request
                self.wants.append(Want(plan.sound_request, Span(start, end)))
            if max(start, media.sound.start_seconds) < min(end, sound_end):
                self._sound_until = min(end, sound_end) - Fraction(1, plan.sound.rate)
        if start >= end:
            raise _empty(span)
        self.span = Span(start, end)
        self._rate = plan.sound.rate if plan.sound else 1
        self.writer = ClipWriter(folder / f"{name}.{plan.extension}", plan, start)

    def take(self, piece: Picture | Sound) -> None:
        """Use a piece of the decode."""
        if isinstance(piece, Picture):
            self.writer.picture(piece)
            self._pictures_left -= piece.repeat
            return
        self.writer.sound(piece)
        end = piece.start_seconds + Fraction(piece.samples.shape[1], self._rate)
        if self._sound_until is not None and end >= self._sound_until:
            self._sound_until = None

    @property
    def is_complete(self) -> bool:
        """Whether all pictures and all sound have come."""
        return self._pictures_left <= 0 and self._sound_until is None


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


def _empty(span: Span) -> ProcessError:
    return ProcessError(
        f"nothing of the source begins within {span.start_seconds:g}-{span.end_seconds:g} s",
        error_class="empty_span",
    )
