"""Allowances that processes share on a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from heddle.engine.allowances.places import open_allowances
from heddle.engine.allowances.postgres import PostgresAllowances
from heddle.engine.allowances.sqlite import SQLiteAllowances
from heddle.engine.shared_slots import SharedSlots
from heddle.errors import ConfigError
from heddle.plan.limits import Limits


def added(document, clock):
    return (document or 0) + 1, clock


ADDER = """
import asyncio, sys
from heddle.engine.allowances.postgres import PostgresAllowances

async def main():
    store = PostgresAllowances(sys.argv[1], wait_s=60)
    for _ in range(50):
        await store.change("p", lambda document, clock: ((document or 0) + 1, clock))
    await store.aclose()

asyncio.run(main())
"""


async def value(store):
    return await store.change("p", lambda document, clock: (document, document))


def test_changes_of_several_processes_happen_one_after_the_other(postgres):
    place = postgres.database()
    processes = [subprocess.Popen([sys.executable, "-c", ADDER, place]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]

    async def main():
        store = PostgresAllowances(place)
        assert await value(store) == 200
        await store.aclose()

    asyncio.run(main())


def test_a_server_that_dies_forgets_nothing_that_was_granted(postgres):
    place = postgres.database()

    async def main():
        store = PostgresAllowances(place, wait_s=30)
        for number in range(1, 41):
            await store.change("p", added)
            if number % 10 == 0:
                with postgres.away("kill" if number % 20 else "immediate"):
                    pass
        assert await value(store) == 40
        await store.aclose()

    asyncio.run(main())


def test_the_clock_never_goes_back(postgres):
    place = postgres.database()

    async def main():
        store = PostgresAllowances(place)
        first = await store.change("p", added)
        await asyncio.to_thread(
            postgres.sql, "UPDATE heddle.allowances SET clock = clock + 1000 WHERE name = 'p'"
        )
        later = [await store.change("p", added) for _ in range(3)]
        assert later == sorted(later)
        assert later[0] == first + 1000
        await store.aclose()

    asyncio.run(main())


def test_a_server_that_is_away_may_be_tried_again_and_a_wrong_place_may_not(postgres):
    place = postgres.database()

    async def main():
        store = PostgresAllowances(place, wait_s=0.2)
        await store.change("p", added)
        with postgres.away(), pytest.raises(TimeoutError):
            await store.change("p", added)
        assert await value(store) == 1
        await store.aclose()
        store = PostgresAllowances(postgres.dsn(password="s3same"))
        with pytest.raises(ConfigError, match="password") as caught:
            await store.change("p", added)
        assert caught.value.code == "limits-unwritable"
        assert "s3same" not in str(caught.value)
        await store.aclose()

    asyncio.run(main())


def test_two_that_share_slots_never_hold_more_than_there_are(postgres):
    place = postgres.database()

    async def main():
        shared = [
            SharedSlots(PostgresAllowances(place), Limits(per_provider={"p": 3})) for _ in range(2)
        ]
        held, most, done = 0, 0, 0

        async def call(slots):
            nonlocal held, most, done
            lease = await slots.acquire("p")
            held += 1
            most = max(most, held)
            await asyncio.sleep(0.01)
            held -= 1
            done += 1
            lease.release()

        async with asyncio.timeout(60):
            await asyncio.gather(*(call(slots) for slots in shared for _ in range(12)))
        assert done == 24
        assert 1 <= most <= 3
        for slots in shared:
            await slots.aclose()

    asyncio.run(main())


def test_a_place_is_a_file_or_a_server(tmp_path):
    assert isinstance(open_allowances(str(tmp_path / "limits.db")), SQLiteAllowances)
    assert isinstance(open_allowances("postgresql://h/d"), PostgresAllowances)
