"""The boundary: what planning first and going step by step cost, as a model of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as draw

import heddle
from heddle.strategies.boundary import Bill, Prices, Shape, Sizes, plan_first, replans, stepwise
from heddle.testing.clock import run_virtual
from heddle.testing.world import Sizes as Texts
from heddle.testing.world import World

SIZES = Sizes(prompt=1000, turn=1000)

shapes = draw.builds(
    Shape,
    steps=draw.floats(1, 200),
    depth=draw.floats(1, 50),
    conditional=draw.floats(0, 1),
    failing=draw.floats(0, 1),
)
sizes = draw.builds(Sizes, *[draw.floats(1, 5000)] * len(Sizes._fields))


def test_planning_first_needs_one_round_where_no_call_hangs_on_a_result() -> None:
    for steps, depth in ((1, 1), (10, 10), (100, 5)):
        assert replans(Shape(steps, depth)) == 0
        assert plan_first(Shape(steps, depth), SIZES).calls == 2


def test_a_chain_in_which_every_call_does_needs_a_round_for_each_below_the_first() -> None:
    assert replans(Shape(10, 10, conditional=1)) == 9
    assert stepwise(Shape(10, 10, conditional=1), SIZES).calls == 11


@given(shapes)
def test_there_are_never_more_replans_than_levels_and_one_for_what_failed(shape: Shape) -> None:
    assert 0 <= replans(shape) <= max(0.0, shape.depth - 1) + 1


@given(shapes, sizes)
def test_more_conditional_calls_make_planning_first_dearer_and_turns_no_cheaper(
    shape: Shape, texts: Sizes
) -> None:
    half, whole = (shape._replace(conditional=share, steps=shape.depth) for share in (0.5, 1.0))
    assert plan_first(half, texts).input <= plan_first(whole, texts).input
    assert stepwise(half, texts) == stepwise(whole, texts)


@given(shapes, sizes)
def test_failures_make_neither_way_cheaper(shape: Shape, texts: Sizes) -> None:
    sound = shape._replace(failing=0.0)
    for way in (plan_first, stepwise):
        assert way(shape, texts).calls >= way(sound, texts).calls
    assert plan_first(shape, texts).input >= plan_first(sound, texts).input


@given(shapes, sizes)
def test_what_the_provider_keeps_is_a_part_of_what_is_read(shape: Shape, texts: Sizes) -> None:
    for bill in (plan_first(shape, texts), stepwise(shape, texts)):
        assert -1e-6 <= bill.cached <= bill.input * (1 + 1e-9)
        least, half, most = (bill.cost(Prices(), cache=kept) for kept in (1.0, 0.5, 0.0))
        assert least <= half * (1 + 1e-9) <= most * (1 + 2e-9)


@given(sizes)
def test_one_call_at_a_time_is_never_cheaper_than_all_that_are_possible(texts: Sizes) -> None:
    for shape in (Shape(8, 1), Shape(12, 3), Shape(5, 5)):
        alone, together = (stepwise(shape, texts, one_at_a_time=one) for one in (True, False))
        assert alone.input >= together.input
        assert alone.output == together.output


def test_what_is_paid_is_taken_off_and_leaves_nothing_negative() -> None:
    assert Bill(10, 4, 6, 2).without(Bill(3, 5, 6, 1)) == Bill(7, 0, 0, 1)


@pytest.mark.parametrize("shape", [(1, 3), (1, 12), (4, 3), (8, 1)])
def test_the_model_is_near_what_runs_really_cost(shape: tuple[int, int]) -> None:
    """Against runs with fixed sizes, one token a character; the exact formulas are the bench's."""
    texts = Texts(action=48, step=100, observation=400, answer=100)
    for strategy, way in (("llmcompiler", plan_first), ("parallel", stepwise)):
        world = World(*shape, sizes=texts)
        model = world.model()
        agent = heddle.Agent(model, world.tools, strategy=strategy)
        result = run_virtual(agent.run(world.question))
        first, last = model.requests[0].characters, model.requests[-1].characters
        each = (last - first) / world.count if strategy == "parallel" else 0
        measured = Sizes(
            prompt=first, turn=first, join=len(model.requests[-1].messages[0].content) + 120,
            result=500, observation=each - 48, digest=130, step=100, action=48, answer=100,
        )  # fmt: skip
        expected = way(Shape(world.count, world.depth), measured)
        assert expected.calls == result.usage.model_calls
        assert expected.input == pytest.approx(result.usage.input_tokens, rel=0.1)
        assert expected.output == pytest.approx(result.usage.output_tokens, rel=0.2)
