"""Bytes that wait on disk between fetching and writing, bounded for a whole worker."""

from __future__ import annotations

import asyncio


class DiskBudget:
    """Lets fetches run ahead of the writer until they hold ``limit`` bytes.

    The oldest holder is never kept waiting: it is what the writer waits for, so holding it back
    would stop everything.

    Args:
        limit: bytes that may lie on disk at a time.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._held: dict[tuple[int, int], int] = {}
        self._waiting: list[tuple[tuple[int, int], asyncio.Event]] = []

    @property
    def waiting(self) -> int:
        """Number of fetches held back right now."""
        return len(self._waiting)

    def open(self, order: tuple[int, int]) -> Holding:
        """Announce a holder; smaller ``order`` means older."""
        self._held[order] = 0
        return Holding(self, order)

    async def reserve(self, order: tuple[int, int], size: int) -> None:
        """Wait until ``size`` more bytes may be held by ``order``."""
        while self.used + size > self.limit and order != min(self._held):
            event = asyncio.Event()
            self._waiting.append((order, event))
            await event.wait()
        self._held[order] += size
        self.used += size

    def release(self, order: tuple[int, int]) -> None:
        """Give back all that ``order`` holds."""
        self.used -= self._held.pop(order, 0)
        waiting, self._waiting = self._waiting, []
        for _, event in waiting:
            event.set()


class Holding:
    """One source's share of the budget; handed to its fetcher."""

    def __init__(self, budget: DiskBudget, order: tuple[int, int]) -> None:
        self._budget = budget
        self._order = order

    async def reserve(self, size: int) -> None:
        """Wait until ``size`` more bytes fit."""
        await self._budget.reserve(self._order, size)

    def release(self) -> None:
        """Give everything back."""
        self._budget.release(self._order)
