"""The files of a clip under way: what each wants of the decode, and where that goes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from clipmill.core.errors import ProcessError
from clipmill.core.request import Frames, Want
from clipmill.core.time import Span
from clipmill.core.words import counted
from clipmill.media.clip_plan import FilePlan
from clipmill.media.clip_work import ClipWork
from clipmill.media.clip_writer import ClipWriter
from clipmill.media.decode import MediaFile, Picture
from clipmill.media.frame_index import FrameIndex
from clipmill.media.images import ImageWriter
from clipmill.media.packets import PacketSource
from clipmill.media.reshape import Padding
from clipmill.media.sound import Sound
from clipmill.media.sound_index import SoundIndex

# The last picture is shown until the next one of the source, which may be far away.
_LONGEST_OVERHANG_SECONDS = Fraction(1, 10)


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
        if not self._writer.members:
            clip.note("it has no image, since no key frame lies within it")
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
        end = min(span.end, index.end_seconds)
        count = index.count_times(span.start, end, frame_rate)
        if not count:
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
