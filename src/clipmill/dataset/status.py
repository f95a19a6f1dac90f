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
"""What clipmill, video2dataset and img2dataset call rows whose bytes could not be used."""


@dataclass(slots=True)
class DatasetStatus(Counts):
    """Totals over the finished shards: how their rows ended, and how many are planned.

    Args:
        folder: the dataset.
        shards_done: finished shards, of ``shards`` planned.
        shards: see ``shards_done``.
        planned_rows: rows of the dataset's inputs, of which ``count`` have ended.
        video_seconds: length of all successes.
        top_messages: the most frequent error messages.
    """

    folder: str = ""
