"""The exception tree.

ClipmillError
├── UserError            what was asked cannot be done as asked: exit 2, nothing written
│   ├── RecipeError      a recipe, option or configuration file is wrong
│   ├── InputError       the input table, folder or dataset is missing or unusable
│   │   └── DamagedInput  a file of it is there, but a part of it cannot be read
│   ├── OutputError      the output folder cannot be used, or holds something else
│   └── MissingExtra     an optional dependency is not installed
├── SampleError          one sample failed; it is recorded as that sample's outcome
│   ├── DownloadError    -> failed_to_download
│   └── ProcessError     -> failed_to_process
├── ShardError           one shard could not be finished; it is tried again
│   └── StorageError     remote storage failed; a UserError too, for where no shard is under way
└── RunError             the run cannot go on (disk full, budget exceeded): exit 1

Every class survives pickling, because errors cross process boundaries.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ClipmillError(Exception):
    """Base of every error clipmill raises on purpose.

    Args:
        message: what happened, to what, and what to try.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.fields))


def _rebuild(cls: type[ClipmillError], message: str, fields: dict[str, Any]) -> ClipmillError:
    return cls(message, **fields)


class UserError(ClipmillError):
    """What was asked cannot be done as asked; nothing was written."""

    exit_code = 2


class RecipeError(UserError):
    """A recipe, an option or a configuration file is wrong."""


class InputError(UserError):
    """The input table, folder or dataset is missing or unusable."""


class DamagedInput(InputError):  # noqa: N818  as a reader says it
    """A file of the input is there, but a part of it cannot be read.

    In a run it costs the rows that lie there; before one, what was asked for cannot be done.
    """


class OutputError(UserError):
    """The output folder cannot be used, or holds something else."""


class MissingExtra(UserError):  # noqa: N818  as a reader says it
    """An optional dependency is not installed.

    Args:
        message: what needs which module, and the exact install line.
    """


class SampleError(ClipmillError):
    """One sample failed; the pass records it and goes on.

    Args:
        message: the real first cause, in the words of whoever noticed it.
        error_class: short snake_case class that failures are counted by, such as ``timeout``.
        retryable: whether trying again later may succeed.
        details: what was learnt before it failed: facts for the ``fetch`` column, such as
            ``http_status``, ``attempts``, ``seconds``, or the ``probe``.
    """

    status: ClassVar[str]

    def __init__(
        self,
        message: str,
        *,
        error_class: str,
        retryable: bool = False,
        details: dict[str, Any] | None = None,
    ) -> None:
        details = details or {}
        super().__init__(message, error_class=error_class, retryable=retryable, details=details)
        self.error_class = error_class
        self.retryable = retryable
        self.details = details


class DownloadError(SampleError):
    """The bytes of one sample could not be had."""

    status = "failed_to_download"


class ProcessError(SampleError):
    """The bytes of one sample are there, but could not be made use of."""

    status = "failed_to_process"


class ShardError(ClipmillError):
    """One shard could not be finished; it is tried again."""


class StorageError(ShardError, UserError):
    """Remote storage cannot be read or written.

    It is both: work on a shard is tried again, since networks come back; before a run and in
    commands without one, what was asked for cannot be done, which is exit 2.
    """


class RunError(ClipmillError):
    """The whole run cannot go on."""
