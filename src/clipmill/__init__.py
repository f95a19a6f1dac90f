"""clipmill turns video and audio into datasets that models can be trained on."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipmill.api import Dataset, download, open
    from clipmill.run.recipe import Recipe

__version__ = "0.1.0"
__all__ = ["Dataset", "Recipe", "download", "open"]

_HOME = {
    "Dataset": "clipmill.api",
    "Recipe": "clipmill.run.recipe",
    "download": "clipmill.api",
    "open": "clipmill.api",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for on first use, so that ``import clipmill`` stays light."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
