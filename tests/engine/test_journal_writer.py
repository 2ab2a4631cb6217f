"""The writer: events of a log reach the store together, and effects wait for the disk."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from store_contract import stored

from heddle.engine.events import LateResult, LeaseTaken, RunFinished
from heddle.engine.journal.reading import read
from heddle.engine.journal.sqlite import SQLiteStore
from heddle.engine.journal.writer import CLOSING_S, GROUP_S, LEASE_S, Journal
from heddle.engine.log import EventLog
from heddle.engine.record import event_of
from heddle.errors import HeddleError, InternalError, JournalError
from heddle.testing.clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from heddle.engine.journal.store import Store

OVER = RunFinished(2.0, "succeeded", {"b": 1, "a": "x" * 40_000}, "", "")


class WatchedStore(SQLiteStore):
    """A store that counts what it is asked for, can be slow, and fails when it is told to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.appends: list[tuple[int, bool]] = []  # how many events, and whether on the disk
        self.renewals = 0
        self.takes_s = 0.0
        self.fails: Exception | None = None

    async def append(self, lease: Any, frames: Any, large: Any, **how: Any) -> None:
        self.appends.append((sum(frame.events for frame in frames), how["sync"]))
        await asyncio.sleep(self.takes_s)
        if self.fails is not None:
            raise self.fails
        await super().append(lease, frames, large, **how)

    async def renew(self, lease: Any, ttl_s: float) -> None:
        self.renewals += 1
        with suppress(asyncio.CancelledError):  # as a thread does, which cannot be stopped
            await asyncio.sleep(self.takes_s)
        if self.fails is not None:
            raise self.fails


@asynccontextmanager
async def kept_log(
    path: Path, **options: Any
) -> AsyncIterator[tuple[EventLog, WatchedStore, Journal]]:
    store, log = WatchedStore(path / "j.db"), EventLog()
    journal = Journal(log, store, await store.create("r", "", "me", 30), **options)
    try:
        yield log, store, journal
    finally:
        await journal.aclose()
        await store.aclose()


def say(log: EventLog, count: int = 1) -> None:
    for number in range(count):
        log.emit((0, float(number), str(number)))


async def effect(log: EventLog) -> None:
    say(log)
    await log.durable(len(log.events) - 1)


async def kept(store: Store) -> list[object]:
    return [event_of(entry) async for page in read(store, "r") for entry in page.entries]


# -- grouping ------------------------------------------------------------------------------------


def test_events_are_kept_within_the_group_time_and_come_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (log, store, journal):
            say(log, 2000)
            log.emit(LeaseTaken(1.0, "me", 1))
            await asyncio.sleep(GROUP_S * 1.5)
            assert store.appends == [(2001, False)]
            log.emit(OVER)
            await journal.aclose()
            assert (journal.error, journal.syncs) == (None, 1)
            assert await kept(store) == list(log.events)
            row = await store.run("r")
            assert (row.status, row.owner) == ("succeeded", "")

    run_virtual(main())


def test_a_log_in_which_nothing_happens_costs_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (log, store, _):
            await asyncio.sleep(LEASE_S / 4)
            assert store.appends == []
            say(log)
            await asyncio.sleep(LEASE_S / 4)
            assert store.appends == [(1, False)]

    run_virtual(main())


def test_effects_of_one_moment_share_a_sync(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (log, store, journal):
            await asyncio.gather(*(effect(log) for _ in range(64)))
            assert store.appends == [(64, True)]
            assert journal.syncs == 1

    run_virtual(main())


def test_what_comes_during_an_append_joins_the_next(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (log, store, _):
            store.takes_s = 1.0

            async def late(seconds: float) -> None:
                await asyncio.sleep(seconds)
                await effect(log)

            await asyncio.gather(*(late(i / 10) for i in range(10)))
            assert store.appends == [(1, True), (9, True)]

    run_virtual(main())


def test_a_chain_of_effects_waits_for_the_disk_once_for_each(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (log, store, journal):
            for _ in range(10):
                await effect(log)
                say(log, 3)
                await asyncio.sleep(0.001)
            assert journal.syncs == 10
            assert sum(count for count, _ in store.appends) == 10 + 9 * 3

    run_virtual(main())


def test_what_is_durable_already_is_not_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (log, store, journal):
            await effect(log)
            store.fails = AssertionError("asked again")
            await log.durable(0)
            assert journal.error is None
            store.fails = None

    run_virtual(main())


def test_what_was_appended_is_made_durable_when_somebody_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (log, store, _):
            say(log, 5)
            await asyncio.sleep(2 * GROUP_S)
            await log.durable(4)
            assert store.appends == [(5, False), (0, True)]

    run_virtual(main())


def test_a_waiter_that_is_cancelled_leaves_the_others_waiting(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (log, store, _):
            store.takes_s = 1.0
            first, second = (asyncio.ensure_future(effect(log)) for _ in range(2))
            await asyncio.sleep(0.5)
            first.cancel()
            await second
            assert first.cancelled()
            assert len(await stored(store, "r")) == 1

    run_virtual(main())


def test_what_is_hurried_is_appended_at_once_and_not_synced(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (log, store, journal):
            say(log)
            log.hurry()
            say(log)
            await asyncio.sleep(GROUP_S / 2)
            assert store.appends == [(2, False)]
            store.takes_s = GROUP_S
            say(log)
            log.hurry()
            await asyncio.sleep(GROUP_S / 2)
            say(log)
            log.hurry()  # in the middle of an append: the next one follows at once
            await asyncio.sleep(GROUP_S)
            log.hurry()  # there is nothing
            await asyncio.sleep(GROUP_S)
            assert store.appends == [(2, False), (1, False), (1, False)]
            assert journal.syncs == 0

    run_virtual(main())


def test_the_end_of_a_run_is_on_the_disk_whoever_asks_and_what_comes_late_leaves_it_ended(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (log, store, journal):
            log.emit(OVER)
            log.emit(LateResult(3.0, "1", 1, "late"))
            log.hurry()
            await journal.aclose()
            assert store.appends == [(2, True)]
            assert (await store.run("r")).status == "succeeded"

    run_virtual(main())


def test_frames_of_many_events_stay_small(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (log, store, journal):
            say(log, 2000)
            await journal.aclose()
            frames = await stored(store, "r")
            assert [frame.events for frame in frames] == [512, 512, 512, 464]
            assert [frame.seq for frame in frames] == [0, 512, 1024, 1536]

    run_virtual(main())


def test_a_journal_goes_on_where_another_ended(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (log, store, journal):
            say(log, 7)
            await journal.aclose()
            lease = await store.lease("r", "me", 30)
            head = (await store.run("r")).head
            again = Journal(log, store, lease, head=head, seq=7)
            say(log, 3)
            await again.aclose()
            assert [(frame.seq, frame.token) for frame in await stored(store, "r")] == [
                (0, 1),
                (7, 2),
            ]
            assert await kept(store) == list(log.events)

    run_virtual(main())


# -- faults --------------------------------------------------------------------------------------

FULL = JournalError("the disk is full", code="journal-full")


def test_a_store_that_fails_is_told_to_all_and_never_asked_again(tmp_path: Path) -> None:
    async def main() -> None:
        told: list[HeddleError] = []
        async with kept_log(tmp_path, failed=told.append) as (log, store, journal):
            store.fails = FULL
            found = await asyncio.gather(*(effect(log) for _ in range(3)), return_exceptions=True)
            assert found == [FULL] * 3
            with pytest.raises(JournalError):
                await effect(log)
            await asyncio.sleep(LEASE_S * 2)
            await journal.aclose()
            assert told == [FULL]
            assert journal.error is FULL
            assert len(store.appends) == 1

    run_virtual(main())


def test_a_failure_that_nobody_waits_for_is_told_too(tmp_path: Path) -> None:
    async def main() -> None:
        told: list[HeddleError] = []
        async with kept_log(tmp_path, failed=told.append) as (log, store, _):
            store.fails = FULL
            say(log)
            await asyncio.sleep(2 * GROUP_S)
            assert told == [FULL]

    run_virtual(main())


def test_an_end_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        told: list[HeddleError] = []
        async with kept_log(tmp_path, failed=told.append) as (log, store, journal):
            log.emit(OVER)
            store.fails = FULL
            await journal.aclose()
            assert told == [journal.error] == [FULL]

    run_virtual(main())


def test_a_store_that_breaks_is_our_fault(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (log, store, _):
            store.fails = ZeroDivisionError("oh")
            with pytest.raises(InternalError, match="ZeroDivisionError"):
                await effect(log)

    run_virtual(main())


def test_a_value_that_is_no_json_stops_the_run_and_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (log, _, journal):
            log.emit((2, 1.0, "1", 1, object(), None, None, None, ""))
            with pytest.raises(JournalError, match="cannot be written down"):
                await effect(log)
            assert journal.error is not None

    run_virtual(main())


# -- the lease -----------------------------------------------------------------------------------


def test_a_lease_is_renewed_for_as_long_as_the_journal_is_open(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (_, store, journal):
            await asyncio.sleep(10 * LEASE_S)
            assert 28 <= store.renewals <= 30
            await journal.aclose()
            await asyncio.sleep(10 * LEASE_S)
            assert store.renewals <= 30

    run_virtual(main())


def test_a_journal_is_closed_in_the_middle_of_a_renewal(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_log(tmp_path) as (_, store, journal):
            store.takes_s = 1.0
            await asyncio.sleep(LEASE_S / 3 + 0.5)
            assert store.renewals == 1
            async with asyncio.timeout(LEASE_S * 10):
                await journal.aclose()
            assert store.renewals == 1

    run_virtual(main())


@pytest.mark.parametrize(("takes_s", "kept_all"), [(CLOSING_S / 2, True), (CLOSING_S * 2, False)])
def test_a_journal_that_is_closed_by_somebody_who_is_cancelled_lets_go_all_the_same(
    tmp_path: Path, takes_s: float, kept_all: bool
) -> None:
    async def main() -> None:
        store, log = WatchedStore(tmp_path / "j.db"), EventLog()
        journal = Journal(log, store, await store.create("r", "", "me", 30))
        say(log)
        store.takes_s = takes_s
        closing = asyncio.create_task(journal.aclose())
        await asyncio.sleep(0.1)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert asyncio.get_running_loop().time() <= CLOSING_S + 1
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        row = await store.run("r")
        assert (row.owner == "", row.head is not None) == (kept_all, kept_all)
        await asyncio.sleep(LEASE_S * 10)
        assert store.renewals == 0
        await store.aclose()

    run_virtual(main())


def test_a_lease_that_is_lost_stops_the_run(tmp_path: Path) -> None:
    async def main() -> None:
        told: list[HeddleError] = []
        async with kept_log(tmp_path, failed=told.append) as (log, store, _):
            store.fails = JournalError("taken over", code="lease-lost")
            await asyncio.sleep(LEASE_S)
            assert [error.code for error in told] == ["lease-lost"]
            with pytest.raises(JournalError, match="taken over"):
                await effect(log)

    run_virtual(main())
