"""What a Lance dataset says of fragments that were written apart."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from clipmill.core.errors import OutputError
from clipmill.io.folder import Folder


@dataclass(frozen=True, slots=True)
class Fragment:
    """One data file of a dataset.

    Args:
        name: of the file, below ``data``.
        schema: its columns.
        rows: how many it has.
        size: bytes of the file.
    """

    name: str
    schema: pa.Schema
    rows: int
    size: int


def write_dataset(
    folder: Folder, fragments: Sequence[Fragment], version: tuple[int, int], lance: ModuleType
) -> None:
    """Make fragments a dataset, as its first version; columns that some lack are null there.

    Args:
        folder: of the Lance dataset.
        fragments: its data files, in order.
        version: of their file format.
        lance: the library.

    Raises:
        OutputError: a column is of two types.
    """
    schema = _joint_schema(fragments)
    leaves = {
        field.name(): _leaves(field)
        for field in lance.schema.LanceSchema.from_pyarrow(schema).fields()
    }
    parts = []
    for number, one in enumerate(fragments):
        ids = [leaf for name in one.schema.names for leaf in leaves[name]]
        file = lance.fragment.DataFile(one.name, ids, [*range(len(ids))], *version, one.size)
        parts.append(lance.FragmentMetadata(number, [file], one.rows))
    with tempfile.TemporaryDirectory() as draft:
        lance.LanceDataset.commit(draft, lance.LanceOperation.Overwrite(schema, parts))
        for name in ("_transactions", "_versions"):
            folder.remove(name)
            folder.put(Path(draft) / name, name)


def bare_schema(schema: pa.Schema) -> pa.Schema:
    """The columns without units and descriptions, which Lance writes in an order of chance."""
    return pa.schema([pa.field(field.name, _bare(field.type), field.nullable) for field in schema])


def _bare(kind: pa.DataType) -> pa.DataType:
    def inner(field: pa.Field[Any]) -> pa.Field[Any]:
        return pa.field(field.name, _bare(field.type), field.nullable)

    if pa.types.is_struct(kind):
        return pa.struct([inner(field) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(inner(kind.value_field))
    return kind


def _joint_schema(fragments: Sequence[Fragment]) -> pa.Schema:
    fields: dict[str, pa.Field[Any]] = {}
    for fragment in fragments:
        for field in fragment.schema:
            known = fields.setdefault(field.name, field)
            if known.type != field.type:
                raise OutputError(
                    f"Column {field.name!r} is {field.type} in {fragment.name} and {known.type} "
                    "before it, which one Lance dataset cannot hold. Export the inputs apart, or "
                    "leave the column out with --save-additional-columns."
                )
    return pa.schema(list(fields.values()))


def _leaves(field: Any) -> list[int]:
    """Numbers of the columns that a field is stored as."""
    below = [leaf for child in field.children() for leaf in _leaves(child)]
    return below or [field.id()]
