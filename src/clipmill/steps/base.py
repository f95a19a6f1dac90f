"""What every step is: settings with a name, and the optional libraries it needs."""

from __future__ import annotations

from typing import ClassVar

from clipmill.core.config import Config


class Step(Config):
    """Settings of one step; its fields are keys of YAML, options and keywords of Python at once.

    Attributes:
        name: what recipes call the step.
        extras: extras of clipmill whose libraries it may import, lazily.
    """

    name: ClassVar[str]
    extras: ClassVar[tuple[str, ...]] = ()


class Split(Step):
    """A step that makes virtual clips of one sample: rows with spans, and no media."""
