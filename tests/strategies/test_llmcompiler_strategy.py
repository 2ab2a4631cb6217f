"""The llmcompiler strategy: rounds of plan and join, and what cannot be planned yet."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import heddle
from heddle.engine.events import ReplanRequested
from heddle.plan.limits import Limits
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import ScriptedModel
from heddle.testing.world import World

FINISH = json.dumps({"action": "finish", "answer": "B"})
AGAIN = json.dumps({"action": "replan", "reason": "it was A that is cheaper"})
LATER = '1. price("A")\n2. later("which to ask next", $1)\n3. join()'


@heddle.tool(effect="read", fuse=False)
async def price(ticker: str) -> float:
    """Latest price in USD; it takes a second."""
    await asyncio.sleep(1)
    return {"A": 2.0, "B": 3.5}[ticker]


def ask(replies: Any, **limits: Any) -> tuple[Any, ScriptedModel]:
    model = ScriptedModel(replies)
    bounds = Limits(**limits) if limits else None
    agent = heddle.Agent(model, [price], strategy="llmcompiler", limits=bounds)
    return run_virtual(agent.run("Which is dearer?")), model


def test_what_cannot_be_planned_yet_leads_to_another_round_and_is_nobodys_failure() -> None:
    planner = (LATER, '4. price("B")\n5. join()')
    result, model = ask({"planner": planner, "joiner": (AGAIN, FINISH)})
    assert (result.status, result.answer, result.error) == ("succeeded", "B", None)
    assert [(step.tool, step.status) for step in result.steps] == [
        ("price", "done"),
        ("later", "done"),
        ("price", "done"),
    ]
    assert [request.role for request in model.requests] == ["planner", "joiner"] * 2
    assert [finding for finding in result.findings if finding.severity == "error"] == []


def test_the_joiner_reads_what_is_to_be_decided_beside_the_result_that_decides_it() -> None:
    _, model = ask({"planner": LATER, "joiner": FINISH})
    lines = model.requests[1].messages[-1].content.splitlines()
    steps = [json.loads(line) for line in lines if line.startswith("{")]
    assert steps[0]["value"] == 2.0
    assert (steps[1]["tool"], steps[1]["args"]["0"]) == ("later", "which to ask next")


def test_a_joiner_that_can_do_without_what_is_open_finishes() -> None:
    result, model = ask({"planner": LATER, "joiner": FINISH})
    assert (result.status, result.answer) == ("succeeded", "B")
    assert len(model.requests) == 2


def test_the_next_planner_reads_why_and_a_digest_and_no_result() -> None:
    planner = (LATER, "4. price($1)\n5. join()")
    _, model = ask({"planner": planner, "joiner": (AGAIN, FINISH)})
    again = model.requests[2].messages[-1].content
    assert "it was A that is cheaper" in again
    assert "2.0" not in again
    assert '"type": "float"' in again


def test_the_next_planner_is_told_to_number_its_calls_from_where_the_last_stopped() -> None:
    planner = (LATER, '3. price("B")\n4. join()')
    _, model = ask({"planner": planner, "joiner": (AGAIN, FINISH)})
    assert "Number your calls from 3." in model.requests[2].messages[-1].content


@pytest.mark.parametrize("strategy", ["llmcompiler", "code"])
def test_the_instructions_are_the_same_in_every_round_so_that_a_provider_can_keep_them(
    strategy: str,
) -> None:
    world = World(1, 3, conditional=1)
    model = world.model()
    run_virtual(heddle.Agent(model, world.tools, strategy=strategy).run(world.question))
    planners = [request for request in model.requests if request.role == "planner"]
    assert len(planners) == 3
    assert len({request.messages[0] for request in planners}) == 1


def test_where_a_plan_says_the_answer_nobody_is_asked_for_it() -> None:
    result, model = ask({"planner": '1. price("A")\n2. join("It costs $1.")'})
    assert result.answer == "It costs 2.0."
    assert len(model.requests) == 1


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_one_who_always_wants_more_is_out_of_rounds_and_says_why(rounds: int) -> None:
    result, model = ask({"planner": LATER, "joiner": AGAIN}, max_rounds=rounds)
    assert (result.error.code, result.exit_status) == ("max-rounds", 5)
    assert "it was A that is cheaper" in result.error.message
    assert len(model.requests) == 2 * rounds
    assert "No further round is possible" in model.requests[-1].messages[0].content
    said = [event for event in result.events if isinstance(event, ReplanRequested)]
    assert len(said) == rounds - 1


@pytest.mark.parametrize("conditional", [0.0, 0.3, 1.0])
def test_rounds_go_as_deep_as_they_can_and_end_at_the_right_answer(conditional: float) -> None:
    for seed in range(5):
        world = World(3, 4, conditional=conditional, seed=seed)
        limits = Limits(max_rounds=20)
        agent = heddle.Agent(world.model(), world.tools, strategy="llmcompiler", limits=limits)
        result = run_virtual(agent.run(world.question))
        assert world.is_right(result.answer)
        assert result.status == "succeeded"
        thread = [range(n, world.count, 3) for n in range(3)]
        replans = max(sum(world.conditional(n) for n in calls) for calls in thread)
        assert len(result.plans) == 1 + replans


def test_a_planner_that_breaks_off_has_its_steps_joined_and_the_run_says_so() -> None:
    error = heddle.ModelError("gone", code="connection", provider="p")
    result, _ = ask({"planner": ['1. price("A")\n', error], "joiner": FINISH})
    assert (result.answer, result.status) == ("B", "partial")
    assert result.error.code == "plan-cut"
    assert result.exit_status == 4
