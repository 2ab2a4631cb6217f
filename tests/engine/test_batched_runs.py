"""Whole plans whose calls are made in batches: what the result says of them."""

from __future__ import annotations

import asyncio
from typing import Any

import heddle
from heddle.plan.ir import Item, Plan, Ref, Step
from heddle.plan.limits import Limits
from heddle.testing.clock import run_virtual


async def many(xs: list[Any]) -> list[Any]:
    await asyncio.sleep(1)
    return [ValueError("odd") if x == "bad" else x for x in xs]


@heddle.tool(effect="read", batch=many, max_batch=4, concurrency=1)
async def look(x: Any) -> Any:
    raise AssertionError("never asked for one")


def run(*steps: Step, **limits: Any) -> Any:
    plan = Plan(steps)
    plan.close()
    return run_virtual(heddle.execute(plan, [look], limits=Limits(**limits)))


def each(id: str, over: Any, **fields: Any) -> Step:
    return Step(id, "look", {"x": Item()}, over=over, **fields)


def test_the_lower_bound_of_batched_calls_is_not_above_the_time_they_took() -> None:
    timing = run(each("1", list(range(12)))).timing
    assert (timing.makespan_s, timing.lower_bound_s, timing.sequential_s) == (3, 3, 12)
    timing = run(*(Step(str(n), "look", {"x": n}) for n in range(4)), concurrency=1).timing
    assert timing.lower_bound_s == timing.makespan_s


def test_an_odd_element_of_a_batch_fails_alone_and_its_follower_is_skipped() -> None:
    result = run(each("1", [1, "bad", 3]), each("2", Ref("1")), each("3", Ref("1"), default=0))
    assert [step.value for step in result.steps] == [[1, None, 3], [1, None, 3], [1, None, 3]]
    assert [item.code for item in result.steps[1].error.items] == ["upstream-failed"]
    assert result.status == "partial"


def test_the_deadline_ends_every_call_of_a_batch() -> None:
    result = run(each("1", list(range(8))), run_timeout_s=1.5)
    assert result.steps[0].value == [0, 1, 2, 3, None, None, None, None]
    assert [item.index for item in result.steps[0].error.items] == [4, 5, 6, 7]
    assert (result.error.code, result.exit_status) == ("deadline", 5)
