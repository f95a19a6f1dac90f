"""The stats file of a shard: written last, it says the shard is done and how it went."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from clipmill.core.outcome import Counts
from clipmill.run.staging import Result

MAX_MESSAGES = 1000


def shard_stats(
    results: Sequence[Result], started: float, fingerprint: str, volumes: int
) -> dict[str, Any]:
    """Counts of a shard under the names video2dataset and img2dataset use, and more of our own.

    Args:
        results: finished samples, with their rows.
        started: when the shard was begun, in seconds since the epoch.
        fingerprint: the recipe's.
        volumes: number of media files it was split into.
    """
    counts = Counts()
    messages: Counter[str] = Counter()
    video_seconds = 0.0
    decoded_seconds = encoded_seconds = 0.0
    for result in results:
        first = result.source or result.rows[0]
        counts.bytes_downloaded += (first.get("fetch") or {}).get("downloaded_bytes") or 0
        if result.source is not None:
            decoded_seconds += result.source["decoded_seconds"]
            encoded_seconds += result.source["encoded_seconds"]
        for row in result.rows:
            counts.add(row["status"], row["error_class"], 0)
            messages[row["error_message"] or row["status"]] += 1
            if row["status"] == "success":
                video_seconds += _seconds(row)
    ended = time.time()
    return {
        **counts.row_counts(),
        "failed_to_subsample": counts.failed_to_process,
        "bytes_downloaded": counts.bytes_downloaded,
        "input_rows": len(results),
        "video_seconds": round(video_seconds, 3),
        "decoded_seconds": round(decoded_seconds, 3),
        "encoded_seconds": round(encoded_seconds, 3),
        "start_time": started,
        "end_time": ended,
        "duration": ended - started,
        "error_classes": dict(sorted(counts.error_classes.items())),
        "status_dict": dict(messages.most_common(MAX_MESSAGES)),
        "fingerprint": fingerprint,
        "volumes": volumes,
    }


def _seconds(row: Mapping[str, Any]) -> float:
    """How long a row's media are: a clip's span, else what was found in the file."""
    if span := row.get("span"):
        return float(span["end_seconds"] - span["start_seconds"])
    return (row.get("probe") or {}).get("duration_seconds") or 0.0
