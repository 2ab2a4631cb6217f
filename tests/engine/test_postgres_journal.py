"""A run's events on a real PostgreSQL server that dies under it; what a vandal does to the rows."""

from __future__ import annotations

import asyncio
import random

import pytest

from heddle.engine.events import RunFinished, StepReady
from heddle.engine.journal.owners import this_process
from heddle.engine.journal.places import open_store
from heddle.engine.journal.postgres import PostgresStore
from heddle.engine.journal.reading import read
from heddle.engine.journal.writer import Journal
from heddle.engine.log import EventLog
from heddle.engine.record import event_of
from heddle.errors import JournalError


async def events_in(store) -> list[object]:
    return [event_of(entry) async for page in read(store, "r") for entry in page.entries]


def with_store(place, test):
    async def main():
        store = open_store(place)
        try:
            return await test(store)
        finally:
            await store.aclose()

    return asyncio.run(main())


async def woven(store, effects: int, *, at=()) -> tuple[list[object], list[str]]:
    """A run with effects in eight lanes; `at` says what happens when so many have begun."""
    log = EventLog()
    journal = Journal(log, store, await store.create("r", "woven", this_process(), 60))
    begun: list[str] = []
    events = dict(at)

    async def lane(name: int) -> None:
        for number in range(effects // 8):
            step = f"{name}.{number}"
            log.emit(StepReady(log.now(), step))
            await log.durable(len(log.events) - 1)
            begun.append(step)
            if happening := events.pop(len(begun), None):
                await asyncio.to_thread(happening)
            log.emit(StepReady(log.now(), f"after {step}"))

    await asyncio.gather(*(lane(name) for name in range(8)))
    log.emit(RunFinished(log.now(), "succeeded", "x" * 50_000, "", ""))
    await journal.aclose()
    assert journal.error is None
    assert journal.syncs < len(begun), "concurrent effects share the wait for the disk"
    return list(log.events), begun


def test_a_server_that_dies_again_and_again_under_a_run_costs_only_time(postgres):
    place = postgres.database()

    def crash():
        random.Random(7).choice([postgres.kill, lambda: postgres.stop("immediate")])()
        postgres.start()

    async def test(store):
        emitted, begun = await woven(store, 400, at=[(n, crash) for n in range(40, 400, 60)])
        assert len(begun) == 400
        assert await events_in(store) == emitted
        row = await store.run("r")
        assert (row.status, row.owner) == ("succeeded", "")

    with_store(place, test)


def test_no_effect_begins_when_its_intent_cannot_be_kept(postgres):
    impatient = PostgresStore(postgres.database(), patience_s=0.2)

    async def test(store):
        log = EventLog()
        failed: list[object] = []
        journal = Journal(
            log, store, await store.create("r", "", this_process(), 60), failed=failed.append
        )
        with postgres.away():
            log.emit(StepReady(log.now(), "1"))
            with pytest.raises(JournalError) as caught:
                await log.durable(0)
            assert caught.value.code == "journal-lost"
            assert failed == [caught.value]
            with pytest.raises(JournalError):
                await log.durable(0)
        await journal.aclose()
        assert await events_in(store) == []

    with_store(impatient, test)


VANDALISM = [
    "UPDATE heddle.frames SET body = set_byte(body, 20, 65) WHERE number = 3",
    "UPDATE heddle.frames SET body = '{}' WHERE number = 0",
    "UPDATE heddle.frames SET hash = md5(hash) || md5(prev) WHERE number = 3",
    "UPDATE heddle.frames SET token = 9 WHERE number = 3",
    "UPDATE heddle.frames SET seq = seq + 1 WHERE number = 3",
    "DELETE FROM heddle.frames WHERE number = 3",
    "DELETE FROM heddle.frames WHERE number = 0",
    "DELETE FROM heddle.frames WHERE number = (SELECT max(number) FROM heddle.frames)",
    "DELETE FROM heddle.frames",
    "UPDATE heddle.runs SET head_number = head_number - 1",
    "UPDATE heddle.runs SET head_hash = md5('x')",
    "UPDATE heddle.frames a SET body = b.body FROM heddle.frames b"
    " WHERE a.number = 2 AND b.number = 3",
    "UPDATE heddle.large SET body = set_byte(body, 100, 65)",
    "DELETE FROM heddle.large",
]


@pytest.mark.parametrize("statement", VANDALISM)
def test_rows_that_were_changed_are_refused(postgres, statement):
    place = postgres.database()

    async def made(store):
        await woven(store, 64)
        assert await events_in(store)

    async def looked(store):
        with pytest.raises(JournalError) as caught:
            await events_in(store)
        assert caught.value.code == "journal-damaged"

    with_store(place, made)
    postgres.sql(statement)
    with_store(place, looked)


def test_a_place_without_the_extra_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "asyncpg", None)
    for name in ("heddle.engine.postgres", "heddle.engine.journal.postgres"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(Exception, match="asyncpg") as caught:
        open_store("postgresql://h/d")
    assert "pip install" in caught.value.hint
