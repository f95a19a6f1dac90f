"""A probe as a column: its Arrow type, with units.

Kept apart from ``probe``, since media processes have no use for pyarrow.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

import pyarrow as pa

from clipmill.media.facts import Probe

_ARROW_TYPES: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}


def _arrow_type(hint: Any) -> pa.DataType:
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is list:
        return pa.list_(_arrow_type(typing.get_args(hint)[0]))
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return pa.struct(
            [
                pa.field(part.name, _arrow_type(hints[part.name]), metadata=dict(part.metadata))
                for part in dataclasses.fields(hint)
            ]
        )
    return _ARROW_TYPES[hint]


PROBE_TYPE: pa.DataType = _arrow_type(Probe)
"""The struct of the ``probe`` column; each field's metadata hold a description and a unit."""
