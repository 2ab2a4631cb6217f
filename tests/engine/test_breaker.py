"""Breakers: when a provider is left in peace, how it is tried again, and who waits meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rig import Loom
from heddle.engine.breaker import Breaker, BreakerSlots
from heddle.engine.costs import DROPPED, UNUSED, Outcome
from heddle.engine.slots import LocalSlots
from heddle.engine.tally import Tally
from heddle.errors import ModelError, ToolFailed
from heddle.plan.ir import Step
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.testing.clock import run_virtual

DOWN = ToolFailed("no connection", code="down", retryable=True)
FAILED = Outcome("failed")


def fail(breaker: Breaker, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        breaker.ended(now, "failed", probe=breaker.begin(now))


# -- the state -----------------------------------------------------------------------------------


def test_a_tally_that_nobody_asks_forgets_all_the_same() -> None:
    tally = Tally(30)
    for second in range(10_000):
        tally.add(float(second))
    assert len(tally._by_second) == 30
    assert tally.counts(9_999.5) == (30, 0)


def test_five_failures_in_a_row_open_it_for_five_seconds() -> None:
    breaker = Breaker()
    fail(breaker, 4)
    assert breaker.admits(0.0)
    fail(breaker, 1)
    assert not breaker.admits(4.9)
    assert breaker.admits(5.0)


@pytest.mark.parametrize("kind", ["ok", "throttled"])
def test_an_answer_begins_the_row_anew_and_a_refusal_is_one(kind: str) -> None:
    breaker = Breaker()
    for _ in range(3):
        fail(breaker, 4)
        breaker.ended(0.0, kind, probe=False)
    assert breaker.admits(0.0)


def test_half_of_twenty_calls_within_thirty_seconds_open_it() -> None:
    breaker = Breaker()
    for n in range(19):
        breaker.ended(n * 1.5, "failed" if n % 2 else "ok", probe=False)
    assert breaker.admits(29.0)
    breaker.ended(29.0, "failed", probe=False)
    assert not breaker.admits(29.0)


def test_failures_that_are_long_ago_do_not_count() -> None:
    breaker = Breaker()
    for n in range(40):
        breaker.ended(n * 2.0, "failed" if n % 2 else "ok", probe=False)
    assert breaker.admits(80.0)


@pytest.mark.parametrize("kind", ["dropped", "unused"])
def test_what_says_nothing_of_the_provider_does_not_count(kind: str) -> None:
    breaker = Breaker()
    for _ in range(100):
        breaker.ended(0.0, kind, probe=False)
    assert breaker.admits(0.0)


def test_only_one_call_probes_and_each_failed_probe_doubles_the_time() -> None:
    breaker = Breaker()
    fail(breaker, 5)
    now, waits = 0.0, []
    for _ in range(6):
        assert breaker.opens_at is not None
        waits.append(breaker.opens_at - now)
        now = breaker.opens_at
        assert breaker.begin(now)
        assert not breaker.admits(now + 1_000)
        breaker.ended(now, "failed", probe=True)
    assert waits == [5, 10, 20, 40, 60, 60]


def test_a_probe_that_is_answered_closes_it_and_one_that_says_nothing_leaves_room_for_another() -> (
    None
):
    breaker = Breaker()
    fail(breaker, 5)
    assert breaker.begin(5.0)
    breaker.ended(5.0, "dropped", probe=True)
    assert breaker.admits(5.0)
    assert breaker.begin(5.0)
    breaker.ended(6.0, "ok", probe=True)
    assert breaker.admits(6.0)
    assert not breaker.begin(6.0)


def test_after_the_probe_more_and_more_calls_may_begin_and_then_all() -> None:
    breaker = Breaker()
    fail(breaker, 5)
    breaker.ended(5.0, "ok", probe=breaker.begin(5.0))
    begun = []
    for now in (5.0, 7.0, 9.0, 15.0):
        begun.append(0)
        while breaker.admits(now):
            breaker.begin(now)
            begun[-1] += 1
    assert begun == [4, 4, 8, 112]  # 4, 8, 16, 128 in all
    breaker.begin(25.0)
    assert breaker.opens_at is None


def test_failures_on_the_ramp_open_it_for_longer() -> None:
    breaker = Breaker()
    fail(breaker, 5)
    breaker.ended(5.0, "ok", probe=breaker.begin(5.0))
    fail(breaker, 5, now=6.0)
    assert breaker.opens_at == 16.0


def test_calls_that_began_before_it_opened_do_not_open_it_again() -> None:
    breaker = Breaker()
    fail(breaker, 5)
    for _ in range(50):
        breaker.ended(4.0, "failed", probe=False)
    assert breaker.admits(5.0)


@given(
    st.lists(st.tuples(st.floats(0, 5), st.sampled_from(["ok", "failed", "throttled", "dropped"])))
)
def test_never_two_probes_and_never_longer_than_a_minute(calls: list[tuple[float, str]]) -> None:
    breaker, now, probing = Breaker(), 0.0, 0
    for pause, kind in calls:
        now += pause
        if not breaker.admits(now):
            assert breaker.opens_at is not None
            assert breaker.opens_at - now <= 60.0
            continue
        probe = breaker.begin(now)
        probing += probe
        assert not (probe and breaker.admits(now))
        breaker.ended(now, kind, probe=probe)
        probing -= probe
    assert probing == 0


# -- slots behind it -----------------------------------------------------------------------------


def opened(slots: LocalSlots, provider: str = "web") -> BreakerSlots:
    behind = BreakerSlots.before(slots)
    for _ in range(5):
        lease = behind.try_acquire(provider)
        assert lease is not None
        lease.release(FAILED)
    return behind


def test_while_it_is_open_there_are_no_slots_and_a_waiter_is_woken_for_the_probe() -> None:
    async def main() -> None:
        slots = opened(LocalSlots())
        assert slots.try_acquire("web") is None
        assert slots.try_acquire("other") is not None
        lease = await slots.acquire("web")
        assert asyncio.get_running_loop().time() == 5.0
        assert slots.try_acquire("web") is None
        lease.release(Outcome())
        assert slots.try_acquire("web") is not None

    run_virtual(main())


def test_all_who_wait_are_woken_once_it_has_closed() -> None:
    async def main() -> None:
        slots = opened(LocalSlots({"web": 2}))
        times: list[float] = []

        async def call() -> None:
            lease = await slots.acquire("web")
            await asyncio.sleep(1.0)
            times.append(asyncio.get_running_loop().time())
            lease.release(Outcome())

        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(call())
        assert times == [6.0, 7.0, 7.0, 8.0, 8.0]  # the probe, then two at once

    run_virtual(main())


@pytest.mark.parametrize("outcome", [UNUSED, DROPPED, None])
def test_a_probe_that_was_not_made_is_made_by_the_next_who_waits(outcome: Any) -> None:
    async def main() -> None:
        slots = opened(LocalSlots())
        first = await slots.acquire("web")
        second = asyncio.create_task(slots.acquire("web"))
        await asyncio.sleep(1.0)
        assert not second.done()
        first.release(outcome)
        (await second).release()

    run_virtual(main())


def test_a_waiter_that_was_cancelled_when_its_turn_had_come_lets_the_next_one_probe() -> None:
    async def main() -> None:
        slots = opened(LocalSlots())
        first = asyncio.create_task(slots.acquire("web"))
        second = asyncio.create_task(slots.acquire("web"))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_at(5.0, first.cancel)
        (await second).release()
        assert first.cancelled()

    run_virtual(main())


def test_who_shares_slots_shares_breakers() -> None:
    async def main() -> None:
        shared = LocalSlots()
        opened(shared)
        assert BreakerSlots.before(shared).try_acquire("web") is None
        assert BreakerSlots.before(shared.for_run()).try_acquire("web") is None
        assert BreakerSlots.before(LocalSlots()).try_acquire("web") is not None

    run_virtual(main())


# -- runs ----------------------------------------------------------------------------------------


WEB = ToolSpec("f", effect="read", fuse=False, provider="web")


def run(call: Any, count: int, *, until_s: float | None = None, **options: Any) -> Loom:
    async def main() -> Loom:
        async with Loom(functions={"f": call}, specs=[WEB], **options) as loom:
            if until_s is not None:
                loom.scheduler.end_in(until_s)
            await loom.run(*(Step(str(n), "f", {"n": n}) for n in range(count)))
            return loom

    return run_virtual(main())


def test_a_provider_that_comes_back_gets_its_calls_and_few_were_wasted() -> None:
    calls: list[float] = []

    async def call(n: int) -> int:
        now = asyncio.get_running_loop().time()
        calls.append(now)
        await asyncio.sleep(0.1)
        if now < 60.0:
            raise DOWN
        return n

    loom = run(call, 100, limits=Limits(concurrency=8))
    states = loom.state().steps.values()
    wasted = sum(at < 60.0 for at in calls)
    assert wasted <= 8 + 5
    assert sum(step.status == "done" for step in states) >= 97  # three could be used up in probes


def test_where_the_deadline_does_not_allow_the_wait_steps_fail_fast() -> None:
    async def call(n: int) -> int:
        raise DOWN

    loom = run(call, 20, until_s=4.0, limits=Limits(concurrency=4))
    codes = {code for _, code in loom.statuses().values()}
    assert codes <= {"breaker-open", "down"}
    assert "breaker-open" in codes
    assert loom.state().last_s < 4.0


def test_a_tool_that_hangs_opens_it_as_well() -> None:
    async def call(n: int) -> int:
        await asyncio.sleep(1_000.0)
        return n

    async def main() -> Loom:
        slots = LocalSlots()
        async with Loom(functions={"f": call}, specs=[WEB], slots=slots) as loom:
            await loom.run(*(Step(str(n), "f", {"n": n}, timeout_s=1.0) for n in range(5)))
            assert BreakerSlots.before(slots).try_acquire("web") is None
            return loom

    run_virtual(main())


def test_a_tools_own_exceptions_do_not() -> None:
    async def call(n: int) -> int:
        raise ValueError(n)

    loom = run(call, 50)
    assert {code for _, code in loom.statuses().values()} == {"tool-failed"}
    assert loom.state().last_s == 0.0


# -- the budget of retries -----------------------------------------------------------------------


def test_retries_that_a_run_has_not_made_are_not_held_against_the_next() -> None:
    async def down(n: int) -> int:
        raise DOWN

    async def main() -> None:
        slots, limits = BreakerSlots.before(LocalSlots()), Limits(concurrency=400)
        async with Loom(functions={"f": down}, specs=[WEB], slots=slots, limits=limits) as loom:
            loom.add(*(Step(str(n), "f", {"n": n}) for n in range(400)))
            await asyncio.sleep(2)
        now = asyncio.get_running_loop().time()
        at = slots.budget("web").book(now, 1.0)
        assert at is not None
        assert at <= now + 62.0  # those of one minute were made, of five they were booked

    run_virtual(main())


def test_of_a_thousand_who_fail_at_once_few_come_back_within_any_moment() -> None:
    calls: list[float] = []

    async def call(n: int) -> int:
        calls.append(asyncio.get_running_loop().time())
        if len(calls) <= 1_000:
            raise ModelError("", code="server-error", provider="web", retryable=True)
        return n

    loom = run(call, 1_000, until_s=600.0, limits=Limits(concurrency=1_000, adaptive=False))
    again = sorted(calls[1_000:])
    assert len(again) >= 100
    most = max(sum(at <= other < at + 0.05 for other in again) for at in again)
    assert most <= 50
    assert loom.scheduler.idle
