"""Clips as a pass knows them: what was found, and what was made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipmill.core.edit import Edit
from clipmill.core.errors import ProcessError
from clipmill.core.outcome import Outcome
from clipmill.core.sample import Subtitle
from clipmill.core.seen import Cell
from clipmill.core.time import Span
from clipmill.media.order import ClipOrder, Rendered
from clipmill.steps.split.options import SplitOptions
from clipmill.steps.split.result import SplitResult

if TYPE_CHECKING:
    from clipmill.run.recipe import Recipe


@dataclass(frozen=True, slots=True)
class MemberFile:
    """A media file ready to be written: its path, size and, where known already, sha256."""

    path: Path
    size: int
    sha256: str | None


@dataclass(slots=True, eq=False)
class Clip:
    """What became of one clip.

    Args:
        index: its number among the clips of its sample.
        span: the stretch of the source that was asked for; None for all of it.
        outcome: success, or why not.
        caption: its own text, where it has one apart from its source's.
        probe: facts of its media; while it is virtual, of the source, as long as the clip.
        rendered: how it was rendered; None while it is virtual.
        source_media: where the source lies, while the clip is virtual.
        members: media files by extension.
        subtitles: lines within it, at its own times.
        cells: what steps said of it while it was found, by their numbers.
        made: its files, where they were made while it was found, or why there are none.
    """

    index: int
    span: Span | None
    outcome: Outcome = field(default_factory=Outcome)
    caption: str | None = None
    probe: dict[str, Any] | None = None
    rendered: dict[str, Any] | None = None
    source_media: list[dict[str, Any]] | None = None
    members: dict[str, MemberFile] = field(default_factory=dict)
    subtitles: list[Subtitle] = field(default_factory=list)
    cells: dict[int, Cell] = field(default_factory=dict)
    made: Rendered | ProcessError | None = None

    def set_rendered(self, rendered: Rendered | ProcessError) -> None:
        """Take over what was made of it, or why nothing was."""
        if isinstance(rendered, ProcessError):
            self.outcome = Outcome.of_error(rendered, "render")
            return
        self.probe = rendered.probe
        self.subtitles = rendered.subtitles
        self.members = {
            extension: MemberFile(file.path, file.size, file.sha256)
            for extension, file in rendered.members.items()
        }
        self.rendered = {
            "span": rendered.actual.row(),
            "frame_count": rendered.frame_count,
            "encoder": rendered.encoder,
            "geometry": rendered.geometry,
            "notes": list(rendered.notes) or None,
        }


@dataclass(slots=True)
class SourceClips:
    """The clips of one sample, and what finding and making them took.

    Args:
        clips: in order.
        cuts: every cut found, as cells of the ``cuts`` column, used or not.
        decoded_seconds: length of source decoded, in seconds; twice its length for two decodes.
        encoded_seconds: length of clips encoded, in seconds.
    """

    clips: list[Clip]
    cuts: list[dict[str, Any]] = field(default_factory=list)
    decoded_seconds: float = 0.0
    encoded_seconds: float = 0.0


@dataclass(slots=True, eq=False)
class Judged:
    """A sample, or a clip of one, that is looked at before it is made.

    Args:
        key: its own.
        span: the stretch of its source that it is; None for all of it.
        row: what is known of it: the columns of its row.
        outcome: success, or why it is dropped.
        cells: what steps say of it, by their numbers.
        order: how it is ordered from the renderer, where it may be made as it is judged.
        made: its files, where they were made then, or why there are none.
    """

    key: str
    span: Span | None
    row: Mapping[str, Any]
    outcome: Outcome = field(default_factory=Outcome)
    cells: dict[int, Cell] = field(default_factory=dict)
    order: ClipOrder | None = None
    made: Rendered | ProcessError | None = None


@dataclass(frozen=True, slots=True)
class Making:
    """How clips are made by the decode that finds or judges them.

    Args:
        edit: what becomes of their pictures and sound.
        wanted: ``video`` and ``audio``, each with the extension wanted.
        folder: where files are written.
    """

    edit: Edit
    wanted: Mapping[str, str]
    folder: Path


@dataclass(frozen=True, slots=True)
class TriedClips:
    """What became of clips that were judged and made at once.

    Args:
        cells: what steps said of each, by their numbers.
        made: of each the files, or why there are none; None where it is dropped, or must be
            rendered by another decode.
        decoded_seconds: length of video decoded, in seconds.
    """

    cells: list[dict[int, Cell]]
    made: list[Rendered | ProcessError | None]
    decoded_seconds: float


@dataclass(frozen=True, slots=True)
class OnePass:
    """What became of one source.

    Args:
        found: its clips and cuts.
        made: of each clip the files, or why there are none; None where it is dropped, or must be
            rendered by another decode.
        cells: what steps said of each clip, by their numbers, as far as they saw it.
    """

    found: SplitResult
    made: list[Rendered | ProcessError | None]
    cells: list[dict[int, Cell]]


def sees_all(options: SplitOptions) -> bool:
    """Whether scenes are found by looking at every picture as it is."""
    return options.looks and not options.fast


def fits_one_pass(edit: Edit) -> bool:
    """Whether clips are made of their own pictures and sound alone, as these come by."""
    edits_alone = edit.crop != "letterbox" and edit.images == "none"
    return edit.precision == "exact" and edits_alone


def making_of(recipe: Recipe, folder: Path) -> Making | None:
    """How clips are made by a decode that finds or judges them; None if they need one of their own.

    Args:
        recipe: what to make.
        folder: where files are written.
    """
    edit = recipe.render
    if edit is None or recipe.fit is not None or not fits_one_pass(edit):
        return None
    return Making(edit, dict(recipe.write.encode_formats), folder)
