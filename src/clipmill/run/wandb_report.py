"""Reports to Weights & Biases under the metric names that video2dataset's users know."""

from __future__ import annotations

import time
from typing import Any

from clipmill.core.extras import require
from clipmill.run.tally import Tally

TABLE_SECONDS = 60.0
TABLE_ROWS = 100


class WandbReport:
    """One W&B run beside a clipmill run.

    Args:
        project: W&B project; ``WANDB_MODE=offline`` keeps everything on this machine.
        config: shown as the run's configuration.
    """

    def __init__(self, project: str, config: dict[str, Any]) -> None:
        self._wandb = require("wandb", extra="wandb", used_by="--wandb")
        self._run = self._wandb.init(project=project, config=config)
        self._table_time = 0.0

    def update(self, tally: Tally) -> None:
        """Log totals and the recent rate."""
        rows, size = tally.rates()
        counts = tally.counts
        total = max(counts.count, 1)
        seconds = max(tally.seconds, 1e-3)
        metrics = {
            "total/vid_per_sec": counts.count / seconds,
            "total/bytes_per_sec": counts.bytes_downloaded / seconds,
            "total/success": counts.successes / total,
            "total/failed_to_download": counts.failed_to_download / total,
            "total/failed_to_subsample": counts.failed_to_process / total,
            "total/count": counts.count,
            "worker/vid_per_sec": rows,
            "worker/bytes_per_sec": size,
            **self._newest(tally),
        }
        if time.monotonic() - self._table_time >= TABLE_SECONDS:
            self._table_time = time.monotonic()
            metrics["status"] = self._table(tally)
        self._run.log(metrics)

    def _newest(self, tally: Tally) -> dict[str, float]:
        """Shares within the newest finished shard, which the peer calls its worker's."""
        stats = tally.newest_stats
        count = max(stats.get("count", 0), 1)
        names = ("success", "failed_to_download", "failed_to_subsample")
        shares = {
            f"worker/{name}": stats.get("successes" if name == "success" else name, 0) / count
            for name in names
        }
        return {**shares, "worker/count": stats.get("count", 0)}

    def _table(self, tally: Tally) -> Any:
        rows = [("success", tally.counts.successes), *tally.top_errors(TABLE_ROWS)]
        if tally.counts.dropped:
            rows.append(("dropped", tally.counts.dropped))
        total = max(tally.counts.count, 1)
        data = [[status, number / total, number] for status, number in rows]
        return self._wandb.Table(columns=["status", "frequency", "count"], data=data)

    def close(self, tally: Tally) -> None:
        """Log the final state and end the W&B run."""
        self._table_time = 0.0
        self.update(tally)
        self._run.finish()
