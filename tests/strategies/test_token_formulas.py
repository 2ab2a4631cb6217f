"""Tokens to the token: what every strategy reads and writes is what closed formulas say.

The sizes of the parts are measured on a task of two calls; all other shapes are predicted.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bench.formulas import STRATEGIES, asked, in_memory, parts_of, tokens
from bench.over_http import replies_of
from hypothesis import given, settings
from hypothesis import strategies as draw

from heddle.models.openai import OpenAIModel
from heddle.models.prices import cost_usd
from heddle.models.protocol import Usage
from heddle.strategies.boundary import Bill, Prices
from heddle.testing.provider import SimulatedProvider
from heddle.testing.world import Sizes, World

SHAPES = [(1, 1), (1, 2), (1, 7), (2, 2), (3, 1), (4, 3), (5, 4), (8, 1), (13, 9)]


def bill_of(result: Any) -> Bill:
    usage = result.usage
    assert not usage.estimated
    return Bill(
        usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, usage.model_calls
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_costs_what_the_formula_says(strategy: str, shape: tuple[int, int]) -> None:
    world = World(*shape, sizes=Sizes(answer=300), seed=shape[0])
    result, _, _ = in_memory(strategy, world)
    assert world.is_right(result.answer) or strategy == "direct"
    assert bill_of(result) == tokens(strategy, world, parts_of(strategy, world))


@settings(max_examples=60, deadline=None)
@given(
    strategy=draw.sampled_from(STRATEGIES),
    width=draw.integers(1, 14),
    depth=draw.integers(1, 9),
    sizes=draw.builds(
        Sizes,
        action=draw.integers(60, 500),
        step=draw.integers(80, 300),
        observation=draw.integers(12, 900),
        answer=draw.integers(180, 400),
        call=draw.integers(0, 300),
    ),
    seed=draw.integers(0, 10_000),
)
def test_and_so_does_a_run_of_any_shape_and_any_sizes(
    strategy: str, width: int, depth: int, sizes: Sizes, seed: int
) -> None:
    world = World(width, depth, sizes=sizes, seed=seed)
    result, _, _ = in_memory(strategy, world)
    assert bill_of(result) == tokens(strategy, world, parts_of(strategy, world))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_it_costs_follows_with_and_without_a_cache(strategy: str) -> None:
    world = World(3, 4, sizes=Sizes(answer=300))
    result, _, _ = in_memory(strategy, world)
    bill, prices = tokens(strategy, world, parts_of(strategy, world)), Prices(1.0, 0.1, 4.0)
    used = result.usage
    whole = used.input_tokens * 1.0 + used.output_tokens * 4.0
    assert bill.cost(prices) == pytest.approx(whole)
    assert bill.cost(prices, cache=True) == pytest.approx(whole - 0.9 * used.cached_input_tokens)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_holds_over_http_where_the_server_counts(strategy: str) -> None:
    world = World(3, 4, sizes=Sizes(answer=300))

    async def main() -> Any:
        replies = replies_of(world)
        async with SimulatedProvider(replies, count=len, cache_block=1) as provider:
            model = OpenAIModel("gpt-5-mini", base_url=provider.base_url)
            result, _ = await asked(strategy, world, model)
            await model.aclose()
            return result

    result = asyncio.run(main())
    bill = tokens(strategy, world, parts_of(strategy, world))
    assert bill_of(result) == bill
    counted = Usage(int(bill.input), int(bill.cached), int(bill.output))
    each = [call.cost_usd for call in result.events if type(call).__name__ == "ModelCall"]
    if None not in each:  # prices are an extra
        assert result.usage.cost_usd == pytest.approx(cost_usd("openai", "gpt-5-mini", counted))
        assert result.usage.cost_usd == pytest.approx(
            bill.cost(Prices(0.25, 0.025, 2.0), cache=True) / 1e6
        )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_a_server_does_not_count_is_marked_as_estimated_in_the_result(strategy: str) -> None:
    world = World(2, 2, sizes=Sizes(answer=300))

    async def main() -> Any:
        faults = {"no-usage": 1.0}
        async with SimulatedProvider(replies_of(world), faults=faults) as provider:
            model = OpenAIModel("any", base_url=provider.base_url)
            result, _ = await asked(strategy, world, model)
            await model.aclose()
            return result

    result = asyncio.run(main())
    assert result.usage.estimated
    assert result.usage.input_tokens > 0
    assert result.to_json()["usage"]["estimated"] is True
