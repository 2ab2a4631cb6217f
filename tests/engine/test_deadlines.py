"""All deadlines of a run under one timer."""

from __future__ import annotations

import asyncio
from random import Random

from heddle.engine.deadlines import Deadlines
from heddle.testing.clock import run_virtual


def make() -> Deadlines:
    return Deadlines(asyncio.get_running_loop().time)


def test_deadlines_act_in_order_at_their_times_and_dropped_ones_never() -> None:
    acted: list[tuple[float, object]] = []

    async def main() -> None:
        clock = asyncio.get_running_loop().time
        deadlines, random = make(), Random(3)
        kept: list[tuple[float, int]] = []
        for number in range(3_000):
            at = random.random() * 1_000
            deadline = deadlines.add(at, lambda n: acted.append((clock(), n)), number)
            if random.random() < 0.7:
                deadlines.drop(deadline)
            else:
                kept.append((at, number))
        await asyncio.sleep(1_001)
        assert [number for _, number in acted] == [number for _, number in sorted(kept)]
        for (at, _), (then, _) in zip(sorted(kept), acted, strict=True):
            assert abs(at - then) < 1e-6
        deadlines.close()

    run_virtual(main())


def test_dropping_twice_and_after_the_act_does_nothing() -> None:
    acted: list[object] = []

    async def main() -> None:
        deadlines = make()
        deadline = deadlines.add(1.0, acted.append, "a")
        await asyncio.sleep(2)
        deadlines.drop(deadline)
        deadlines.drop(deadline)
        deadlines.add(3.0, acted.append, "b")
        await asyncio.sleep(2)
        deadlines.close()

    run_virtual(main())
    assert acted == ["a", "b"]


def test_an_act_may_add_a_deadline_an_earlier_one_and_drop_another() -> None:
    acted: list[object] = []

    async def main() -> None:
        deadlines = make()
        other = deadlines.add(5.0, acted.append, "never")

        def act(_: object) -> None:
            acted.append("first")
            deadlines.drop(other)
            deadlines.add(4.0, acted.append, "third")
            deadlines.add(0.5, acted.append, "second")  # already past

        deadlines.add(1.0, act)
        await asyncio.sleep(10)
        deadlines.close()

    run_virtual(main())
    assert acted == ["first", "second", "third"]


def test_memory_follows_what_is_wanted_and_not_what_was_ever_added() -> None:
    async def main() -> None:
        deadlines = make()
        for number in range(50_000):
            deadlines.drop(deadlines.add(100.0 + number, lambda _: None))
        assert len(deadlines._heap) < 200
        deadlines.close()

    run_virtual(main())


def test_after_close_nothing_acts_and_no_timer_is_left() -> None:
    acted: list[object] = []

    async def main() -> None:
        deadlines = make()
        deadlines.add(1.0, acted.append)
        deadlines.close()
        await asyncio.sleep(5)

    run_virtual(main())
    assert acted == []
