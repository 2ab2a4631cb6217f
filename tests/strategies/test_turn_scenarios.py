"""Turns and rounds in whole runs: odd calls, effects, approval, and what is looked at again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import heddle
from heddle.errors import ModelError
from heddle.models.protocol import ToolCall
from heddle.plan.limits import Limits
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import ScriptedModel

made: list[tuple[float, str, Any]] = []


@heddle.tool(effect="read")
async def look(x: Any) -> Any:
    """Look something up."""
    made.append((asyncio.get_running_loop().time(), "look", x))
    await asyncio.sleep(1)
    return x


@heddle.tool(effect="write")
async def send(x: Any) -> Any:
    """Send something."""
    made.append((asyncio.get_running_loop().time(), "send", x))
    await asyncio.sleep(1)
    return x


def call(id: str, tool: str, x: Any) -> ToolCall:
    return ToolCall(id, tool, json.dumps({"x": x}))


def broken() -> ModelError:
    return ModelError("the line broke", code="connection", provider="scripted")


def ask(replies: Any, strategy: str = "parallel", **options: Any) -> tuple[Any, ScriptedModel]:
    made.clear()
    model = ScriptedModel(replies)
    agent = heddle.Agent(model, [look, send], strategy=strategy, **options)
    return run_virtual(agent.run("What?")), model


@pytest.mark.parametrize("id", ["", "same", "x" * 5_000, "a b\n$1"])
def test_a_call_runs_whatever_its_provider_calls_it(id: str) -> None:
    result, model = ask([[call(id, "look", 1), call(id, "look", 2)], "done"])
    assert (result.status, result.answer) == ("succeeded", "done")
    assert [(message.content, message.call_id) for message in model.requests[1].messages[-2:]] == [
        ("1", id),
        ("2", id),
    ]


def test_two_hundred_calls_of_one_turn_run_as_many_at_once_as_may() -> None:
    calls = [call(f"c{n}", "look", n) for n in range(200)]
    result, model = ask([calls, "done"], limits=Limits(concurrency=50))
    assert [step.value for step in result.steps] == list(range(200))
    assert result.timing.total_s == 4
    assert [message.content for message in model.requests[1].messages[-200:]] == [
        str(n) for n in range(200)
    ]


def test_every_call_that_was_read_has_its_result_where_there_are_too_many() -> None:
    calls = [call(f"c{n}", "look", n) for n in range(300)]
    _, model = ask([calls, "done"])
    seen = model.requests[1].messages
    asked = next(message.calls for message in seen if message.calls)
    results = [message for message in seen if message.role == "tool"]
    assert [message.call_id for message in results] == [one.id for one in asked]
    assert len(results) == 257
    assert "too-many-steps" in results[-1].content


def test_effects_of_a_turn_wait_for_its_end_and_are_approved_turn_by_turn() -> None:
    asked: list[tuple[int, list[str]]] = []

    def approve(plan: heddle.Plan, effects: Any) -> bool:
        asked.append((plan.round, [step.id for step in effects]))
        return plan.round == 1

    turns = [
        [call("a", "send", 1), (5.0, call("b", "look", 2))],
        [call("c", "send", 3)],
        "done",
    ]
    result, _ = ask(turns, approve=approve)
    assert asked == [(1, ["1"]), (2, ["2.1"])]
    assert sorted(made) == [(5.0, "look", 2), (5.0, "send", 1)]
    assert (result.status, result.exit_status, result.answer) == ("denied", 6, "done")


@pytest.mark.parametrize(
    ("strategy", "turn"),
    [
        ("parallel", [call("a", "send", 1), broken()]),
        ("parallel", [call("a", "send", 1), call("b", "look", 2), broken()]),
        ("react", ["Action: send[1]\nAction: look[", broken()]),
        ("react", ["Action: send[1]\nAction: look[2]\n", broken()]),
    ],
)
def test_a_turn_that_is_cut_changes_nothing(strategy: str, turn: list[Any]) -> None:
    result, _ = ask([turn, "done"], strategy)
    assert (result.error.code, result.exit_status) == ("connection", 4)
    assert [what for _, what, _ in made if what == "send"] == []


def test_another_round_looks_again() -> None:
    replan = json.dumps({"action": "replan", "reason": "once more"})
    finish = json.dumps({"action": "finish", "answer": "done"})
    result, _ = ask(["1. look(5)\n", replan, "1. look(5)\n2. look(5)\n", finish], "llmcompiler")
    assert result.answer == "done"
    assert made == [(0.0, "look", 5), (1.0, "look", 5)]


def test_an_output_whose_path_leads_nowhere_is_an_error_of_the_run_of_an_agent() -> None:
    result, _ = ask(['t = look("abc")\nt[0]\n'], "code")
    assert (result.status, result.error.code, result.exit_status) == ("partial", "bad-path", 1)
    assert "step t has no 0" in result.error.message


def program(count: int, *, bad: int = 0) -> str:
    lines = [f"x{n} = {'nope' if n <= bad else 'look'}({n})" for n in range(1, count + 1)]
    return "\n".join([*lines, f"x{count}", ""])


def test_an_output_may_name_a_step_that_was_never_read() -> None:
    result, _ = ask([program(300)], "code", limits=Limits(max_rounds=1))
    assert (result.status, result.error.code, result.answer) == ("failed", "hole", None)
    assert "more than 256 steps" in result.error.message


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_plan_with_too_many_bad_lines_is_read_up_to_the_first_too_many(size: int) -> None:
    text = program(20, bad=8)
    pieces: Any = [text[start : start + size] for start in range(0, len(text), size)]
    result, _ = ask([pieces], "code", limits=Limits(max_rounds=1, max_holes=3))
    assert [step.id for step in result.steps] == ["x1", "x2", "x3", "x4"]
    assert made == []


@pytest.mark.parametrize(
    ("first", "approve", "allowed"),
    [
        ("1. send(1)\n", None, True),
        ("1. send(1)\n2. nope(2)\n", None, False),
        ("1. send(1)\n", lambda plan, effects: plan.round > 1, False),
        ("1. look(1)\n", None, False),
    ],
    ids=["accepted", "unclean", "denied", "without"],
)
def test_a_first_plan_allows_nested_plans_its_effects_only_if_it_was_accepted(
    first: str, approve: Any, allowed: bool
) -> None:
    plans = iter([first, '1. expand("1. send(9)", "llmcompiler")\n'])
    joins = iter([{"action": "replan", "reason": "more"}, {"action": "finish", "answer": 1}])

    def reply(request: Any) -> str:
        if request.role == "repair":
            return "nothing of use"
        return next(plans) if request.role == "planner" else json.dumps(next(joins))

    result, _ = ask(reply, "llmcompiler", approve=approve)
    nested = next(step for step in result.steps if step.id == "2.1")
    assert (nested.error and nested.error.code) == (None if allowed else "ceiling")
    assert (9 in [x for _, what, x in made if what == "send"]) is allowed
