"""clipmill turns video and audio into datasets that models can be trained on."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipmill.api import Dataset, download, load, mix, open
    from clipmill.core.request import Audio, Frames, Packets
    from clipmill.core.seen import Seen
    from clipmill.run.recipe import Recipe
    from clipmill.steps.base import Annotate
    from clipmill.steps.function import step

__version__ = "0.1.0"
__all__ = [
    "Annotate",
    "Audio",
    "Dataset",
    "Frames",
    "Packets",
    "Recipe",
    "Seen",
    "download",
    "load",
    "mix",
    "open",
    "step",
]

_HOME = {
    "Annotate": "clipmill.steps.base",
    "Audio": "clipmill.core.request",
    "Dataset": "clipmill.api",
    "Frames": "clipmill.core.request",
    "Packets": "clipmill.core.request",
    "Recipe": "clipmill.run.recipe",
    "Seen": "clipmill.core.seen",
    "step": "clipmill.steps.function",
    "download": "clipmill.api",
    "load": "clipmill.api",
    "mix": "clipmill.api",
    "open": "clipmill.api",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for on first use, so that ``import clipmill`` stays light."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
