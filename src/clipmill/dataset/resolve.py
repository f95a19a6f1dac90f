"""From names in a query to columns of a dataset, with the nearest name for one that is none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from clipmill.core import registry
from clipmill.core.errors import InputError
from clipmill.dataset.sql_tree import DATA, ColumnRef, pointed_at

TWIN = b"twin"
"""Metadata of a column that is not called as in the tables: its name there."""
SECOND_NAME = b"second_name"
"""Metadata of a column that is there under another name already."""
Path = tuple[str, ...]
"""A column, or a field in it: ``("motion", "mean")``."""


def resolve(ref: ColumnRef, schema: pa.Schema, text: str) -> Path:
    """The column or field that a query names; names are the same in upper and lower case.

    Args:
        ref: as the query names it.
        schema: columns of the dataset.
        text: the query, for the message.

    Raises:
        InputError: there is none; points at the place and says the nearest.
    """
    names = ref.names
    if len(names) > 1 and names[0].lower() == DATA and _find(DATA, schema.names) is None:
        names = names[1:]
    refuse_twin(ref, schema, text, names[:1])
    first = _find(names[0], schema.names)
    if first is None:
        hint = _hint(".".join(names), schema)
        raise InputError(
            f"There is no column {'.'.join(names)!r}. {hint}\n"
            f"{pointed_at(text, ref.start, ref.length)}"
        )
    path = [schema.field(first).name]
    kind = schema.field(first).type
    for name in names[1:]:
        place = None
        if fields := fields_of(kind):
            place = _find(name, [field.name for field in fields])
        if place is None:
            raise InputError(_no_field(names, path, kind) + "\n" + _mark(text, ref))
        path.append(fields[place].name)
        kind = fields[place].type
    return tuple(path)


def refuse_twin(ref: ColumnRef, schema: pa.Schema, text: str, names: Sequence[str]) -> None:
    """Refuse a column that SQL would take for another, whose name differs in case alone.

    Args:
        ref: as the query names it.
        schema: columns of the dataset.
        text: the query, for the message.
        names: those parts of it that may name the column.

    Raises:
        InputError: says what the column is called instead.
    """
    for field in schema:
        twin = (field.metadata or {}).get(TWIN, b"").decode()
        if twin and twin in names:
            raise InputError(
                f"Another column's name differs from {twin!r} in case alone, so in queries this "
                f"one is called {field.name!r}.\n{_mark(text, ref)}"
            )


def type_at(schema: pa.Schema, path: Path) -> pa.DataType:
    """Arrow type of a column or field."""
    kind: pa.DataType = schema.field(path[0]).type
    for name in path[1:]:
        kind = next(field.type for field in fields_of(kind) if field.name == name)
    return kind


def fields_of(kind: pa.DataType) -> list[pa.Field[Any]]:
    """Fields of a struct; none of other types."""
    if not pa.types.is_struct(kind):
        return []
    return [kind.field(number) for number in range(kind.num_fields)]


def first_names(schema: pa.Schema) -> list[str]:
    """Names of columns, each of them once."""
    return [field.name for field in schema if SECOND_NAME not in (field.metadata or {})]


def leaves(schema: pa.Schema) -> Iterator[tuple[Path, pa.DataType]]:
    """Every column, and in place of a struct its fields, in order."""

    def inside(path: Path, kind: pa.DataType) -> Iterator[tuple[Path, pa.DataType]]:
        if not pa.types.is_struct(kind):
            yield path, kind
            return
        for field in fields_of(kind):
            yield from inside((*path, field.name), field.type)

    for field in schema:
        yield from inside((field.name,), field.type)


def _find(name: str, names: list[str]) -> int | None:
    if name in names:
        return names.index(name)
    folded = [one.lower() for one in names]
    return folded.index(name.lower()) if name.lower() in folded else None


def _no_field(names: Iterable[str], path: list[str], kind: pa.DataType) -> str:
    parent = ".".join(path)
    wanted = ".".join(names)
    if not pa.types.is_struct(kind):
        return f"There is no column {wanted!r}: {parent} is of type {kind} and has no fields."
    fields = [field.name for field in fields_of(kind)]
    name = list(names)[len(path)]
    close = difflib.get_close_matches(name, fields, n=1, cutoff=0.5)
    if close:
        return f"There is no column {wanted!r}. Did you mean {f'{parent}.{close[0]}'!r}?"
    return f"There is no column {wanted!r}. {parent} has: {', '.join(fields)}."


def _hint(wanted: str, schema: pa.Schema) -> str:
    known = {".".join(path): ".".join(path) for path, _ in leaves(schema)}
    known |= {name: name for name in schema.names}
    ends = {path[-1]: ".".join(path) for path, _ in leaves(schema) if len(path) > 1}
    for names in (known, ends):
        folded = {name.lower(): told for name, told in names.items()}
        if close := difflib.get_close_matches(wanted.lower(), folded, n=1, cutoff=0.6):
            return f"Did you mean {folded[close[0]]!r}?"
    step = wanted.partition(".")[0]
    if step in registry.names("clipmill.steps"):
        return f"`clipmill annotate` with the step {step!r} makes it."
    return f"Columns: {', '.join(first_names(schema))}."


def _mark(text: str, ref: ColumnRef) -> str:
    return pointed_at(text, ref.start, ref.length)
