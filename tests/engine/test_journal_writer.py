"""The writer: events of a log reach the store together, and effects wait for the disk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from heddle.engine.events import LeaseTaken, RunFinished
from heddle.engine.journal.reading import read
from heddle.engine.journal.sqlite import SQLiteStore
from heddle.engine.journal.writer import GROUP_S, Journal
from heddle.engine.log import EventLog
from heddle.engine.record import event_of
from heddle.testing.clock import run_virtual

if TYPE_CHECKING:
    from pathlib import Path

    from heddle.engine.journal.store import Store


async def kept(store: Store) -> list[object]:
    return [event_of(entry) async for page in read(store, "r") for entry in page.entries]


def test_events_are_kept_within_the_group_time_and_come_back(tmp_path: Path) -> None:
    async def main() -> None:
        store = SQLiteStore(tmp_path / "j.db")
        log = EventLog()
        journal = Journal(log, store, await store.create("r", "", "me", 30))
        for number in range(2000):
            log.emit((0, float(number), str(number)))
        log.emit(LeaseTaken(1.0, "me", 1))
        await asyncio.sleep(2 * GROUP_S)
        assert journal.syncs == 0
        log.emit(RunFinished(2.0, "succeeded", {"b": 1, "a": "x" * 40_000}, "", ""))
        await journal.aclose()
        assert (journal.error, journal.syncs) == (None, 1)
        assert await kept(store) == list(log.events)
        row = await store.run("r")
        assert (row.status, row.owner) == ("succeeded", "")
        await store.aclose()

    run_virtual(main())


def test_effects_of_one_moment_share_a_sync(tmp_path: Path) -> None:
    async def main() -> None:
        store = SQLiteStore(tmp_path / "j.db")
        log = EventLog()
        journal = Journal(log, store, await store.create("r", "", "me", 30))

        async def effect(number: int) -> None:
            log.emit((0, float(number), str(number)))
            await log.durable(len(log.events) - 1)

        await asyncio.gather(*(effect(number) for number in range(64)))
        assert journal.syncs == 1
        await journal.aclose()
        await store.aclose()

    run_virtual(main())
