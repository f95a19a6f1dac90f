"""OpenCV for steps that measure: imported when first used, and kept to one thread."""

from __future__ import annotations

from functools import cache
from typing import Any

from clipmill.core.extras import require

NEEDS = (("cv2", "cv"),)
"""What a step that uses it needs."""


@cache
def opencv() -> Any:
    """The module ``cv2``.

    Media processes use the cores already, so that threads of its own would only be in the way.

    Raises:
        MissingExtra: it is not installed.
    """
    cv2: Any = require("cv2", extra="cv", used_by="measuring pictures")
    cv2.setNumThreads(1)
    return cv2
