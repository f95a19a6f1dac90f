"""One clip under way: what was ordered, what is being made of it, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from clipmill.core.errors import ProcessError
from clipmill.core.request import Want
from clipmill.core.sample import Subtitle, subtitles_within
from clipmill.media.clip_writer import MadeFile
from clipmill.media.decode import Picture
from clipmill.media.facts import PreparedFile
from clipmill.media.order import ClipOrder, Rendered
from clipmill.media.pulse import beat
from clipmill.media.sound import Sound


class Part(Protocol):
    """Something of a clip that is made from decoded pictures and sound."""

    wants: list[Want]
    """What it wants to see and hear."""
    is_ended: bool
    """Whether it was finished."""

    @property
    def is_complete(self) -> bool:
        """Whether all it wants has come."""

    def take(self, piece: Picture | Sound) -> None:
        """Use a piece of the decode."""

    def finish(self, clip: ClipWork) -> None:
        """End what was made, check it and hand it to its clip."""

    def abandon(self) -> None:
        """Give up, leaving nothing behind."""


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
        self._parts: list[Part] = []
        self._takers: list[Part] = []
        self._members: dict[str, PreparedFile] = {}
        self._main: MadeFile | None = None
        self._notes: list[str] = []
        self._error: ProcessError | None = None

    @property
    def lines(self) -> list[Subtitle]:
        """The subtitles that are shown within what was asked for, at times of the source."""
        lines = self.order.subtitles
        return [line for line in lines if line.is_shown_within(self.order.span)]

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

    def begin(self, parts: Iterable[Part]) -> None:
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
        beat()  # what was kept of a clip is encoded all at once, without a decode to tell of
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

    def _end(self, part: Part) -> None:
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
            subtitles=subtitles_within(self.lines, actual),
            notes=tuple(dict.fromkeys(self._notes)),
        )

    def add_images(self, members: dict[str, PreparedFile]) -> None:
        """Count finished images in."""
        self._members |= members
