"""How far a dataset is and how its rows ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from clipmill.core.outcome import Counts
from clipmill.dataset.dataset import Dataset

TOP_MESSAGES = 10
_PROCESS_NAMES = ("failed_to_process", "failed_to_subsample", "failed_to_resize")
"""What clipmill, video2dataset and img2dataset call rows whose bytes were of no use."""


@dataclass(slots=True)
class DatasetStatus(Counts):
    """How the rows of all finished shards ended, and how many of how many those are.

    Args:
        folder: the dataset.
        shards_done: finished shards, of ``shards`` planned.
        rows: rows of the inputs; ``rows_done`` of them ended, clips of a row together.
        retryable: failed rows that may succeed by trying again.
        video_seconds: length of all successes.
        top_messages: the most frequent error messages.
        top_drop_messages: the most frequent reasons for which rows were dropped.
    """

    folder: str = ""
    shards_done: int = 0
    shards: int = 0
    rows: int = 0
    rows_done: int = 0
    retryable: int = 0
    video_seconds: float = 0.0
    top_messages: list[tuple[str, int]] = field(default_factory=list)
    top_drop_messages: list[tuple[str, int]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        values = asdict(self)
        return {"folder": self.folder, "rows_done": values["rows_done"], **values}


def dataset_status(dataset: Dataset) -> DatasetStatus:
    """Add up the stats of every finished shard, ours or a peer's."""
    status = DatasetStatus(folder=dataset.folder.url, shards_done=len(dataset.stats))
    messages: Counter[str] = Counter()
    drop_messages: Counter[str] = Counter()
    for stats in dataset.stats.values():
        status.merge(_counts(stats))
        status.rows_done += stats.get("input_rows", stats["count"])
        status.retryable += stats.get("retryable", 0)
        status.video_seconds += stats.get("video_seconds", 0.0)
        messages.update(stats.get("status_dict", {}))
        drop_messages.update(stats.get("drop_messages", {}))
    status.shards = dataset.manifest.get("shards", status.shards_done)
    status.rows = dataset.manifest.get("rows", status.count)
    status.error_classes = dict(Counter(status.error_classes).most_common())
    status.drop_reasons = dict(Counter(status.drop_reasons).most_common())
    messages.pop("success", None)
    status.top_messages = messages.most_common(TOP_MESSAGES)
    status.top_drop_messages = drop_messages.most_common(TOP_MESSAGES)
    return status


def _counts(stats: Mapping[str, Any]) -> Counts:
    return Counts(
        count=stats["count"],
        successes=stats.get("successes", 0),
        failed_to_download=stats.get("failed_to_download", 0),
        failed_to_process=next((stats[name] for name in _PROCESS_NAMES if name in stats), 0),
        dropped=stats.get("dropped", 0),
        bytes_downloaded=stats.get("bytes_downloaded", 0),
        error_classes=stats.get("error_classes", {}),
        drop_reasons=stats.get("drop_reasons", {}),
    )
