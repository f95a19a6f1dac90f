"""What a source must be before anything is made of it."""

from __future__ import annotations

from typing import Any

from clipmill.core.errors import ProcessError


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
