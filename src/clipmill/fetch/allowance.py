"""What one source has been granted of the bytes that may wait on disk, over all its tries."""

from __future__ import annotations

from clipmill.fetch.base import Budget
from clipmill.fetch.manners import Effort


class Allowance:
    """Asks the budget for what is not granted yet; the source's clock stands still meanwhile.

    Args:
        budget: shared by all fetches of a worker.
        effort: of this source.
    """

    def __init__(self, budget: Budget, effort: Effort) -> None:
        self._budget = budget
        self._effort = effort
        self._granted = 0

    async def up_to(self, size: int) -> None:
        """Wait until the source may take ``size`` bytes in all."""
        if size > self._granted:
            async with self._effort.paused():
                await self._budget.reserve(size - self._granted)
            self._granted = size
