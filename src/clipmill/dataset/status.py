"""How far a dataset is and how its rows ended."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from clipmill.dataset.dataset import Dataset

TOP_MESSAGES = 10


@dataclass(slots=True)
class DatasetStatus:
    """Totals over the finished shards.

    Args:
        folder: the dataset.
        shards_done: finished shards, of ``shards`` planned.
        rows_done: rows that ended, of ``rows`` planned.
        successes: rows with media; the failed and dropped ones add up to ``rows_done`` with them.
        retryable: failed rows that ``clipmill retry`` takes up by default.
        video_seconds: length of all successes.
        bytes_downloaded: bytes over the wire.
        error_classes: failed rows per class.
        top_messages: the most frequent error messages.
    """

    folder: str
    shards_done: int = 0
    shards: int = 0
    rows_done: int = 0
    rows: int = 0
    successes: int = 0
    failed_to_download: int = 0
    failed_to_process: int = 0
    dropped: int = 0
    video_seconds: float = 0.0
    bytes_downloaded: int = 0
    error_classes: dict[str, int] = field(default_factory=dict)
    top_messages: list[tuple[str, int]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def dataset_status(dataset: Dataset) -> DatasetStatus:
    """Add up the stats of every finished shard."""
    manifest = dataset.manifest
    status = DatasetStatus(dataset.folder.url)
    classes: Counter[str] = Counter()
    messages: Counter[str] = Counter()
    for stats in dataset.stats.values():
        status.shards_done += 1
        status.rows_done += stats["count"]
        status.successes += stats["successes"]
        status.failed_to_download += stats["failed_to_download"]
        status.failed_to_process += stats["failed_to_subsample"]
        status.dropped += stats.get("dropped", 0)
        status.video_seconds += stats.get("video_seconds", 0.0)
        status.bytes_downloaded += stats.get("bytes_downloaded", 0)
        classes.update(stats.get("error_classes", {}))
        messages.update(stats.get("status_dict", {}))
    status.shards = manifest.get("shards", status.shards_done)
    status.rows = manifest.get("rows", status.rows_done)
    status.error_classes = dict(classes.most_common())
    messages.pop("success", None)
    status.top_messages = messages.most_common(TOP_MESSAGES)
    return status
