"""When to plan first: a chain can be planned at once, and what is decided late cannot."""

from __future__ import annotations

import pytest
from bench.formulas import in_memory

from heddle.engine.events import ModelCall
from heddle.strategies.boundary import Bill, Prices
from heddle.testing.world import Pace, World

PACE = Pace(0.5, 240)
PLAN_FIRST = ("rewoo", "llmcompiler", "abstraction", "code")


def cost(result: object, *, cache: bool = False) -> float:
    used = result.usage  # type: ignore[attr-defined]
    bill = Bill(used.input_tokens, used.cached_input_tokens, used.output_tokens, used.model_calls)
    return bill.cost(Prices(), cache=cache)


@pytest.mark.parametrize("strategy", PLAN_FIRST)
def test_a_chain_takes_one_planner_call_and_costs_less_than_step_by_step(strategy: str) -> None:
    world = World(1, 6, tool_s=1.0)
    result, seconds, _ = in_memory(strategy, world, PACE)
    beside, slower, _ = in_memory("react", world, PACE)
    asked = [event.role for event in result.events if isinstance(event, ModelCall)]
    assert asked.count("planner") == 1
    assert world.is_right(result.answer)
    assert cost(result) < cost(beside)
    assert seconds < slower


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("strategy", ["llmcompiler", "code"])
def test_where_each_step_is_decided_by_the_last_result_step_by_step_wins(
    strategy: str, seed: int, cache: bool
) -> None:
    world = World(1, 6, conditional=1.0, tool_s=1.0, seed=seed)
    result, seconds, _ = in_memory(strategy, world, PACE)
    beside, faster, _ = in_memory("react", world, PACE)
    assert world.is_right(result.answer)
    assert world.is_right(beside.answer)
    assert cost(beside, cache=cache) < cost(result, cache=cache)
    assert faster < seconds


@pytest.mark.parametrize("strategy", ["rewoo", "abstraction"])
def test_who_has_one_plan_only_is_wrong_there(strategy: str) -> None:
    right = []
    for seed in range(5):
        world = World(1, 6, conditional=1.0, seed=seed)
        result, _, _ = in_memory(strategy, world, PACE)
        right.append(world.is_right(result.answer))
    assert not any(right)
