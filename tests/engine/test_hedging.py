"""Hedging: which calls get a second copy, when, how many, and whose answer counts."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from engine.rig import Loom
from heddle.engine.breaker import BreakerSlots
from heddle.engine.costs import Outcome
from heddle.engine.estimates import Estimates
from heddle.engine.events import (
    HedgeEnded,
    HedgeStarted,
    LateResult,
    StepEnded,
    StepError,
    StepStarted,
)
from heddle.engine.slots import LocalSlots
from heddle.errors import ToolFailed
from heddle.models.protocol import Usage
from heddle.plan.ir import Input, Item, Step
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.testing.clock import run_virtual
from heddle.tools.function import Metered

ON = Limits(hedging=True, concurrency=8, step_timeout_s=None)
READ = ToolSpec("f", effect="read", fuse=False)
WARM_UP = 300


class Server:
    """Calls that take 0.1 s, unless they are told otherwise, one after the other.

    Attributes:
        calls: how many were made.
        running: how many are.
        stopped: how many were cancelled.
    """

    def __init__(self, *later: Any, ordinary: int = WARM_UP) -> None:
        self.later = list(later)
        self.ordinary = ordinary
        self.calls = self.running = self.stopped = 0

    async def __call__(self, n: int = 0) -> Any:
        self.calls += 1
        told = 0.1
        if self.calls > self.ordinary and self.later:
            told = self.later.pop(0)
        if isinstance(told, BaseException):
            raise told
        self.running += 1
        try:
            await asyncio.sleep(told)
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        finally:
            self.running -= 1
        return n


def run(server: Any, *, spec: ToolSpec = READ, limits: Limits = ON, **options: Any) -> Loom:
    """A map that learns how long calls take, and then one step."""

    async def main() -> Loom:
        async with Loom(
            functions={"f": server}, specs=[spec], limits=limits,
            inputs={"list": list(range(WARM_UP))}, **options,
        ) as loom:  # fmt: skip
            await loom.run(Step("warm", "f", {"n": Item()}, over=Input("list")))
            await loom.run(Step("slow", "f", {"n": 7}))
            return loom

    return run_virtual(main())


def took_s(loom: Loom) -> float:
    step = loom.state().steps["slow"]
    assert step.finished_s is not None
    assert step.started_s is not None
    return step.finished_s - step.started_s


def test_a_call_that_takes_long_is_copied_and_the_copy_may_answer() -> None:
    server = Server(60.0)
    loom = run(server)
    assert took_s(loom) < 0.3
    assert loom.state().steps["slow"].value == 7
    assert loom.state().steps["slow"].attempts == 1
    [started], [ended] = loom.events(HedgeStarted), loom.events(HedgeEnded)
    assert (started.step, started.copy, ended.won) == ("slow", 1, True)
    assert 0.1 <= started.after_s <= 0.13
    assert server.stopped == 1
    assert server.running == 0
    assert loom.scheduler.in_flight == 0


def test_the_call_itself_may_answer_first_and_the_copy_is_stopped() -> None:
    server = Server(0.15, 60.0)
    loom = run(server)
    assert took_s(loom) == pytest.approx(0.15)
    assert [event.won for event in loom.events(HedgeEnded)] == [False]
    assert (server.stopped, server.running, loom.scheduler.in_flight) == (1, 0, 0)


def test_a_copy_that_is_slow_as_well_gets_one_more_and_no_third() -> None:
    server = Server(60.0, 60.0, 60.0)
    loom = run(server)
    assert took_s(loom) == pytest.approx(60.0)
    assert [event.copy for event in loom.events(HedgeStarted)] == [1, 2]


def test_a_copy_that_fails_is_forgotten() -> None:
    server = Server(1.0, ToolFailed("no"), 60.0)
    loom = run(server)
    assert loom.statuses()["slow"] == ("done", "")
    assert took_s(loom) == pytest.approx(1.0)
    assert not loom.events(StepError)


def test_where_the_call_fails_its_copy_is_stopped_and_the_failure_counts() -> None:
    class Failing(Server):
        async def __call__(self, n: int = 0) -> Any:
            value = await super().__call__(n)
            if self.calls == WARM_UP + 2 and self.running:
                raise ToolFailed("no")
            return value

    server = Failing(0.2, 60.0)
    loom = run(server)
    assert loom.statuses()["slow"] == ("failed", "tool-failed")
    assert server.running == 0


@pytest.mark.parametrize(("earned", "copies"), [(0.9, 0), (1.0, 1), (1.9, 1), (2.0, 2)])
def test_a_copy_costs_one_of_those_that_calls_have_earned(earned: float, copies: int) -> None:
    estimates = Estimates()

    async def main() -> Loom:
        async with Loom(
            functions={"f": Server(100.0, 100.0, 100.0)}, specs=[READ], limits=ON,
            estimates=estimates, inputs={"list": list(range(WARM_UP))},
        ) as loom:  # fmt: skip
            await loom.run(Step("warm", "f", {"n": Item()}, over=Input("list")))
            estimates.earned = earned
            await loom.run(Step("slow", "f", {"n": 7}))
            return loom

    assert len(run_virtual(main()).events(HedgeStarted)) == copies


def test_a_call_is_late_when_985_of_a_thousand_would_have_ended() -> None:
    def copied_after(slow_in_a_thousand: int) -> float:
        class Mixed(Server):
            async def __call__(self, n: int = 0) -> Any:
                self.calls += 1
                slow = self.calls > 1_000 or self.calls % 1_000 < slow_in_a_thousand
                await asyncio.sleep(10.0 if slow else 0.1)
                return n

        async def main() -> Loom:
            async with Loom(
                functions={"f": Mixed()}, specs=[READ], limits=ON,
                inputs={"list": list(range(1_000))},
            ) as loom:  # fmt: skip
                await loom.run(Step("warm", "f", {"n": Item()}, over=Input("list")))
                await loom.run(Step("late", "f", {"n": 7}))
                return loom

        copies = [each for each in run_virtual(main()).events(HedgeStarted) if each.step == "late"]
        return copies[0].after_s if copies else 10.0

    assert copied_after(8) < 1.0
    assert copied_after(30) > 5.0


def test_without_being_asked_for_there_are_none() -> None:
    server = Server(5.0)
    assert not run(server, limits=Limits(concurrency=8)).events(HedgeStarted)


@pytest.mark.parametrize("effect", ["idempotent", "write"])
def test_effects_are_never_copied(effect: Any) -> None:
    server = Server(5.0)
    loom = run(server, spec=ToolSpec("f", effect=effect))
    assert not loom.events(HedgeStarted)
    assert server.calls == WARM_UP + 1


@pytest.mark.parametrize("wanted", [True, False])
def test_tools_that_ask_models_are_copied_only_where_that_is_asked_for(wanted: bool) -> None:
    limits = Limits(hedging=True, hedging_models=wanted, concurrency=8, step_timeout_s=None)
    spec = ToolSpec("f", effect="read", fuse=False, asks_model=True)
    assert bool(run(Server(5.0), spec=spec, limits=limits).events(HedgeStarted)) is wanted


def test_none_is_made_without_a_free_slot() -> None:
    limits = Limits(hedging=True, concurrency=8, per_tool={"f": 1}, step_timeout_s=None)
    assert not run(Server(5.0), limits=limits).events(HedgeStarted)


def test_none_is_made_while_a_breaker_is_not_closed() -> None:
    slots = LocalSlots()
    spec = ToolSpec("f", effect="read", fuse=False, provider="web")

    class Breaking(Server):
        async def __call__(self, n: int = 0) -> Any:
            if self.calls == WARM_UP:
                behind = BreakerSlots.before(slots)
                for _ in range(5):
                    lease = behind.try_acquire("web")
                    assert lease is not None
                    lease.release(Outcome("failed"))
            return await super().__call__(n)

    assert not run(Breaking(3.0), spec=spec, slots=slots).events(HedgeStarted)


def test_given_up_both_are_stopped() -> None:
    server = Server(60.0, 60.0, 60.0)
    limits = Limits(hedging=True, concurrency=8, step_timeout_s=2.0)
    loom = run(server, limits=limits)
    assert loom.statuses()["slow"] == ("failed", "timed-out")
    assert (server.running, loom.scheduler.in_flight) == (0, 0)


def test_what_a_copy_has_cost_that_came_too_late_is_counted() -> None:
    class Paid(Server):
        async def __call__(self, n: int = 0) -> Any:
            try:
                return Metered(await super().__call__(n), Usage(1, 0, 1), 0.5)
            except asyncio.CancelledError:  # it answers all the same
                return Metered(n, Usage(1, 0, 1), 0.5)

    loom = run(Paid(0.15, 60.0))
    assert [late.cost_usd for late in loom.events(LateResult)] == [0.5]


@pytest.mark.parametrize("seed", range(5))
def test_two_of_a_hundred_calls_are_copied_at_most_and_each_step_ends_once(seed: int) -> None:
    dice = random.Random(seed)

    async def call(n: int) -> int:
        await asyncio.sleep(dice.lognormvariate(-2.0, 1.5))
        return n

    async def main() -> Loom:
        limits = Limits(hedging=True, concurrency=200)
        async with Loom(functions={"f": call}, specs=[READ], limits=limits) as loom:
            for first in range(0, 2_000, 100):
                await loom.run(*(Step(str(n), "f", {"n": n}) for n in range(first, first + 100)))
            return loom

    loom = run_virtual(main())
    copies = loom.events(HedgeStarted)
    assert 10 <= len(copies) <= 0.02 * len(loom.events(StepStarted))
    assert len(copies) == len(loom.events(HedgeEnded))
    assert len(loom.events(StepEnded)) == 2_000
    assert all(step.value == int(id) for id, step in loom.state().steps.items())


def test_a_quantile_is_known_after_a_hundred_calls_to_within_a_tenth() -> None:
    estimates = Estimates()
    assert estimates.quantile("f", 0.95) is None
    for n in range(1, 1_001):
        estimates.spread("f", n / 100)
        assert (estimates.quantile("f", 0.95) is None) is (n < 100)
    assert estimates.quantile("f", 0.95) == pytest.approx(9.5, rel=0.12)


def test_what_was_long_ago_fades() -> None:
    estimates = Estimates()
    for seconds in [1.0] * 10_000 + [5.0] * 40_000:
        estimates.spread("f", seconds)
    assert estimates.quantile("f", 0.5) == pytest.approx(5.0, rel=0.12)
