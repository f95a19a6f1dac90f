"""The input of a run: its rows, how they make up shards, and how it is known again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from clipmill.core.config import fingerprint
from clipmill.core.errors import RecipeError
from clipmill.core.redact import redact_url
from clipmill.dataset.columns import newest_groups
from clipmill.dataset.dataset import Dataset
from clipmill.io.folder import Folder
from clipmill.io.layout import RUN_FOLDER
from clipmill.run.chosen_rows import ChosenRows
from clipmill.run.input_rows import uid_of
from clipmill.run.recipe import Recipe
from clipmill.sources.base import MEDIA_COLUMN, SPAN_COLUMN, UID_COLUMN, Part, Source
from clipmill.sources.columns import Columns
from clipmill.sources.open import open_source
from clipmill.sources.samples import SampleSource
from clipmill.sources.shard_plan import ShardPlan, plan_rows, plan_shards, source_fingerprint

FILES_TOLD = 1000
SCAN_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Input:
    """Rows and their division into shards.

    Args:
        source: the rows.
        plan: which rows make up which shard.
        kind: source it is read by, when that was said.
        location: where they come from, secrets redacted; what lies in the dataset's own folder is
            named from there.
        fingerprint: changes when the rows or the column choices do.
        extension_of: fingerprint of the whole input, when the plan covers only its new rows.
        provenance: which selection and column groups of a dataset were taken.
    """

    source: Source
    plan: ShardPlan
    kind: str | None
    location: list[str]
    fingerprint: str
    extension_of: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    files: list[dict[str, Any]] = field(default_factory=list)

    def entry(self, inputs: list[dict[str, Any]], output: Folder) -> dict[str, Any]:
        """Save the plan, and describe this input for ``dataset.json`` as the next after others."""
        number = len(inputs)
        first = inputs[-1]["first_shard"] + inputs[-1]["shards"] if inputs else 0
        media = self.source.media_folder()
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / "plan"
            self.plan.save(draft)
            output.put(draft, plan_name(number))
        return {
            "kind": self.kind,
            "location": self.location,
            **({"media_folder": redact_url(media)} if media else {}),
            "fingerprint": self.fingerprint,
            "extension_of": self.extension_of,
            **self.provenance,
            "files": self.files,
            "rows": self.plan.rows,
            "shards": self.plan.shards,
            "first_shard": first,
        }


def plan_name(number: int) -> str:
    """Name of the saved plan of a dataset's input."""
    return f"{RUN_FOLDER}/plan-{number}.npz"


def last_input(inputs: Sequence[Mapping[str, Any]]) -> int:
    """Number of the newest input that is not a retry of another; -1 when there is none."""
    return max((n for n, entry in enumerate(inputs) if "retry_of" not in entry), default=-1)


def moved_rows(inputs: Sequence[Mapping[str, Any]], output: Folder) -> dict[int, frozenset[int]]:
    """Row numbers by shard id that retries have moved into shards of their own."""
    moved: dict[int, frozenset[int]] = {}
    for entry in inputs:
        if "moved" in entry:
            for shard, rows in output.read_json(entry["moved"]).items():
                moved[int(shard)] = moved.get(int(shard), frozenset()) | frozenset(rows)
    return moved


def open_input(recipe: Recipe, rows: Any, output: Folder, scratch: Path) -> Input:
    """Open the input of a run, count its rows and divide them into shards.

    Args:
        recipe: names the source, its columns and the size of shards.
        rows: rows given in Python instead of the recipe's location.
        output: the dataset; rows given in Python are kept with it.
        scratch: local folder for work in hand.

    Raises:
        InputError: missing, empty or unreadable input, or missing columns.
    """
    kind, location = recipe.source.given
    if rows is None and location is None:
        raise RecipeError("The recipe names no source: set `source.path`.")
    if rows is None:
        places = [
            _lasting(part) for part in ([location] if isinstance(location, str) else location)
        ]
        return _open(recipe, location, kind, places)
    if output.is_local:
        spill = output.local(RUN_FOLDER) / "input"
    else:
        spill = scratch.with_name(f"{scratch.name}-input")
    given = _open(recipe, rows, kind, [], spill=spill)
    written = Path(given.source.files()[0].url)
    kept = f"{RUN_FOLDER}/input/{written.name}"
    if not output.is_local:
        output.put(written, kept)
    return replace(given, location=[kept])


def reopen_input(recipe: Recipe, entry: Mapping[str, Any], output: Folder) -> Input:
    """Open an input again from what ``dataset.json`` tells of it."""
    places = [
        output.url_of(place) if place.startswith(f"{RUN_FOLDER}/") else place
        for place in entry["location"]
    ]
    location = places if len(places) > 1 else places[0]
    return _open(recipe, location, entry["kind"], entry["location"], then=entry)


def _open(
    recipe: Recipe,
    given: Any,
    kind: str | None,
    location: list[str],
    *,
    spill: Path | None = None,
    then: Mapping[str, Any] | None = None,
) -> Input:
    """Open rows; ``then`` is what was told of them when they were opened first."""
    columns = Columns(**{name: getattr(recipe.source, name) for name in Columns.model_fields})
    source = open_source(
        given,
        columns,
        spill=spill,
        kind=kind,
        as_samples=recipe.makes_clips,
        parent=recipe.source.parent,
    )
    if isinstance(source, SampleSource) and _chooses(recipe, source, then):
        source = ChosenRows(
            source.place,
            columns,
            recipe.source.parent,
            selection=recipe.source.selection,
            carried=recipe.source.columns,
            groups=then["columns"] if then else None,
        )
    elif recipe.source.selection is not None or recipe.source.columns is not None:
        raise RecipeError(
            "source.selection and source.columns are of a dataset that is exported, split or "
            "rendered, and this input is none."
        )
    plan = plan_shards(source, recipe.write.samples_per_shard, columns.group_by_url)
    files = [
        {"url": redact_url(file.url), "rows": file.rows, "size": file.size, "version": file.version}
        for file in source.files()[:FILES_TOLD]
    ]
    return Input(
        source,
        plan,
        kind=kind,
        location=location,
        fingerprint=source_fingerprint(source),
        provenance=source.provenance if isinstance(source, ChosenRows) else {},
        files=files,
    )


def _chooses(recipe: Recipe, source: SampleSource, then: Mapping[str, Any] | None) -> bool:
    """Whether only some samples of a dataset are taken, or columns of steps come along."""
    if then is not None:
        return "columns" in then
    asked = recipe.source.selection is not None or recipe.source.columns is not None
    if recipe.split is not None and not asked:
        return False  # what was measured of a whole is not so of its parts
    return asked or bool(source.place and newest_groups(Folder(source.place)))


def _lasting(place: str) -> str:
    """A location that means the same in another working directory; secrets redacted."""
    return redact_url(place) if "://" in place else os.path.abspath(place)


def saved_plan(given: Input, number: int, output: Folder) -> Input:
    """The same input with the plan that was saved when the run first began."""
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / Path(plan_name(number)).name
        if output.exists(plan_name(number)):
            local.write_bytes(output.read_bytes(plan_name(number)))
        return replace(given, plan=ShardPlan.load(local))


def plan_of_rows(given: Input, rows: np.ndarray[Any, np.dtype[np.int64]], size: int) -> Input:
    """The same input, divided so that only these rows are done, ``size`` to a shard."""
    return replace(given, plan=plan_rows(given.source, rows, size))


def new_rows_only(recipe: Recipe, given: Input, output: Folder) -> Input:
    """Plan only those rows whose uid the dataset does not have yet."""
    known = np.sort(np.concatenate([np.empty(0, np.uint64), *Dataset(output).uid_prefixes()]))
    new: list[np.ndarray[Any, np.dtype[np.int64]]] = []
    start = 0
    for table in _scan(given.source):
        prefixes = _uid_prefixes(table)
        places = np.minimum(np.searchsorted(known, prefixes), max(len(known) - 1, 0))
        is_new = known[places] != prefixes if len(known) else np.ones(len(prefixes), bool)
        new.append(np.flatnonzero(is_new) + start)
        start += table.num_rows
    rows = np.concatenate([np.empty(0, np.int64), *new])
    return replace(
        plan_of_rows(given, rows, recipe.write.samples_per_shard),
        fingerprint=fingerprint([given.fingerprint, "extension", len(rows), len(known)]),
        extension_of=given.fingerprint,
    )


def _scan(source: Source) -> Iterator[pa.Table]:
    for number, file in enumerate(source.files()):
        for start in range(0, file.rows, SCAN_ROWS):
            yield source.read(Part(number, start, min(SCAN_ROWS, file.rows - start)))


def _uid_prefixes(table: pa.Table) -> np.ndarray[Any, np.dtype[np.uint64]]:
    told = {UID_COLUMN, "url", "clips", MEDIA_COLUMN, SPAN_COLUMN}
    rows = table.select([name for name in table.column_names if name in told])
    return np.array([int(uid_of(row)[:16], 16) for row in rows.to_pylist()], dtype=np.uint64)
