"""What every step is: settings with a name."""

from __future__ import annotations

from typing import ClassVar

from clipmill.core.config import Config


class Step(Config):
    """Settings of one step; its fields are keys of YAML, options and keywords of Python at once.

    Attributes:
        name: what recipes call the step.
    """

    name: ClassVar[str]


class Split(Step):
    """A step that makes virtual clips of one sample: rows with spans, and no media."""
