"""Bytes that wait on disk between fetching and writing, bounded for a whole worker."""

from __future__ import annotations

import asyncio

Order = tuple[int, int]
"""Place in line: shards in the order they were begun, rows in theirs."""


class DiskBudget:
    """Lets fetches run ahead of the writer until they hold ``limit`` bytes.

    Whoever holds the row that is to be written next is never kept waiting: the writer waits for it,
    so holding it back would stop everything.

    Args:
        limit: bytes that may lie on disk at a time.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._holdings: set[Holding] = set()
        self._waiting: list[asyncio.Event] = []

    @property
    def waiting(self) -> int:
        """Number of fetches held back right now."""
        return len(self._waiting)

    def open(self, order: Order) -> Holding:
        """Announce a holder whose bytes are first needed at ``order``."""
        holding = Holding(self, order)
        self._holdings.add(holding)
        return holding

    async def reserve(self, holding: Holding, size: int) -> None:
        """Wait until ``size`` more bytes may be held."""
        while self.used + size > self.limit and not self.is_next(holding):
            event = asyncio.Event()
            self._waiting.append(event)
            try:
                await event.wait()
            finally:
                if event in self._waiting:
                    self._waiting.remove(event)
        holding.size += size
        self.used += size

    def release(self, holding: Holding) -> None:
        """Take back all that was held."""
        self.used -= holding.size
        holding.size = 0
        self._holdings.discard(holding)
        self.wake()

    def wake(self) -> None:
        """Let those who wait look again."""
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            event.set()

    def is_next(self, holding: Holding) -> bool:
        """Whether nobody is before this holder."""
        return holding.order == min(other.order for other in self._holdings)


class Holding:
    """One source's share of the budget; handed to its fetcher."""

    def __init__(self, budget: DiskBudget, order: Order) -> None:
        self._budget = budget
        self.order = order
        self.size = 0

    async def reserve(self, size: int) -> None:
        """Wait until ``size`` more bytes fit."""
        await self._budget.reserve(self, size)

    def is_next(self) -> bool:
        """Whether the writer waits for this one, so that nothing may hold it back."""
        return self._budget.is_next(self)

    def needed_next_at(self, order: Order) -> None:
        """The earlier row is written; a later one needs the same bytes."""
        self.order = order
        self._budget.wake()

    def release(self) -> None:
        """Give everything back."""
        self._budget.release(self)
