"""Members that are NumPy arrays, such as embeddings: read as numbers, never as code."""

from __future__ import annotations

import ast
import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from clipmill.core.errors import ProcessError

_MAGIC = b"\x93NUMPY"
_LENGTHS = {1: 2, 2: 4}
"""Bytes that tell how long the header is, by major version of the format."""
_LONGEST_HEADER = 10_000
_NUMBERS = "?biufc"


class Kind(NamedTuple):
    """What arrays of one name have in common: all but how long they are.

    Args:
        dtype: of their elements.
        axes: how many.
        rest: how long all but the first axis are.
    """

    dtype: np.dtype[Any]
    axes: int
    rest: tuple[int, ...]

    def __str__(self) -> str:
        shape = ("T", *self.rest) if self.axes else ()
        return f"{self.dtype} ({', '.join(map(str, shape))}{',' * (self.axes == 1)})"


def kind_of(array: np.ndarray[Any, Any]) -> Kind:
    """What an array has to have in common with others."""
    return Kind(array.dtype, array.ndim, array.shape[1:])


def read_array(name: str, data: bytes) -> np.ndarray[Any, Any]:
    """The array that a ``.npy`` file holds, as numbers in the machine's own order of bytes.

    The format is that of ``numpy.lib.format``, in versions 1 and 2.

    Args:
        name: the member's extension, for errors.
        data: the file's bytes.

    Raises:
        ProcessError: it is none, is cut off, or holds anything but numbers (``damaged_member``).
    """
    size = _LENGTHS.get(data[6]) if len(data) > 6 and data[:6] == _MAGIC else None
    if size is None:
        raise _damaged(name, "it is no .npy file of version 1 or 2")
    begin = 8 + size
    end = begin + int.from_bytes(data[8:begin], "little")
    if end > min(len(data), _LONGEST_HEADER):
        raise _damaged(name, "its header is cut off, or longer than headers are")
    try:
        dtype, shape, order = _described(data[begin:end])
    except (ValueError, TypeError, SyntaxError, KeyError, RecursionError, MemoryError) as error:
        raise _damaged(name, f"its header is none ({error})") from error
    if dtype.kind not in _NUMBERS:
        raise _damaged(name, f"it holds {dtype}, and numbers alone are read")
    count = math.prod(shape)
    if count * dtype.itemsize != len(data) - end:
        raise _damaged(name, f"it has {len(data) - end} bytes for {dtype} of shape {shape}")
    array = np.frombuffer(data, dtype, offset=end) if count else np.empty(0, dtype)
    return array.reshape(shape, order=order).astype(dtype.newbyteorder("="), copy=False)


@lru_cache(maxsize=4096)
def _described(header: bytes) -> tuple[np.dtype[Any], tuple[int, ...], Any]:
    """Type, shape and order of axes; files of one shape have the same header."""
    told = ast.literal_eval(header.decode("latin1"))
    shape = tuple(told["shape"])
    if not all(isinstance(one, int) and one >= 0 for one in shape):
        raise ValueError(f"shape {shape}")
    return np.dtype(told["descr"]), shape, "F" if told["fortran_order"] else "C"


def _damaged(name: str, reason: str) -> ProcessError:
    return ProcessError(f"its member {name!r} cannot be read: {reason}",
                        error_class="damaged_member")  # fmt: skip
