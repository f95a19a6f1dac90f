"""Which columns of steps an export takes along, and what they are called there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clipmill.core.errors import InputError
from clipmill.core.registry import nearest
from clipmill.dataset.columns import AFTER, ColumnGroup, column_groups
from clipmill.io.folder import Folder

NO_COLUMNS = ("none",)
_OWN = frozenset({"key", "mark", *(name for name, _ in AFTER)})


class Leaf:
    """A column of a step, or a field of one, as it is carried along.

    Args:
        group: the column group.
        called: the step's name, or of a group that was asked for by its fingerprint
            ``motion_3f9c21``.
        path: name of the column, then of fields in it.
        kind: its type.
        about: what the step says of the column: its name in exports, where that is none made of
            the step's and its own, unit and description.
    """

    def __init__(
        self,
        group: ColumnGroup,
        called: str,
        path: tuple[str, ...],
        kind: pa.DataType,
        about: Mapping[str, Any],
    ) -> None:
        exported = about.get("exported") if len(path) == 1 else None
        self.group = group.name
        self.path = path
        self.type = kind
        is_newest = called == group.step
        self.name = exported if exported and is_newest else "_".join((called, *path))
        self.dotted = ".".join((called, *path))
        self.is_member = len(path) == 1 and (
            pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
        )
        """Whether it becomes files, whose extension is the column's name."""
        self.is_plain = not (
            pa.types.is_nested(kind)
            or pa.types.is_binary(kind)
            or pa.types.is_large_binary(kind)
            or pa.types.is_null(kind)
        )
        self.is_named = exported is not None

        told = {name: str(about[name]) for name in ("description", "unit") if about.get(name)}
        self.field = pa.field(self.name, kind, metadata={**told})

    def of(self, cells: pa.Table) -> Any:
        """Its values."""
        column: Any = cells.column(self.path[0])
        return pc.struct_field(column, list(self.path[1:])) if self.path[1:] else column


def carried_leaves(
    folder: Folder, asked: Sequence[str] | None, groups: Collection[str] | None = None
) -> list[Leaf]:
    """What is carried of the newest groups, or of those that were the newest.

    Args:
        folder: the dataset's.
        asked: steps, columns or fields, those of an earlier choice of settings under its
            fingerprint, as in queries; ``none`` for none. Default: every number, truth value and
            text.
        groups: names of those that were the newest. Default: those that are now.

    Raises:
        InputError: there is no such column, or two would become the same file of a sample.
    """
    if asked is not None and tuple(asked) == NO_COLUMNS:
        return []
    known = column_groups(folder)
    newest = {group.step: group for group in known if groups is None or group.name in groups}
    every = [leaf for step, group in newest.items() for leaf in _of_group(group, step)]
    if asked is None:
        return [leaf for leaf in every if leaf.is_plain]
    named = {name.partition(".")[0] for name in asked} - set(newest)
    for group in known:
        if group.lasting_name in named:
            every += _of_group(group, group.lasting_name)
    chosen: dict[str, Leaf] = {}
    for name in asked:
        within = [leaf for leaf in every if leaf.dotted == name] or [
            leaf
            for leaf in every
            if leaf.dotted.startswith(f"{name}.")
            and (leaf.is_plain or leaf.is_named or leaf.is_member)
        ]
        if not within:
            raise InputError(
                f"{folder.url} has no column {name!r} of a step. "
                f"{nearest(name, [leaf.dotted for leaf in every])}"
            )
        chosen.update({leaf.dotted: leaf for leaf in within})
    _refuse_same_member([leaf for leaf in chosen.values() if leaf.is_member])
    return list(chosen.values())


def _refuse_same_member(leaves: Sequence[Leaf]) -> None:
    for one, other in combinations(leaves, 2):
        if one.path == other.path:
            raise InputError(
                f"{one.dotted} and {other.dotted} would both become a sample's {one.path[0]}: name "
                "only one of them in --columns."
            )


def _of_group(group: ColumnGroup, called: str) -> Iterator[Leaf]:
    names = Folder(group.folder.url_of(group.path(""))).list()
    table = next((name for name in names if name.endswith(".parquet")), None)
    if table is None:
        return
    with group.folder.open(group.path(table)) as file:
        schema = pq.read_schema(file)
    about = {one["name"]: one for one in group.info.get("columns", ())}
    for field in schema:
        if field.name not in _OWN:
            more = about.get(field.name, {})
            yield from _of_field(group, called, (field.name,), field.type, more)


def _of_field(
    group: ColumnGroup,
    called: str,
    path: tuple[str, ...],
    kind: pa.DataType,
    about: Mapping[str, Any],
) -> Iterator[Leaf]:
    if not pa.types.is_struct(kind):
        yield Leaf(group, called, path, kind, about)
        return
    for field in kind:
        yield from _of_field(group, called, (*path, field.name), field.type, about)
