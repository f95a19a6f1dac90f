"""Patience, restraint and heed: what all fetchers do alike."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

import pytest
from multidict import CIMultiDict

from clipmill.core.errors import DownloadError
from clipmill.fetch.failures import ERROR_CLASSES, failure, is_retryable_status
from clipmill.fetch.manners import (
    MAX_RETRY_AFTER_SECONDS,
    Effort,
    Slots,
    opt_out_reason,
    parse_retry_after,
    with_retries,
)
from fetch_server import options


def retried(*outcomes: object, **choices: object) -> tuple[object, Effort]:
    """Run tries that end as given; returns the last outcome and the effort."""
    waiting = list(outcomes)
    effort = Effort("http")

    async def attempt() -> object:
        outcome = waiting.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    try:
        return asyncio.run(with_retries(attempt, options(**choices), effort)), effort
    except DownloadError as error:
        return error, effort


def test_what_may_pass_is_tried_again_and_what_will_not_is_not():
    passing, lasting = failure("connect", "refused"), failure("not_media", "a page")

    assert retried(passing, passing, "here")[0] == "here"
    assert retried(lasting, "here")[0] is lasting


def test_the_last_error_carries_what_it_took():
    error, effort = retried(*[failure("connect", f"try {i}") for i in range(4)], retries=3)

    assert isinstance(error, DownloadError)
    assert error.message == "try 3"
    assert error.details["attempts"] == effort.attempts == 4
    assert error.details["fetcher"] == "http"
    assert error.details["seconds"] >= 0


def test_a_single_failure_may_know_better_than_its_class():
    assert isinstance(
        retried(failure("dns", "no such name", retryable=False), "here")[0], Exception
    )


def test_waits_grow_and_vary(monkeypatch):
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    failures = [failure("connect", "refused") for _ in range(9)]
    retried(*failures, retries=8, backoff_seconds=1)

    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_bugs_are_not_failures_of_a_sample():
    with pytest.raises(TypeError):
        retried(TypeError("a bug"), "here")


def test_time_in_all_covers_every_try_but_not_our_own_waits():
    effort = Effort("http")

    async def attempt() -> str:
        async with effort.paused():
            await asyncio.sleep(0.3)
        return "here"

    choices = options(total_timeout_seconds=0.2)
    assert asyncio.run(with_retries(attempt, choices, effort)) == "here"
    assert effort.seconds < 0.2

    async def slow() -> None:
        await asyncio.sleep(0.1)
        raise failure("connect", "refused")

    with pytest.raises(DownloadError, match=r"0\.2 s") as raised:
        asyncio.run(with_retries(slow, choices, Effort("http")))
    assert raised.value.error_class == "timeout"
    assert raised.value.retryable


def test_every_class_of_failure_is_in_one_place():
    with pytest.raises(KeyError):
        failure("made_up", "")
    assert all(name == name.lower() for name in ERROR_CLASSES)
    assert "s3cret" not in failure("connect", "https://me:s3cret@host/v refused").message


def test_which_statuses_may_pass():
    assert all(map(is_retryable_status, [408, 425, 429, 500, 502, 503, 504, 520]))
    assert not any(map(is_retryable_status, [400, 401, 403, 404, 410, 451, 501, 505]))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("0", 0), ("-5", 0), (None, None), ("", None), ("soon", None), ("1.5", None)],
)
def test_retry_after_as_seconds(value, seconds):
    assert parse_retry_after(value) == seconds


def test_retry_after_as_a_date():
    now = time.time()
    assert parse_retry_after(formatdate(now + 90, usegmt=True)) == pytest.approx(90, abs=2)
    assert parse_retry_after(formatdate(now - 90, usegmt=True)) == 0


def test_a_wait_longer_than_ours_ends_the_tries():
    busy = failure("http_status", "busy", retryable=True)
    busy.details["retry_after_seconds"] = MAX_RETRY_AFTER_SECONDS + 1
    error, _ = retried(busy, "here")
    assert error is busy


def test_slots_bound_transfers_per_host_and_serve_who_came_first():
    now: dict[str, int] = {}
    most: dict[str, int] = {}
    served: list[int] = []

    async def transfer(slots: Slots, host: str, number: int) -> None:
        async with slots.of(host, Effort("http")):
            served.append(number)
            for name in (host, "all"):
                now[name] = now.get(name, 0) + 1
                most[name] = max(most.get(name, 0), now[name])
            await asyncio.sleep(0.01)
            for name in (host, "all"):
                now[name] -= 1

    async def go() -> dict[str, object]:
        slots = Slots(per_host=2)
        hosts = ["busy"] * 20 + ["a", "b", "c", "d"]
        await asyncio.gather(*(transfer(slots, host, n) for n, host in enumerate(hosts)))
        return slots._hosts

    assert asyncio.run(go()) == {}, "hosts are forgotten when nothing is under way"
    assert most["busy"] == 2
    assert most["all"] == 6
    assert [number for number in served if number < 20] == list(range(20))


def test_who_waits_for_a_slot_and_gives_up_leaves_none_taken():
    async def go() -> None:
        slots = Slots(per_host=1)
        async with slots.of("host", Effort("http")):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01), slots.of("host", Effort("http")):
                    pass
        async with asyncio.timeout(1), slots.of("host", Effort("http")):
            pass

    asyncio.run(go())


class Disk:
    """A budget of which only the oldest fetch gets more than there is; rows end in turn."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.next = 0
        self.changed = asyncio.Condition()

    async def reserve(self, row: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: self.room > 0 or self.next == row)
            self.room -= 1

    async def release(self) -> None:
        async with self.changed:
            self.room += 1
            self.next += 1
            self.changed.notify_all()


def test_the_fetch_that_all_wait_for_is_let_through_though_its_host_is_busy():
    """A retry of the oldest row comes back when later rows hold all slots and wait for disk."""
    rows = 30

    async def fetch(row: int, slots: Slots, disk: Disk) -> None:
        effort = Effort("http", is_next=lambda: disk.next == row)

        async def attempt() -> None:
            async with slots.of("host", effort):
                await asyncio.sleep(0.001)
                if row in (0, 7) and effort.attempts == 1:
                    raise failure("connect", "refused")
                await disk.reserve(row)

        await with_retries(attempt, options(backoff_seconds=0.1), effort)

    async def go() -> dict[str, object]:
        slots, disk = Slots(per_host=3), Disk(room=2)
        fetches = [asyncio.create_task(fetch(row, slots, disk)) for row in range(rows)]
        async with asyncio.timeout(10):
            for one in fetches:
                await one
                await disk.release()
        assert disk.next == rows
        return slots._hosts

    assert asyncio.run(go()) == {}


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("X-Robots-Tag: noai", "noai"),
        ("x-robots-tag: NoAI", "noai"),
        ("X-Robots-Tag: all, noimageai", "noimageai"),
        ("X-Robots-Tag: noindex", "noindex"),
        ("X-Robots-Tag: clipmill: noai", "noai"),
        ("X-Robots-Tag: *: noai", "noai"),
        ("X-Robots-Tag: labbot: noai", "noai"),
        ("X-Robots-Tag: otherbot: noindex, clipmill: nofollow, noai", "noai"),
        ("X-Robots-Tag: unavailable_after: 25 Jun 2030 15:00:00 PST, noai", "noai"),
        ("X-Robots-Tag: otherbot: noai, noindex", None),
        ("X-Robots-Tag: all", None),
        ("X-Robots-Tag: noarchive, nosnippet, max-image-preview: large", None),
        ("tdm-reservation: 1", "tdm-reservation"),
        ("tdm-reservation: 0", None),
        ("Content-Usage: train-ai=n", "train-ai"),
        ("Content-Usage: search=y, train-ai=n;exp=1", "train-ai"),
        ("Content-Usage: bots=n", "train-ai"),
        ("Content-Usage: bots=n, train-ai=y", None),
        ("Content-Usage: search=n", None),
        ("Content-Type: video/mp4", None),
    ],
)
def test_the_marks_of_publishers_who_opt_out(header, reason):
    name, value = header.split(": ", 1)
    choices = options(user_agent="LabBot/2.0 (+https://lab.example.org)")

    found = opt_out_reason(CIMultiDict({name: value}), choices)

    assert (found is None) == (reason is None)
    assert reason is None or reason in found


def test_every_robots_header_counts_and_the_words_can_be_chosen():
    headers = CIMultiDict([("X-Robots-Tag", "all"), ("X-Robots-Tag", "noindex")])

    assert opt_out_reason(headers, options())
    assert not opt_out_reason(headers, options(opt_out_directives=("noai",)))
    assert not opt_out_reason(headers, options(respect_opt_out=False))
