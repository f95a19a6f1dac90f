"""What a source must be before anything is made of it: not too long, and the one it was."""

from __future__ import annotations

from typing import Any

from clipmill.core.errors import ProcessError
from clipmill.core.sample import MediaRef


def check_duration(probe: dict[str, Any], limit: float | None) -> None:
    """Refuse a source that is longer than the recipe allows.

    Raises:
        ProcessError: it is (``too_long``).
    """
    duration = probe["duration_seconds"]
    if limit is not None and duration is not None and duration > limit:
        raise ProcessError(
            f"it lasts {duration:g} s, longer than --max-duration-seconds {limit:g}",
            error_class="too_long",
        )


def refuse_changed(place: MediaRef, sha256: str) -> None:
    """Refuse a source that is another one than its clips were found in.

    Args:
        place: where it lies, and what it was then.
        sha256: of what lies there now.

    Raises:
        ProcessError: they differ (``source_changed``).
    """
    if place.sha256 not in (None, sha256):
        raise ProcessError(
            f"{place.path} is not the file any more that its clips were found in: split it anew, "
            "or put the earlier one back",
            error_class="source_changed",
        )
