"""The seeded loop: any order, and the same order again."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from heddle.testing.simulation.loop import SeededLoop, run_seeded


async def in_turn(count: int = 3, delay_s: float = 0.0) -> str:
    """The names of tasks in the order in which they ran."""
    seen: list[str] = []

    async def say(name: str) -> None:
        if delay_s:
            await asyncio.sleep(delay_s)
        seen.append(name)

    async with asyncio.TaskGroup() as group:
        for name in "abcdefgh"[:count]:
            group.create_task(say(name))
    return "".join(seen)


def test_every_order_comes_in_some_seed() -> None:
    assert len({run_seeded(in_turn(3), seed) for seed in range(100)}) == 6


def test_timers_of_one_moment_ring_in_every_order() -> None:
    assert len({run_seeded(in_turn(3, delay_s=1.0), seed) for seed in range(100)}) == 6


@pytest.mark.parametrize("changes", [None, 0, 3])
def test_a_seed_replays_exactly(changes: int | None) -> None:
    for seed in range(20):
        first = run_seeded(in_turn(8), seed, changes=changes)
        assert run_seeded(in_turn(8), seed, changes=changes) == first


def test_priorities_hold_a_task_back_for_long() -> None:
    async def main() -> int:
        done: list[int] = []

        async def work(me: int) -> None:
            for _ in range(20):
                await asyncio.sleep(0)
            done.append(me)

        async with asyncio.TaskGroup() as group:
            for me in range(4):
                group.create_task(work(me))
        return done[0]

    firsts = Counter(run_seeded(main(), seed, changes=0) for seed in range(80))
    assert min(firsts[me] for me in range(4)) > 5


def test_what_waits_for_nothing_is_found_at_once() -> None:
    with pytest.raises(RuntimeError, match="virtual time stands still"):
        run_seeded(asyncio.Event().wait(), 0)


def test_time_jumps_to_the_next_timer() -> None:
    async def main() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    assert run_seeded(main(), 0) == 86_400


def test_threads_report_in_real_time() -> None:
    async def main() -> list[int]:
        return await asyncio.gather(*(asyncio.to_thread(pow, 2, n) for n in range(5)))

    assert run_seeded(main(), 3) == [1, 2, 4, 8, 16]


def test_errors_that_nobody_sees_are_kept() -> None:
    loop = SeededLoop(0)

    def fail() -> None:
        raise ValueError("nobody looks")

    async def main() -> None:
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(1)

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    assert len(loop.complaints) == 1
    assert "nobody looks" in loop.complaints[0]


def test_what_goes_round_in_one_moment_is_found() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_soon(again)

        again()
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError, match="there are always more"):
        run_seeded(main(), 0)
