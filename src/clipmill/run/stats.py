"""The stats file of a shard: written last, it says the shard is done and how it went."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from clipmill.core.outcome import Counts

MAX_MESSAGES = 1000


def shard_stats(
    results: Sequence[Mapping[str, Any]], started: float, fingerprint: str, volumes: int
) -> dict[str, Any]:
    """Counts of a shard under the names video2dataset and img2dataset use, and more of our own.

    Args:
        results: finished rows.
        started: when the shard was begun, in seconds since the epoch.
        fingerprint: the recipe's.
        volumes: number of media files it was split into.
    """
    counts = Counts()
    messages: Counter[str] = Counter()
    video_seconds = 0.0
    for row in results:
        fetch = row.get("fetch") or {}
        counts.add(row["status"], row["error_class"], fetch.get("downloaded_bytes") or 0)
        messages[row["error_message"] or row["status"]] += 1
        if row["status"] == "success":
            video_seconds += (row.get("probe") or {}).get("duration_seconds") or 0.0
    ended = time.time()
    return {
        **counts.row_counts(),
        "failed_to_subsample": counts.failed_to_process,
        "bytes_downloaded": counts.bytes_downloaded,
        "video_seconds": round(video_seconds, 3),
        "start_time": started,
        "end_time": ended,
        "duration": ended - started,
        "error_classes": dict(sorted(counts.error_classes.items())),
        "status_dict": dict(messages.most_common(MAX_MESSAGES)),
        "fingerprint": fingerprint,
        "volumes": volumes,
    }
