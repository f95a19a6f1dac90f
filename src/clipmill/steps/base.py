"""What steps keep to that say something of samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import ConfigDict, Field

from clipmill.core.request import Audio, Frames, Packets, Request
from clipmill.core.seen import Seen
from clipmill.steps.step import Step

Cost = Literal["table", "light", "decode", "heavy", "model"]
"""What a step costs per second of video: nothing but its row; far less than decoding; about as much
as decoding; more; or a neural model."""


class Annotate(Step, ABC):
    """A step that says something of samples: it sees what it wants of each, and gives columns.

    It never opens a file: one decode of a source serves all steps, and all clips of the source.

    Attributes:
        version: raised when the same settings give other values than before.
        cost: what it costs, for people who choose and for the order of conditions.
        needs: optional modules it works with, each with the extra of clipmill that brings it.
        reads: columns of the row that it needs, such as ``caption``; ones that a dataset lacks are
            None.
    """

    # so that ``columns`` and ``wants`` may be plain attributes where no setting decides them
    model_config = ConfigDict(
        ignored_types=(pa.Schema, Frames, Audio, Packets), allow_inf_nan=False
    )

    version: ClassVar[int] = 1
    cost: ClassVar[Cost] = "light"
    needs: ClassVar[tuple[tuple[str, str], ...]] = ()
    reads: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def columns(self) -> pa.Schema:
        """Names and types of what it says, each with unit and description (see ``column``)."""

    @property
    def wants(self) -> Request | None:
        """What it must see or hear of a sample; None where the row tells all."""
        return None

    def identity(self) -> dict[str, Any]:
        """The settings that decide what it says; where and how fast it runs does not."""
        return self.model_dump(mode="json")

    def setup(self) -> None:
        """Load what takes long to load; called once per process, before anything is shown.

        It is on no clock; that it ends its process stops the run.
        """

    def close(self) -> None:
        """Release what ``setup`` loaded; called when there is no more work, unless it is lost."""

    @abstractmethod
    def annotate(self, batch: Sequence[Seen]) -> Sequence[Mapping[str, Any]]:
        """What it says of each sample: a value or None for each of its columns.

        Args:
            batch: one sample or more, in no order.

        Returns:
            As many mappings, in the same order.

        Raises:
            ProcessError: it cannot say it of the sample, with class and reason. A ValueError, an
                ArithmeticError or an error of a library is recorded likewise; an error of
                programming, such as a TypeError, stops the run.
        """


class InBatches(Annotate):
    """A step that judges batches of many samples, as models and remote services do.

    It is set up once per worker, in a process of its own beside the media processes; any other step
    runs within these, next to the decoder, a sample at a time.
    """

    batch_size: int = Field(32, ge=1)
    """Samples it is given at once, at most."""

    def identity(self) -> dict[str, Any]:
        """See ``Annotate.identity``."""
        return self.model_dump(mode="json", exclude={"batch_size"})


class InStretches(Annotate):
    """A step that looks at a sample stretch by stretch, so that hours of it take no more memory.

    Stretches follow each other without gap and may end anywhere, so a pair of neighbours may lie in
    two of them; where a source changes size, frames of the next one have the new size.
    """

    @abstractmethod
    def begin(self, key: str, row: Mapping[str, Any], duration_seconds: float) -> Any:
        """What is remembered of a sample from stretch to stretch, before the first one."""

    @abstractmethod
    def see(self, memory: Any, stretch: Seen) -> None:
        """Look at the next stretch of a sample."""

    @abstractmethod
    def end(self, memory: Any) -> Mapping[str, Any]:
        """What it says of the sample: a value or None for each of its columns."""

    def annotate(self, batch: Sequence[Seen]) -> Sequence[Mapping[str, Any]]:
        """Look at samples that are there as a whole; see ``Annotate.annotate``."""
        said = []
        for seen in batch:
            memory = self.begin(seen.key, seen.row, seen.duration_seconds)
            self.see(memory, seen)
            said.append(self.end(memory))
        return said


def column(
    name: str, kind: pa.DataType, description: str, *, unit: str = "", exported: str = ""
) -> pa.Field[Any]:
    """A column of a step, with what people are told of it.

    Args:
        name: the column's, a word of ``[a-z0-9_]``.
        kind: Arrow type.
        description: what it is, in a few words.
        unit: of its values; empty where they have none.
        exported: what an export calls it, in place of its own name after the step's; such a column
            comes along when the step is named, even if it holds lists.
    """
    told = {"description": description, "unit": unit, "exported": exported}
    return pa.field(name, kind, metadata=told)
