"""Live progress: one line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from clipmill.run.tally import Tally

PLAIN_SECONDS = 10.0


class ProgressDisplay:
    """Shows a tally while a run goes on.

    Args:
        tally: what to show.
        quiet: show nothing.
    """

    def __init__(self, tally: Tally, *, quiet: bool) -> None:
        self._tally = tally
        self._quiet = quiet
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        if not self._quiet and self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live.is_started:
            self._live.stop()

    def update(self) -> None:
        """Show the present state, if it is time to."""
        if self._quiet:
            return
        if self._live.is_started:
            self._live.update(Text(progress_line(self._tally)), refresh=True)
        elif time.monotonic() - self._last >= PLAIN_SECONDS:
            self._last = time.monotonic()
            print(progress_line(self._tally), file=sys.stderr, flush=True)  # noqa: T201  what it is for

    def note(self, text: str) -> None:
        """Show a line that stays."""
        if not self._quiet:
            self._console.print(text, highlight=False, markup=False)


def progress_line(tally: Tally) -> str:
    """The state of a run in one line."""
    rows, size = tally.rates()
    parts = [
        f"{tally.shards_done}/{tally.shards} shards",
        f"{tally.rows_done:,}/{tally.rows:,} samples",
        f"{rows:,.1f}/s",
        *([f"{size / 1e6:,.1f} MB/s"] if tally.counts.bytes_downloaded else []),
        f"{tally.success_share:.1%} ok",
    ]
    errors = ", ".join(f"{label} {number:,}" for label, number in tally.top_errors())
    if errors:
        parts.append(errors)
    if tally.rows_done < tally.rows:
        left = tally.seconds_left()
        if left is not None:
            parts.append(f"{_duration(left)} left")
        parts.append(f"waiting for {tally.bottleneck()}")
    return " | ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"
