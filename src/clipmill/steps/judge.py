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
from clipmill.media import whereabouts
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


def judged(step: Annotate, key: str, say: Callable[[], Any]) -> tuple[Cell, float]:
    """Let a step speak of one sample.

    Args:
        step: the step.
        key: the sample's, for messages.
        say: gives what it says of one sample, in a list.

    Returns:
        Its cell, and the processor time it took, in seconds.

    Raises:
        RunError: the step has a programming error; its fields hold the traceback.
    """
    cell, seconds = tried(step, key, lambda: checked(step, say(), [key])[0])
    assert cell is not None
    return cell, seconds


def tried(step: Annotate, key: str, call: Callable[[], Cell | None]) -> tuple[Cell | None, float]:
    """Let a step look at one sample; the same as ``judged``, but what it says is not checked.

    Returns:
        What it gave, or a failed cell; and the processor time it took, in seconds.
    """
    started = time.process_time()
    beat()  # what a step takes is on a clock of its own, not on the decoder's
    whereabouts.begin(step.name, key)
    try:
        cell = call()
    except ProcessError as error:
        cell = failed(error.error_class, error.message)
    except (ClipmillError, MemoryError):
        raise
    except PROGRAMMING_ERRORS as error:
        raise wrong_step(step, key, error) from error
    except Exception as error:  # noqa: BLE001  # of the sample, or of a library over it
        cell = failed(_class_of(error), _words_of(error))
    whereabouts.end()
    return cell, time.process_time() - started


def wrong_step(step: Annotate, key: str, error: Exception) -> RunError:
    """The error that stops a run: the step is wrong, whatever the sample."""
    return RunError(
        f"Step {step.name!r} has a programming error, met at sample {key}: "
        f"{_words_of(error)}. What is done is kept; mend the step and run the same again.",
        traceback="".join(traceback.format_exception(error)).rstrip(),
    )


def unready_step(step: Annotate, error: Exception) -> RunError:
    """The error that stops a run: the step could not be set up, whatever the samples."""
    return RunError(
        f"Step {step.name!r} could not be set up: {_words_of(error)}. What is done is kept; mend "
        "this and run the same again.",
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
            values[field.name] = taken = pa.scalar(plain, field.type).as_py()
        except (
            pa.ArrowInvalid,
            pa.ArrowTypeError,
            pa.ArrowNotImplementedError,
            OverflowError,
            UnicodeError,
        ) as e:
            return failed("wrong_type", f"column {field.name!r} is {field.type}: {e}")
        if not _is_finite(taken):
            return failed(
                "not_finite", f"column {field.name!r} holds a number too large for {field.type}"
            )
        if lost := _lost(plain, taken):
            return failed("wrong_type", f"column {field.name!r} is {field.type}: {lost}")
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


def _lost(said: Any, taken: Any) -> str:
    """What a column would silently lose of a value, in words; nothing where it holds all of it."""
    if isinstance(said, Mapping) and isinstance(taken, Mapping):
        if unknown := [name for name in said if name not in taken]:
            return f"it has no field {unknown[0]!r}"
        return next((lost for name in said if (lost := _lost(said[name], taken[name]))), "")
    if isinstance(said, list) and isinstance(taken, list):
        pairs = zip(said, taken, strict=True)
        return next((lost for one, other in pairs if (lost := _lost(one, other))), "")
    is_cut = isinstance(said, float) and isinstance(taken, int) and said != taken
    return f"{said!r} is no whole number" if is_cut else ""


def _words_of(error: Exception) -> str:
    """An exception in words; of those that say nothing, what they were raised from says it."""
    cause: BaseException | None = error
    while cause and not str(cause).strip():
        cause = cause.__cause__
    return f"{type(error).__name__}: {cause or ''}".rstrip(": ")


def _class_of(error: Exception) -> str:
    """The name of an exception as an error class: ``ValueError`` becomes ``value_error``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(error).__name__).lower()
