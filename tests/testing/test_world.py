"""The made-up world: a task that every strategy can be asked, with sizes known beforehand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import heddle
from heddle.plan.limits import Limits
from heddle.testing.clock import run_virtual
from heddle.testing.world import Pace, Sizes, World

PLENTY = Limits(max_rounds=40, max_turns=80)


def run(world: World, strategy: str, pace: Pace | None = None) -> tuple[Any, float]:
    async def main() -> tuple[Any, float]:
        agent = heddle.Agent(world.model(pace), world.tools, strategy=strategy, limits=PLENTY)
        result = await agent.run(world.question)
        return result, asyncio.get_running_loop().time()

    return run_virtual(main())


@pytest.mark.parametrize("conditional", [0, 0.5, 1])
@pytest.mark.parametrize("strategy", ["react", "parallel", "llmcompiler"])
@pytest.mark.parametrize("shape", [(1, 4), (3, 3), (8, 1)])
def test_strategies_that_read_or_replan_reach_the_right_answer(
    strategy: str, conditional: float, shape: tuple[int, int]
) -> None:
    for seed in range(3):
        world = World(*shape, conditional=conditional, seed=seed)
        result, _ = run(world, strategy)
        assert world.is_right(result.answer), (result.answer, world.answer)


def test_calls_that_fail_lead_to_the_same_answer_whoever_asks() -> None:
    for seed in range(5):
        world = World(3, 3, failing=0.2, conditional=0.4, seed=seed)
        for strategy in ("react", "parallel", "llmcompiler"):
            result, _ = run(world, strategy)
            assert world.is_right(result.answer), (strategy, result.answer, world.answer)


def test_a_direct_answer_is_wrong_for_nobody_knows_the_values_unread() -> None:
    world = World(2, 2)
    result, _ = run(world, "direct")
    assert not world.is_right(result.answer)


def test_the_wrong_tool_gives_another_value() -> None:
    world = World(1, 2, conditional=1)
    wrong = "left" if world._tool_of(1, world._values[0] or "") == "right" else "right"

    async def call(name: str) -> Any:
        tool = next(tool for tool in world.tools if tool.spec.name == name)
        return await tool.invoke({"key": "k0001", "given": world.observation(0)})

    assert run_virtual(call(wrong)) != world.observation(1)


def test_texts_have_the_sizes_that_were_asked_for() -> None:
    sizes = Sizes(action=222, step=111, observation=333, answer=99)
    world = World(2, 3, sizes=sizes)
    for strategy, replies in (("react", 6 * 222 + 99), ("llmcompiler", 6 * 111 + 10 + 99)):
        result, _ = run(world, strategy)
        assert result.usage.output_tokens == replies, strategy
        assert {len(step.value) for step in result.steps} == {333}


def test_the_model_speaks_at_its_pace() -> None:
    world = World(1, 1, sizes=Sizes(answer=100))
    _, seconds = run(world, "direct", Pace(2.0, 50))
    assert seconds == pytest.approx(4.0)


def test_what_a_prompt_has_in_common_with_an_earlier_one_is_counted_as_cached() -> None:
    world = World(1, 3)
    result, _ = run(world, "react")
    model = world.model()
    read = [request.characters for request in _requests(world, model)]
    assert result.usage.cached_input_tokens == sum(read[:-1])


def _requests(world: World, model: Any) -> list[Any]:
    async def main() -> None:
        await heddle.Agent(model, world.tools, strategy="react", limits=PLENTY).run(world.question)

    run_virtual(main())
    return model.requests
