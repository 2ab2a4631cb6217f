"""Slots and requests per minute: never above the bound, always up to it, and nobody forgotten."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from rig import Functions, Loom, peak

from heddle.engine.allowances.turns import Turns, Waiter
from heddle.engine.allowances.window import TRAVEL_S
from heddle.engine.breaker import BreakerSlots
from heddle.engine.costs import ONE
from heddle.engine.events import StepStarted
from heddle.engine.slots import Cost, LocalSlots, Outcome, RunSlots
from heddle.plan.ir import Step
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.testing.clock import run_virtual


async def nap(seconds: float = 1.0, **_: Any) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def never(**_: Any) -> None:
    await asyncio.Event().wait()


def many(count: int, tool: str = "nap") -> list[Step]:
    return [Step(f"{tool}{n}", tool) for n in range(count)]


# -- the bounds of a run -------------------------------------------------------------------------


def test_two_thousand_ready_steps_run_eight_at_once() -> None:
    async def main() -> None:
        limits = Limits(concurrency=8)
        async with Loom(functions={"nap": nap}, limits=limits) as loom:
            await loom.run(*many(2_000))
            assert loom.scheduler.peak_in_flight == 8
            assert peak(loom.log.events) == 8
            assert asyncio.get_running_loop().time() == pytest.approx(250)

    run_virtual(main())


def test_two_thousand_steps_behind_one_that_ends_at_once() -> None:
    async def instant(**_: Any) -> int:
        return 1

    async def main() -> None:
        async with Loom(functions={"instant": instant}, limits=Limits(concurrency=8)) as loom:
            first = Step("first", "instant")
            rest = [Step(str(n), "instant", after=("first",)) for n in range(2_000)]
            state = await loom.run(first, *rest)
            assert {step.status for step in state.steps.values()} == {"done"}
            assert peak(loom.log.events) <= 8

    run_virtual(main())


def test_a_chain_of_five_thousand_steps_needs_no_recursion() -> None:
    async def fails(**_: Any) -> None:
        raise ValueError("the first one")

    async def main() -> None:
        async with Loom(functions={"fails": fails, "nap": nap}) as loom:
            steps = [Step("0", "fails")]
            steps += [Step(str(n), "nap", after=(str(n - 1),)) for n in range(1, 5_000)]
            state = await loom.run(*steps)
            assert state.steps["4999"].code == "upstream-skipped"

    run_virtual(main())


@pytest.mark.parametrize(
    ("limits", "spec", "most"),
    [
        (
            Limits(per_provider={"p": 3}),
            ToolSpec("nap", effect="pure", fuse=False, provider="p"),
            3,
        ),
        (Limits(per_tool={"nap": 4}), ToolSpec("nap", effect="pure", fuse=False, provider="p"), 4),
        (Limits(), ToolSpec("nap", effect="pure", fuse=False, concurrency=5), 5),
        (Limits(per_tool={"nap": 2}), ToolSpec("nap", effect="pure", fuse=False, concurrency=5), 2),
        (
            Limits(concurrency=2, per_provider={"p": 3}),
            ToolSpec("nap", effect="pure", fuse=False, provider="p"),
            2,
        ),
        (
            Limits(per_provider={"p": 3}, per_tool={"nap": 7}),
            ToolSpec("nap", effect="pure", fuse=False, provider="p"),
            3,
        ),
    ],
)
def test_the_narrowest_gate_counts_and_is_fully_used(
    limits: Limits, spec: ToolSpec, most: int
) -> None:
    async def main() -> None:
        async with Loom(Functions(nap=nap), specs=[spec], limits=limits) as loom:
            await loom.run(*many(100))
            assert peak(loom.log.events) == most
            assert asyncio.get_running_loop().time() == pytest.approx(-(-100 // most))

    run_virtual(main())


def test_steps_at_a_shut_gate_do_not_hold_up_the_others() -> None:
    async def main() -> None:
        specs = [
            ToolSpec("never", effect="pure", fuse=False, provider="slow"),
            ToolSpec("nap", effect="pure", fuse=False, provider="fast"),
        ]
        limits = Limits(concurrency=4, per_provider={"slow": 1, "fast": 3})
        tools = Functions(never=never, nap=nap)
        async with Loom(tools, specs=specs, limits=limits) as loom:
            loom.add(*many(50, "never"), *many(30))
            await loom.scheduler.wait([f"nap{n}" for n in range(30)])
            assert asyncio.get_running_loop().time() == pytest.approx(10)

    run_virtual(main())


def test_a_step_that_moves_on_to_another_shut_gate_lets_the_next_one_through() -> None:
    async def main() -> None:
        specs = [
            ToolSpec("never", effect="pure", fuse=False, provider="p", concurrency=1),
            ToolSpec("nap", effect="pure", fuse=False, provider="p"),
        ]
        limits = Limits(per_provider={"p": 2})
        async with Loom(Functions(never=never, nap=nap), specs=specs, limits=limits) as loom:
            loom.add(Step("first", "nap"), Step("other", "nap"))
            await asyncio.sleep(0.5)  # p is shut; all that follow wait there or at their tool
            loom.add(Step("x", "never"), Step("y", "never"), *many(5))
            await loom.scheduler.wait([f"nap{n}" for n in range(5)])
            assert loom.scheduler.status("x") == "running"
            assert loom.scheduler.status("y") == "ready"

    run_virtual(main())


# -- requests per minute -------------------------------------------------------------------------


def starts(loom: Loom) -> list[float]:
    return [event.at for event in loom.events(StepStarted)]


@pytest.mark.parametrize("rate", [0.5, 1.0, 7.0, 60.0, 90.5])
def test_no_minute_sees_more_requests_than_allowed_and_each_is_used(rate: float) -> None:
    async def main() -> list[float]:
        spec = ToolSpec("nap", effect="pure", fuse=False, provider="p")
        limits = Limits(requests_per_minute={"p": rate}, step_timeout_s=None)
        async with Loom(Functions(nap=nap), specs=[spec], limits=limits) as loom:
            await loom.run(*many(200))
            return starts(loom)

    times = run_virtual(main())
    burst = max(1, int(rate))
    period = 60.0 * burst / rate
    for first, later in zip(times, times[burst:], strict=False):
        assert later - first >= period - 1e-6
    slope = (199 % burst) * 0.1 * period / burst  # what began at once comes back bit by bit
    assert times[-1] == pytest.approx((199 // burst) * (period + TRAVEL_S) + slope)


def test_slots_and_requests_per_minute_hold_together() -> None:
    async def main() -> None:
        spec = ToolSpec("nap", effect="pure", fuse=False, provider="p")
        limits = Limits(per_provider={"p": 2}, requests_per_minute={"p": 30})
        async with Loom(Functions(nap=nap), specs=[spec], limits=limits) as loom:
            await loom.run(*(Step(str(n), "nap", {"seconds": 3.0}) for n in range(60)))
            times = starts(loom)
            assert peak(loom.log.events) == 2
            assert all(later - first >= 60 for first, later in zip(times, times[30:], strict=False))
            assert times[-1] == pytest.approx(60 + TRAVEL_S + 0.2 + 14 * 3)

    run_virtual(main())


# -- several users of the same slots --------------------------------------------------------------


def test_a_free_name_is_always_granted() -> None:
    slots = LocalSlots({"p": 1})
    assert slots.try_acquire("other") is not None
    assert not slots.bounds("other")


def test_a_lease_counts_once_however_often_it_is_released() -> None:
    async def main() -> None:
        slots = LocalSlots({"p": 1})
        lease = slots.try_acquire("p")
        assert lease is not None
        assert slots.try_acquire("p") is None
        lease.release()
        lease.release()
        assert slots.try_acquire("p") is not None
        assert slots.try_acquire("p") is None

    run_virtual(main())


def test_callers_get_a_slot_in_the_order_in_which_they_came() -> None:
    got: list[int] = []

    async def main() -> None:
        slots = LocalSlots({"p": 2})

        async def caller(number: int) -> None:
            lease = await slots.acquire("p")
            got.append(number)
            await asyncio.sleep(1)
            lease.release()

        async with asyncio.TaskGroup() as group:
            for number in range(9):
                group.create_task(caller(number))

    run_virtual(main())
    assert got == list(range(9))


def test_a_caller_that_was_cancelled_while_waiting_costs_nobody_their_turn() -> None:
    async def main() -> None:
        slots = LocalSlots({"p": 1})
        held = await slots.acquire("p")
        waiting = [asyncio.create_task(slots.acquire("p")) for _ in range(2_000)]
        await asyncio.sleep(0)
        for task in waiting[:-1]:
            task.cancel()
        await asyncio.sleep(0)
        held.release()
        async with asyncio.timeout(1):
            (await waiting[-1]).release()

    run_virtual(main())


def test_a_caller_that_is_cancelled_with_its_turn_in_hand_passes_it_on() -> None:
    async def main() -> None:
        slots = LocalSlots({"p": 1})
        held = await slots.acquire("p")
        first, second = (asyncio.create_task(slots.acquire("p")) for _ in range(2))
        await asyncio.sleep(0)
        held.release()  # wakes the first, which is cancelled before it can look
        first.cancel()
        async with asyncio.timeout(1):
            (await second).release()

    run_virtual(main())


def pair(slots: LocalSlots, **limits: Any) -> tuple[Loom, Loom]:
    """Two runs that share slots."""
    spec = ToolSpec("nap", effect="pure", fuse=False, provider="p")
    tools = Functions(nap=nap)
    one, two = (
        Loom(tools, specs=[spec], slots=slots.for_run(), limits=Limits(**limits)) for _ in range(2)
    )
    return one, two


def test_two_runs_share_a_providers_slots() -> None:
    async def main() -> None:
        one, two = pair(LocalSlots({"p": 3}))
        async with one, two:
            await asyncio.gather(one.run(*many(30)), two.run(*many(30)))
            both = sorted(
                (event for loom in (one, two) for event in loom.log.events), key=lambda e: e.at
            )
            begun = sorted(event.at for event in both if isinstance(event, StepStarted))
            assert all(later - first >= 1 for first, later in zip(begun, begun[3:], strict=False))
            assert asyncio.get_running_loop().time() == pytest.approx(20)

    run_virtual(main())


@pytest.mark.parametrize("rate", [None, 4.0])
def test_a_run_that_is_cancelled_while_it_waits_passes_its_turn_on(rate: float | None) -> None:
    async def main() -> None:
        shared = LocalSlots({"p": 1}, {"p": rate} if rate else None)
        one, two = pair(shared, step_timeout_s=None)
        async with one, two:
            held = await shared.acquire("p")
            one.add(*many(3))
            two.add(*many(3))
            await asyncio.sleep(1)
            one.scheduler.cancel("enough")
            held.release()
            async with asyncio.timeout(200):
                await two.scheduler.wait()

    run_virtual(main())


def test_a_run_that_is_cancelled_with_its_turn_in_hand_passes_it_on() -> None:
    async def main() -> None:
        shared = LocalSlots({"p": 1})
        one, two = pair(shared)
        async with one, two:
            held = await shared.acquire("p")
            one.add(*many(3))
            two.add(*many(3))
            held.release()  # wakes the first run, which has not looked yet
            one.scheduler.cancel("enough")
            async with asyncio.timeout(10):
                await two.scheduler.wait()

    run_virtual(main())


def test_a_run_whose_steps_follow_each_other_does_not_keep_out_another() -> None:
    """What it gives back is for the one that waits, and not for its own next step."""

    async def main() -> None:
        one, two = pair(LocalSlots({"p": 1}))
        async with one, two:
            one.add(*(Step(f"{n}", "nap", after=(f"{n - 1}",) if n else ()) for n in range(50)))
            await asyncio.sleep(0.5)
            two.add(*many(3))
            await two.scheduler.wait()
            assert asyncio.get_running_loop().time() <= 8.0  # each its turn
            await one.scheduler.wait()
            assert asyncio.get_running_loop().time() == 53.0

    run_virtual(main())


def test_a_run_that_has_no_room_for_its_turn_leaves_it_to_others() -> None:
    """Its step goes when there is room; until then the provider's slot is somebody else's."""

    async def main() -> None:
        slots = LocalSlots({"p": 1})
        spec = ToolSpec("nap", effect="pure", fuse=False, provider="p")
        one, two = (
            Loom(functions={"nap": nap, "long": nap}, specs=[spec], slots=slots, limits=limits)
            for limits in (Limits(concurrency=1), Limits())
        )
        async with one, two:
            held = await slots.acquire("p")
            one.add(Step("1", "nap"), Step("2", "long", {"seconds": 100.0}))
            await asyncio.sleep(1)
            two.add(*many(3))
            await asyncio.sleep(1)
            held.release()
            await two.scheduler.wait()
            assert asyncio.get_running_loop().time() == 5.0
            await one.scheduler.wait()
            assert one.statuses() == {"1": ("done", ""), "2": ("done", "")}

    run_virtual(main())


TWO_GATES = ToolSpec("nap", effect="pure", fuse=False, provider="p", concurrency=1)


def test_a_step_that_ends_at_its_second_gate_leaves_the_first_to_the_next() -> None:
    async def main() -> None:
        slots = LocalSlots({"p": 1})
        async with Loom(functions={"nap": nap}, specs=[TWO_GATES], slots=slots) as loom:
            loom.add(*many(3))
            held = await slots.acquire("p")  # when the first step is over
            await asyncio.sleep(1)
            loom.scheduler.stop(["nap1"], "nobody needs it")
            held.release()
            async with asyncio.timeout(10):
                await loom.scheduler.wait()
            assert loom.statuses()["nap2"] == ("done", "")

    run_virtual(main())


def test_so_does_one_whose_second_gate_stays_shut_for_too_long() -> None:
    async def main() -> None:
        slots = BreakerSlots.before(LocalSlots())
        async with Loom(functions={"nap": nap}, specs=[TWO_GATES], slots=slots) as loom:
            loom.scheduler.end_in(5.0)
            loom.add(*many(9))
            for _ in range(5):
                (await slots.acquire("p")).release(Outcome("failed"))
            await loom.scheduler.wait()
            ends = [loom.statuses()[f"nap{n}"] for n in range(1, 9)]
            assert ends == [("failed", "breaker-open")] * 8
            assert asyncio.get_running_loop().time() == 1.0

    run_virtual(main())


def test_waiting_for_a_name_without_bounds_is_short() -> None:
    async def main() -> None:
        woken = asyncio.Event()
        LocalSlots().when_free("p", lambda: woken.set() is None)
        async with asyncio.timeout(1):
            await woken.wait()

    run_virtual(main())


def test_starts_are_spread_over_no_more_than_the_bucket_after_a_pause() -> None:
    async def main() -> list[float]:
        slots = LocalSlots(None, {"p": 6.0})
        times: list[float] = []
        clock = asyncio.get_running_loop().time
        for pause in (0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0):
            await asyncio.sleep(pause)
            await slots.acquire("p")
            times.append(clock())
        return times

    times = run_virtual(main())
    assert all(later - first >= 60 for first, later in zip(times, times[6:], strict=False))
    assert all(later >= first for first, later in pairwise(times))


def test_runs_that_wait_for_one_provider_are_served_by_their_weight() -> None:
    async def main() -> list[str]:
        slots, begun = LocalSlots({"p": 4}), list[str]()

        async def call(name: str, run: RunSlots) -> None:
            lease = await run.acquire("p")
            begun.append(name)
            await asyncio.sleep(1)
            lease.release()

        async with asyncio.TaskGroup() as group:
            for name, weight, calls in (("light", 1.0, 400), ("heavy", 3.0, 100)):
                run = slots.for_run(weight)
                for _ in range(calls):
                    group.create_task(call(name, run))
        return begun[10:110]

    assert run_virtual(main()).count("heavy") == pytest.approx(75, abs=4)


def test_a_large_call_is_not_kept_out_by_small_ones() -> None:
    async def main() -> float:
        slots = LocalSlots(None, None, {"p": 1_000})
        loop = asyncio.get_running_loop()

        async def small() -> None:
            while loop.time() < 300:
                lease = await slots.acquire("p", Cost(input_tokens=100))
                await asyncio.sleep(1)
                lease.release()

        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(small())
            await asyncio.sleep(1)
            (await slots.acquire("p", Cost(input_tokens=900))).release()
            return loop.time()

    assert run_virtual(main()) < 70


def test_a_refusal_stops_all_callers_and_one_of_them_tries() -> None:
    async def main() -> list[float]:
        slots, begun = LocalSlots({"p": 20}, adaptive=True, seed=1), list[float]()
        loop = asyncio.get_running_loop()

        async def call() -> None:
            lease = await slots.acquire("p")
            begun.append(loop.time())
            await asyncio.sleep(1)
            lease.release(Outcome())

        refused = await slots.acquire("p")
        refused.release(Outcome("throttled", retry_after_s=10.0))
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(call())
        return begun

    begun = run_virtual(main())
    assert 10 <= begun[0] <= 12
    assert begun[1] >= begun[0] + 1
    assert sum(at < begun[1] + 0.5 for at in begun[1:]) == 4


def test_a_wish_for_years_is_tried_again_within_the_hour() -> None:
    async def main() -> None:
        slots = LocalSlots(adaptive=True)
        (await slots.acquire("p")).release(Outcome("throttled", retry_after_s=1e9))
        await slots.acquire("p")
        assert 3_600 <= asyncio.get_running_loop().time() <= 3_700

    run_virtual(main())


def test_runs_that_nobody_waited_for_are_neither_put_back_nor_remembered() -> None:
    turns = Turns()
    for run in range(1_000):
        for _ in range(40):
            turns.went(run, 1.0)
    assert len(turns._tags) <= 65
    for run in (999, 1_000):  # one that was alone until now, and a new one
        turns.add(run, Waiter(lambda: True, ONE))
    turns.went(1_000, 1.0)
    assert turns._tags[1_000] == turns._tags[999]
