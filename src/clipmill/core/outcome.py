"""Outcomes are data: every input row ends in exactly one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from clipmill.core.errors import SampleError
from clipmill.core.redact import plain_text

Status = Literal["success", "failed_to_download", "failed_to_process", "dropped"]
STATUSES: tuple[str, ...] = get_args(Status)

ROW_COUNTS = ("count", "successes", "failed_to_download", "failed_to_process", "dropped")
"""Fields of ``Counts`` that number rows, as stats files name them; the first is the sum."""

MAX_MESSAGE_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one row ended.

    Args:
        status: one of ``STATUSES``.
        error_step: the step that failed or dropped it: ``download``, ``probe``, ``write``, ...
        error_class: short snake_case class that failures are counted by.
        error_message: the real first cause.
        retryable: whether ``clipmill retry`` tries this row again by default.
    """

    status: Status = "success"
    error_step: str | None = None
    error_class: str | None = None
    error_message: str | None = None
    retryable: bool = False

    @classmethod
    def of_error(cls, error: SampleError, step: str) -> Outcome:
        """Turn a sample's error into its outcome."""
        return cls(
            status=error.status,  # type: ignore[arg-type]  # "str" is one of Status by class
            error_step=step,
            error_class=error.error_class,
            error_message=plain_text(error.message)[:MAX_MESSAGE_CHARACTERS],
            retryable=error.retryable,
        )


@dataclass(slots=True)
class Counts:
    """How many rows ended in which way; the parts always add up to ``count``.

    ``error_classes`` are those of failed rows; ``drop_reasons`` why others were dropped.
    """

    count: int = 0
    successes: int = 0
    failed_to_download: int = 0
    failed_to_process: int = 0
    dropped: int = 0
    bytes_downloaded: int = 0
    error_classes: dict[str, int] = field(default_factory=dict)
    drop_reasons: dict[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Rows that failed, in whichever way; dropped ones did not."""
        return self.failed_to_download + self.failed_to_process

    def row_counts(self) -> dict[str, int]:
        """Numbers of rows under the names of ``ROW_COUNTS``."""
        return {name: getattr(self, name) for name in ROW_COUNTS}

    def add(self, status: str, error_class: str | None, downloaded_bytes: int) -> None:
        """Count one row."""
        self.count += 1
        name = "successes" if status == "success" else status
        setattr(self, name, getattr(self, name) + 1)
        self.bytes_downloaded += downloaded_bytes
        if status != "success":
            label = error_class or status
            why = self.drop_reasons if status == "dropped" else self.error_classes
            why[label] = why.get(label, 0) + 1

    def merge(self, other: Counts) -> None:
        """Add another tally to this one."""
        for name in (*ROW_COUNTS, "bytes_downloaded"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in (
            (self.error_classes, other.error_classes),
            (self.drop_reasons, other.drop_reasons),
        ):
            for label, number in theirs.items():
                mine[label] = mine.get(label, 0) + number
