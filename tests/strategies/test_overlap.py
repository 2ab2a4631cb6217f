"""Wall time: a run ends as soon as it can, by bounds in which there is nothing of heddle.

All in virtual time, so that what is measured is waiting and nothing else.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bench.bounds import bound_s, chains_s, closed_form_s, spoken
from bench.formulas import STRATEGIES, in_memory, parts_of
from hypothesis import given, settings
from hypothesis import strategies as draw

import heddle
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import Piece, ScriptedModel
from heddle.testing.world import Pace, Sizes, World

PACES = [Pace(0.5, 400), Pace(0.01, 3_000), Pace(2.0, 100)]
SIZES = Sizes(answer=300)


@settings(max_examples=50, deadline=None)
@given(
    strategy=draw.sampled_from(STRATEGIES),
    width=draw.integers(1, 8),
    depth=draw.integers(1, 6),
    first_s=draw.floats(0, 3),
    characters_per_s=draw.floats(20, 20_000),
    tool_s=draw.floats(0, 10),
    uneven=draw.floats(0, 1),
    seed=draw.integers(0, 99),
)
def test_a_run_takes_no_longer_than_the_bound(
    strategy: str,
    width: int,
    depth: int,
    first_s: float,
    characters_per_s: float,
    tool_s: float,
    uneven: float,
    seed: int,
) -> None:
    world = World(width, depth, tool_s=tool_s, uneven=uneven, sizes=SIZES, seed=seed)
    pace = Pace(first_s, characters_per_s)
    _, seconds, requests = in_memory(strategy, world, pace)
    replies = [spoken(world.reply(request), pace) for request in requests]
    assert seconds == pytest.approx(bound_s(strategy, world, replies), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize("tool_s", [0.0, 0.3, 5.0])
@pytest.mark.parametrize("shape", [(1, 5), (4, 3), (8, 1), (2, 6)])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_bound_is_the_closed_form_where_all_parts_are_equally_long(
    strategy: str, shape: tuple[int, int], tool_s: float, pace: Pace
) -> None:
    world = World(*shape, tool_s=tool_s, sizes=SIZES)
    _, _, requests = in_memory(strategy, world, pace)
    said = [world.reply(request) for request in requests]
    call = parts_of(strategy, world).action
    closed = closed_form_s(
        strategy, world, first_s=pace.first_s, action_s=call / pace.characters_per_s,
        step_s=SIZES.step / pace.characters_per_s, answer_s=SIZES.answer / pace.characters_per_s,
    )  # fmt: skip
    bound = bound_s(strategy, world, [spoken(parts, pace) for parts in said])
    end_of_plan = 60 / pace.characters_per_s  # its last line, of which a closed form knows nothing
    assert closed - 8 / pace.characters_per_s <= bound <= closed + end_of_plan


@pytest.mark.parametrize("tool_s", [1.0, 4.0])
def test_calls_of_a_turn_that_start_as_they_are_said_are_done_before_a_barrier_would_be(
    tool_s: float,
) -> None:
    world, pace = World(6, 3, tool_s=tool_s, uneven=0.8, sizes=SIZES), Pace(0.5, 100)
    _, seconds, requests = in_memory("parallel", world, pace)
    replies = [spoken(world.reply(request), pace) for request in requests]
    levels = [range(level * 6, level * 6 + 6) for level in range(3)]
    slowest = sum(max(world.seconds(n) for n in level) for level in levels)
    assert seconds < sum(reply.end for reply in replies) + slowest - 0.5


# -- chains of abstraction


def chain(number: int, calls: int) -> str:
    """A chain of its own calls, each below the last."""
    lines = [f'[FUNC look("{number}.0", "") = y1]\n']
    lines += [f'[FUNC look("{number}.{n}", y{n}) = y{n + 1}]\n' for n in range(1, calls)]
    return "".join(lines) + f"Answer: y{calls}\n"


def written(text: str, character_s: float) -> list[Piece]:
    return [(character_s, character) for character in text]


@pytest.mark.parametrize("tool_s", [0.01, 0.5, 2.0])
def test_n_chains_take_n_decodings_and_the_tools_of_the_last_not_n_of_both(tool_s: float) -> None:
    @heddle.tool(effect="read")
    async def look(key: str, given: str) -> str:
        """Look it up."""
        await asyncio.sleep(tool_s)
        return key

    texts = [chain(number, 4) for number in range(5)]
    scripts = iter(written(text, 0.01) for text in texts)
    model = ScriptedModel(lambda _: next(scripts))

    async def main() -> tuple[Any, float]:
        agent = heddle.Agent(model, [look], strategy="abstraction", chains=5)
        result = await agent.run("q")
        return result, asyncio.get_running_loop().time()

    result, seconds = run_virtual(main())
    assert [step.status for step in result.steps] == ["done"] * 20
    said = [[0.01 * (text.index(f"= y{n}]") + 5) for n in range(1, 5)] for text in texts]
    decoded = [0.01 * len(text) for text in texts]
    assert seconds == pytest.approx(chains_s(said, decoded, tool_s))
    alone = max(chains_s(said[:1], decoded[:1], tool_s), decoded[0])
    tools_after_the_text = alone - decoded[0]
    assert seconds == pytest.approx(5 * decoded[0] + tools_after_the_text)
