"""The alarm: one timer, at the earliest time that was asked for."""

from __future__ import annotations

import asyncio

from heddle.engine.alarm import Alarm
from heddle.testing.clock import run_virtual
from heddle.testing.simulation.loop import run_seeded


def test_it_rings_once_at_the_earliest_time() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        rung: list[float] = []
        alarm = Alarm(lambda: rung.append(loop.time()))
        for when in (5.0, 3.0, 4.0):
            alarm.at(when)
        await asyncio.sleep(10)
        return rung

    assert run_virtual(main()) == [3.0]


def test_one_that_is_stopped_does_not_ring() -> None:
    async def main() -> list[float]:
        rung: list[float] = []
        alarm = Alarm(lambda: rung.append(1.0))
        alarm.at(1.0)
        alarm.stop()
        await asyncio.sleep(10)
        return rung

    assert run_virtual(main()) == []


def test_who_is_rung_too_early_and_asks_again_does_not_hold_time_up() -> None:
    """A loop rings up to its clock's resolution early, and virtual time stands still meanwhile."""

    async def main() -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        times = 0

        def act() -> None:
            nonlocal times
            times += 1
            if loop.time() < 1.0:
                alarm.at(1.0)

        alarm = Alarm(act)
        alarm.at(1.0)
        loop.call_at(1.0 - 5e-10, lambda: None)  # the loop wakes just before
        await asyncio.sleep(2)
        return times, loop.time()

    times, end = run_seeded(main(), 1, changes=3)
    assert times <= 3
    assert end >= 2.0


def test_it_goes_with_whatever_loop_is_running() -> None:
    rung: list[str] = []
    alarm = Alarm(lambda: rung.append("rung"))

    async def first() -> None:
        alarm.at(60.0)

    async def second() -> None:
        alarm.at(asyncio.get_running_loop().time() + 1.0)
        await asyncio.sleep(2)

    run_virtual(first())
    run_virtual(second())
    assert rung == ["rung"]
