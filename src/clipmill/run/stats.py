"""The stats file of a shard: written last, it says the shard is done and how it went."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from clipmill.core.outcome import Counts
from clipmill.run.staging import Result

MAX_MESSAGES = 1000


class RowTally:
    """How rows of a shard ended, and in which words."""

    def __init__(self) -> None:
        self._counts = Counts()
        self._messages: Counter[str] = Counter()
        self._drop_messages: Counter[str] = Counter()
        self._retryable = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one row."""
        self._counts.add(row["status"], row["error_class"], 0)
        told = self._drop_messages if row["status"] == "dropped" else self._messages
        told[row["error_message"] or row["status"]] += 1
        self._retryable += bool(row["retryable"])

    def fields(self) -> dict[str, Any]:
        """What a stats file says of them."""
        counts = self._counts
        return {
            **counts.row_counts(),
            "failed_to_subsample": counts.failed_to_process,
            "retryable": self._retryable,
            "error_classes": dict(sorted(counts.error_classes.items())),
            "drop_reasons": dict(sorted(counts.drop_reasons.items())),
            "status_dict": dict(self._messages.most_common(MAX_MESSAGES)),
            "drop_messages": dict(self._drop_messages.most_common(MAX_MESSAGES)),
        }


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
    tally = RowTally()
    downloaded = 0
    video_seconds = 0.0
    decoded_seconds = encoded_seconds = 0.0
    for result in results:
        first = result.source or result.rows[0]
        downloaded += (first.get("fetch") or {}).get("downloaded_bytes") or 0
        if result.source is not None:
            decoded_seconds += result.source["decoded_seconds"]
            encoded_seconds += result.source["encoded_seconds"]
        for row in result.rows:
            tally.add(row)
            if row["status"] == "success":
                video_seconds += _seconds(row)
    ended = time.time()
    return {
        **tally.fields(),
        "bytes_downloaded": downloaded,
        "input_rows": len(results),
        "video_seconds": round(video_seconds, 3),
        "decoded_seconds": round(decoded_seconds, 3),
        "encoded_seconds": round(encoded_seconds, 3),
        "start_time": started,
        "end_time": ended,
        "duration": ended - started,
        "fingerprint": fingerprint,
        "volumes": volumes,
    }


def _seconds(row: Mapping[str, Any]) -> float:
    """How long a row's media are: a clip's span, else what was found in the file."""
    if span := row.get("span"):
        return float(span["end_seconds"] - span["start_seconds"])
    return (row.get("probe") or {}).get("duration_seconds") or 0.0
