"""What a recipe will do, before it does it: its input, its steps, and what each source costs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ByteSize

from clipmill.core.edit import Edit
from clipmill.core.request import Frames
from clipmill.core.words import counted
from clipmill.io.folder import Folder
from clipmill.run.clips import making_of, sees_all
from clipmill.run.input import open_input
from clipmill.run.prepare import check_columns, check_conditions, check_recipe
from clipmill.run.recipe import Recipe
from clipmill.sources.base import MEDIA_COLUMN, Part, Source
from clipmill.sources.streams import is_local
from clipmill.steps.split.options import SplitOptions


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a recipe will do.

    Args:
        rows: rows of the input.
        shards: shards they make up.
        steps: one line each, in order.
        fetches: of each source.
        decodes: of each source's length, at the least and at the most.
        encodes: of each clip's length.
        temporary: what lies on disk while a source is worked on, in words.
        output: where the dataset goes, and in which format.
    """

    rows: int
    shards: int
    steps: list[str]
    fetches: int
    decodes: tuple[int, int]
    encodes: int
    temporary: str
    output: str
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The same for people."""
        least, most = self.decodes
        decodes = f"{least}" if least == most else f"{least} to {most}"
        return [
            f"{counted(self.rows, 'row')} in {counted(self.shards, 'shard')}, to {self.output}",
            *(f"  {number}. {step}" for number, step in enumerate(self.steps, 1)),
            "Each source:",
            f"  fetched   {counted(self.fetches, 'time')}",
            f"  decoded   {decodes} {'time' if decodes == '1' else 'times'}",
            f"  encoded   {counted(self.encodes, 'time')}, clips alone"
            if self.encodes
            else "  encoded   never",
            f"  on disk   {self.temporary}",
            *self.notes,
        ]


def explain(recipe: Recipe) -> Explanation:
    """Open the input and work out what will be done; nothing is fetched or written.

    Raises:
        UserError: what ``run`` would refuse.
    """
    check_recipe(recipe)
    with tempfile.TemporaryDirectory() as scratch:
        given = open_input(recipe, None, Folder(recipe.write.to), Path(scratch))
    check_columns(recipe, given)
    check_conditions(recipe, given)
    place = _first_place(given.source)
    is_here = place is not None
    decodes, note = _decodes(recipe)
    return Explanation(
        rows=given.plan.rows,
        shards=given.plan.shards,
        steps=_steps(recipe, is_here=is_here),
        fetches=0 if is_here else 1,
        decodes=decodes,
        encodes=int(recipe.render is not None and recipe.render.precision != "copy"),
        temporary=_temporary(recipe, place),
        output=f"{recipe.write.to} ({'table' if recipe.is_virtual else recipe.write.format})",
        notes=[note] if note else [],
    )


def _steps(recipe: Recipe, *, is_here: bool) -> list[str]:
    steps = ["use media where they lie" if is_here else "download", "probe"]
    if recipe.keep is not None:
        formats = ", ".join(recipe.keep.encode_formats.values())
        steps.append(f"keep sources in {recipe.keep.to} ({formats}, {recipe.keep.format})")
    if recipe.split is not None and recipe.split.keep_whole:
        if recipe.split.looks:
            steps.append(f"find cuts by {recipe.split.detector} and keep them; no clips")
    elif recipe.split is not None:
        steps.append(f"split by {recipe.split.detector}: clips of {_lengths(recipe.split)}")
    if recipe.annotate:
        names = [one if isinstance(one, str) else next(iter(one)) for one in recipe.annotate]
        steps.append(f"annotate with {', '.join(names)}")
    if recipe.where:
        steps.append(f"keep where {' and '.join(recipe.where)}; the others stay as dropped rows")
    if recipe.render is not None:
        told = edit_in_words(recipe.render)
        steps.append(f"render ({told})" if told else "render")
    images = recipe.render is not None and recipe.render.images != "none"
    kept = ", ".join([*recipe.write.encode_formats.values(), *["images"] * images])
    steps.append("write a table of clips" if recipe.is_virtual else f"write {kept or 'a table'}")
    return steps


def edit_in_words(edit: Edit) -> str:
    """What is asked for of clips; empty where nothing is."""
    given = edit.model_dump(mode="json", exclude_defaults=True)
    shown = {name: f"{v:g}" if isinstance(v, float) else v for name, v in given.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _lengths(split: SplitOptions) -> str:
    least = f"{float(split.min_seconds):g} s or longer" if split.min_seconds else ""
    most = "" if split.max_seconds is None else f"{float(split.max_seconds):g} s at the most"
    return ", ".join(filter(None, (least, most))) or "any length"


def _decodes(recipe: Recipe) -> tuple[tuple[int, int], str]:
    """How often the length of a source is decoded, and why it may be more."""
    split, edit = recipe.split, recipe.render
    looks = split is not None and split.looks
    encodes = edit is not None and edit.precision != "copy"
    most = looks + bool(recipe.annotate) + encodes
    kept, joins = _joined(recipe)
    kept = kept and split is not None and sees_all(split)
    seen = 1 if kept else looks + bool(recipe.annotate)
    if making_of(recipe, Path()) is not None and (kept or joins):
        least = seen
    else:
        least = seen + (encodes and not recipe.where)
        if encodes and recipe.where:
            return (least, most), "What no condition drops is decoded once more, to be encoded."
    if least == most:
        return (least, most), ""
    room = ByteSize(recipe.run.scene_bytes).human_readable(decimal=True)
    return (least, most), (
        f"Clips whose pictures take more than {room} until they can be made (--scene-bytes) are "
        "decoded again."
    )


def _joined(recipe: Recipe) -> tuple[bool, bool]:
    """Whether steps can do with what is kept of a clip, and whether clips can be made as they look.

    Returns:
        whether what all of them want can be kept while a clip's end is looked for; and whether
        they look at pictures, all of them beside the decoder.
    """
    if not recipe.annotate:
        return True, False
    from clipmill.run.trial import can_be_kept, can_share
    from clipmill.steps.load import made_steps

    steps = made_steps(recipe.annotate, recipe.modules)
    decoder = recipe.run.decoder
    sees = any(isinstance(step.wants, Frames) for step in steps)
    return (
        all(can_be_kept(step, decoder) for step in steps),
        sees and all(can_share(step, decoder) for step in steps),
    )


def _first_place(source: Source) -> dict[str, Any] | None:
    """Where the media of the first row lie, taken for those of all; None when rows have links."""
    if MEDIA_COLUMN not in source.schema().names:
        return None
    file = next((number for number, file in enumerate(source.files()) if file.rows), None)
    media = [] if file is None else source.read(Part(file, 0, 1)).column(MEDIA_COLUMN)[0].as_py()
    return media[0] if media else {}


def _is_copied(recipe: Recipe, place: dict[str, Any]) -> bool:
    """Whether media must be brought to files of their own to be worked on."""
    if not place:
        return False
    if place["row"] is not None or not is_local(place["path"]):
        return True
    return place["offset"] is not None and not recipe.only_reads_sources


def _temporary(recipe: Recipe, place: dict[str, Any] | None) -> str:
    kept = ["the download"] if place is None else []
    if place and _is_copied(recipe, place):
        kept.append("a copy of the source")
    if recipe.render is not None:
        kept.append("its clips")
    return " and ".join(kept) + ", until its rows are written" if kept else "nothing"
