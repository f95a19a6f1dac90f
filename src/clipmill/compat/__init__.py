"""Front ends that take other tools' arguments; so far video2dataset's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipmill.compat.v2d import video2dataset as video2dataset
    from clipmill.compat.v2d_loader import get_video_dataset as get_video_dataset


def __getattr__(name: str) -> Any:
    """Load a front end on first use: ``video2dataset`` brings the whole run with it."""
    if name == "video2dataset":
        from clipmill.compat.v2d import video2dataset

        return video2dataset
    if name == "get_video_dataset":
        from clipmill.compat.v2d_loader import get_video_dataset

        return get_video_dataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
