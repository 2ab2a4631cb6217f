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


def drop_some(deadlines: Deadlines, count: int, at: float = 1_000.0) -> None:
    for _ in range(count):
        deadlines.drop(deadlines.add(at, lambda _: None))


def with_a_hundred_wanted() -> Deadlines:
    deadlines = make()
    for _ in range(100):
        deadlines.add(2_000.0, lambda _: None)
    return deadlines


def test_what_was_dropped_is_cleared_away_once_it_is_the_majority_and_not_before() -> None:
    async def main() -> None:
        deadlines = with_a_hundred_wanted()
        for _ in range(2):  # and again, as if it were new
            drop_some(deadlines, 100)
            assert len(deadlines._heap) == 200
            drop_some(deadlines, 1)
            assert len(deadlines._heap) == 100
        deadlines.close()

    run_virtual(main())


def test_a_few_that_were_dropped_are_not_worth_clearing() -> None:
    async def main() -> None:
        deadlines = make()
        drop_some(deadlines, 64)
        assert len(deadlines._heap) == 64
        drop_some(deadlines, 1)
        assert len(deadlines._heap) == 0
        deadlines.close()

    run_virtual(main())


def test_what_was_dropped_and_has_left_at_its_time_is_not_counted_any_more() -> None:
    async def main() -> None:
        deadlines = with_a_hundred_wanted()
        drop_some(deadlines, 60, at=1.0)
        await asyncio.sleep(2)
        assert len(deadlines._heap) == 100
        drop_some(deadlines, 100)
        assert len(deadlines._heap) == 200
        deadlines.close()

    run_virtual(main())


def test_what_has_acted_already_is_not_counted_as_dropped() -> None:
    async def main() -> None:
        deadlines = with_a_hundred_wanted()
        acted = [deadlines.add(1.0, lambda _: None) for _ in range(70)]
        await asyncio.sleep(2)
        for each in acted:
            deadlines.drop(each)
        drop_some(deadlines, 100)
        assert len(deadlines._heap) == 200
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
