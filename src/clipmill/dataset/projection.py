"""Which fields of which columns a query reads, as SQL that reads nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from clipmill.dataset.engine import quoted
from clipmill.dataset.resolve import Path, fields_of


class Tree(dict[str, "Tree"]):
    """Names with the fields wanted of each; a name without fields is wanted whole."""


def tree_of(paths: Iterable[Path]) -> Tree:
    """The columns of some paths; a whole column takes in its fields."""
    root = Tree()
    for path in sorted(dict.fromkeys(paths), key=len):
        at = root
        for depth, name in enumerate(path):
            if name in at and not at[name] and depth < len(path) - 1:
                break  # wanted whole already
            at = at.setdefault(name, Tree())
    return root


def projection(
    alias: str,
    tree: Tree,
    schema: pa.Schema,
    known: pa.Schema,
    casts: Mapping[str, str],
    *,
    pack: bool = False,
) -> list[str]:
    """Columns as a SELECT lists them, or as the arguments of a struct.

    A number that is none (NaN) counts as unknown: in comparisons of SQL it would be greater than
    all others. Within lists, and in columns that are wanted whole, values stay as they are.

    Args:
        alias: of the table.
        tree: what is wanted.
        schema: columns the table has.
        known: columns that its likes have, too; missing ones are null.
        casts: SQL types that whole columns are to have, by name, where they differ.
        pack: as ``name := value``.
    """
    listed = []
    for name, fields in tree.items():
        wanted = known.field(name).type
        has = schema.field(name).type if name in schema.names else pa.null()
        value = _value(f"{alias}.{quoted(name)}", fields, has, wanted)
        if name in casts and not fields and has != wanted:
            value = f"CAST({value} AS {casts[name]})"
        listed.append(f"{quoted(name)} := {value}" if pack else f"{value} AS {quoted(name)}")
    return listed


def _value(place: str, fields: Tree, has: pa.DataType, wanted: pa.DataType) -> str:
    if not fields:
        if pa.types.is_null(has):
            return "NULL"
        # Not nullif(x, 'nan'): DuckDB trusts Parquet's statistics, which leave NaN out.
        is_number = pa.types.is_floating(has)
        return f"CASE WHEN isnan({place}) THEN NULL ELSE {place} END" if is_number else place
    known = {field.name: field.type for field in fields_of(wanted)}
    found = {field.name: field.type for field in fields_of(has)}
    parts = []
    for name, inner in fields.items():
        part = found.get(name, pa.null())
        value = _value(f"{place}.{quoted(name)}", inner, part, known[name])
        parts.append(f"{quoted(name)} := {value}")
    return f"struct_pack({', '.join(parts)})"
