"""What a step said, checked: a value for each column, or why there is none."""

from __future__ import annotations

import math
import re
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from clipmill.core.errors import ClipmillError, ProcessError, RunError
from clipmill.core.outcome import MAX_MESSAGE_CHARACTERS
from clipmill.core.redact import plain_text
from clipmill.core.seen import Cell
from clipmill.media.pulse import beat
from clipmill.steps.base import Annotate

PROGRAMMING_ERRORS = (
    TypeError,
    AttributeError,
    NameError,
    LookupError,
    AssertionError,
    ImportError,
    NotImplementedError,
    SyntaxError,
)
"""What a step raises when it is wrong itself, rather than the sample."""


def failed(error_class: str, message: str) -> Cell:
    """The cell of a sample that a step cannot say anything of."""
    return Cell(
        "failed",
        error_class=error_class,
        error_message=plain_text(message)[:MAX_MESSAGE_CHARACTERS],
    )


def judged(step: Annotate, key: str, call: Callable[[], Any]) -> tuple[Cell | None, float]:
    """Let a step look at or speak of one sample.

    Args:
        step: the step.
        key: the sample's, for messages.
        call: gives what it says of one sample, in a list; None where it only looks.

    Returns:
        Its cell, None where it said nothing; and the processor time it took, in seconds.

    Raises:
        RunError: the step has a programming error; its fields hold the traceback.
    """
    started = time.process_time()
    beat()  # what a step takes is on a clock of its own, not on the decoder's
    try:
        said = call()
        cell = None if said is None else checked(step, said, [key])[0]
    except ProcessError as error:
        cell = failed(error.error_class, error.message)
    except (ClipmillError, MemoryError):
        raise
    except PROGRAMMING_ERRORS as error:
        raise wrong_step(step, key, error) from error
    except Exception as error:  # noqa: BLE001  # of the sample, or of a library over it
        cell = failed(_class_of(error), f"{type(error).__name__}: {error}")
    return cell, time.process_time() - started


def wrong_step(step: Annotate, key: str, error: Exception) -> RunError:
    """The error that stops a run: the step is wrong, whatever the sample."""
    return RunError(
        f"Step {step.name!r} has a programming error, met at sample {key}: "
        f"{type(error).__name__}: {error}. What is done is kept; mend the step and run the same "
        "again.",
        traceback="".join(traceback.format_exception(error)).rstrip(),
    )


def checked(step: Annotate, said: Any, keys: Sequence[str]) -> list[Cell]:
    """Cells of what a step said of a batch; a value that is none of its column fails alone.

    Args:
        step: the step.
        said: what ``annotate`` returned.
        keys: of the samples.

    Raises:
        TypeError: it is not a mapping for each sample with a value for each column.
    """
    if isinstance(said, Mapping | str) or not isinstance(said, Sequence):
        raise TypeError(f"annotate must return a list of mappings, not {type(said).__name__}")
    if len(said) != len(keys):
        raise TypeError(f"annotate returned {len(said)} mappings for {len(keys)} samples")
    names = step.columns.names
    for one in said:
        if not isinstance(one, Mapping):
            raise TypeError(f"annotate must return mappings, not {type(one).__name__}")
        if set(one) != set(names):
            raise TypeError(f"it said {sorted(one)}, and its columns are {sorted(names)}")
    return [_cell(step.columns, one) for one in said]


def _cell(columns: pa.Schema, said: Mapping[str, Any]) -> Cell:
    values = {}
    for field in columns:
        plain = _plain(said[field.name])
        if not _is_finite(plain):
            return failed("not_finite", f"column {field.name!r} holds a value that is no number")
        try:
            values[field.name] = pa.scalar(plain, field.type).as_py()
        except (
            pa.ArrowInvalid,
            pa.ArrowTypeError,
            pa.ArrowNotImplementedError,
            OverflowError,
        ) as e:
            return failed("wrong_type", f"column {field.name!r} is {field.type}: {e}")
    return Cell("success", values)


def _plain(value: Any) -> Any:
    """Arrays and numbers of numpy as lists and numbers of Python."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, list) else True


def _class_of(error: Exception) -> str:
    """The name of an exception as an error class: ``ValueError`` becomes ``value_error``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(error).__name__).lower()
