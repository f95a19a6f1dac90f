"""Front ends that take other tools' arguments; so far video2dataset's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipmill.compat.v2d import video2dataset as video2dataset


def __getattr__(name: str) -> Any:
    """Load ``video2dataset`` on first use: it brings the whole run with it."""
    if name == "video2dataset":
        from clipmill.compat.v2d import video2dataset

        return video2dataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
