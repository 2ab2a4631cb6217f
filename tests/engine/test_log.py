"""The log: every reader gets every event in order, at its own pace."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from heddle.engine.events import Event, RunFinished, StepReady
from heddle.engine.log import EventLog
from heddle.testing.clock import run_virtual

END = RunFinished(9.0, "succeeded", None, "", "")


def test_time_counts_from_the_first_look_at_the_clock() -> None:
    async def main() -> None:
        await asyncio.sleep(100)
        log = EventLog()
        assert log.now() == 0
        await asyncio.sleep(5)
        assert log.now() == 5

    run_virtual(main())


def test_readers_that_start_early_late_and_slowly_all_see_the_same() -> None:
    async def main() -> None:
        log = EventLog()

        async def read(start: float, pace: float) -> list[Event]:
            await asyncio.sleep(start)
            seen = []
            async for event in log.follow():
                seen.append(event)
                await asyncio.sleep(pace)
            return seen

        readers = [asyncio.create_task(read(*how)) for how in ((0, 0), (50, 0), (0, 7), (500, 1))]
        for number in range(100):
            log.emit(StepReady(log.now(), str(number)))
            await asyncio.sleep(number % 3)
        log.emit(END)
        for reader in readers:
            assert await reader == log.events

    run_virtual(main())


def test_a_reader_that_leaves_costs_the_others_nothing() -> None:
    async def main() -> None:
        log = EventLog()

        async def leave() -> None:
            async with aclosing(log.follow()) as events:
                async for _ in events:
                    return

        async def stay() -> list[Event]:
            return [event async for event in log.follow()]

        staying, waiting = asyncio.create_task(stay()), asyncio.create_task(stay())
        leaving = asyncio.create_task(leave())
        await asyncio.sleep(1)
        waiting.cancel()
        log.emit(StepReady(1.0, "1"))
        await leaving
        log.emit(END)
        assert await staying == [StepReady(1.0, "1"), END]

    run_virtual(main())


def test_sinks_hear_each_event_at_once() -> None:
    heard: list[Event] = []

    async def main() -> None:
        log = EventLog(heard.append)
        reader = asyncio.create_task(anext(log.follow()))
        await asyncio.sleep(0)
        log.emit(END)
        assert heard == [END]
        assert await reader == END
        log.emit(END)
        assert heard == [END, END]

    run_virtual(main())
