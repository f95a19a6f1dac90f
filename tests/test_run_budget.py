"""Fetches run ahead only as far as the disk budget reaches, and never lock each other out."""

import asyncio

from clipmill.run.budget import DiskBudget


async def _settle():
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_fetch_waits_until_an_older_one_gives_its_bytes_back():
    async def scene():
        budget = DiskBudget(100)
        first, second = budget.open((1, 0)), budget.open((1, 1))
        await first.reserve(80)
        waiting = asyncio.create_task(second.reserve(50))
        await _settle()
        assert not waiting.done()
        assert budget.waiting == 1
        first.release()
        await waiting
        assert budget.used == 50

    asyncio.run(scene())


def test_the_oldest_is_never_kept_waiting():
    async def scene():
        budget = DiskBudget(100)
        first, second = budget.open((1, 0)), budget.open((1, 1))
        await second.reserve(100)
        await asyncio.wait_for(first.reserve(1000), 1)
        assert budget.used == 1100

    asyncio.run(scene())


def test_a_waiting_fetch_becomes_the_oldest_and_goes_on():
    async def scene():
        budget = DiskBudget(10)
        holdings = [budget.open((1, row)) for row in range(5)]
        order = []

        async def fetch(row):
            await holdings[row].reserve(100)
            order.append(row)
            holdings[row].release()

        await asyncio.wait_for(asyncio.gather(*(fetch(row) for row in reversed(range(5)))), 1)
        assert order == sorted(order)
        assert budget.used == 0

    asyncio.run(scene())


def test_bytes_that_a_later_row_needs_too_do_not_hold_back_the_rows_between():
    async def scene():
        budget = DiskBudget(100)
        shared, between = budget.open((1, 0)), budget.open((1, 5))
        await shared.reserve(100)
        waiting = asyncio.create_task(between.reserve(50))
        await _settle()
        assert not waiting.done()
        shared.needed_next_at((1, 900))  # row 0 is written; row 900 wants the same source
        await asyncio.wait_for(waiting, 1)

    asyncio.run(scene())
