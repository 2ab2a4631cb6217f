"""A run told again by its events gives what its caller got."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import heddle
from heddle.engine import events as ev
from heddle.engine.retold import plans_of, retold
from heddle.plan.canonical import plan_hash
from heddle.testing import ScriptedModel, run_virtual

GOOD = '1. look("bob")\n2. send($1)\n3. join("sent: $2")\n'
BAD = '1. look("bob")\n2. nobody($1)\n'
FAILS = '1. look("nobody")\n2. send($1)\n3. look("bob")\n'


@heddle.tool(effect="read")
async def look(name: str) -> str:
    """An address."""
    if name == "nobody":
        raise ValueError("no such person")
    return f"{name}@example.org"


@heddle.tool(effect="write")
async def send(to: str) -> str:
    """A message."""
    return f"sent to {to}"


def result_of(text: str, **options: Any) -> heddle.RunResult:
    return run_virtual(heddle.execute(heddle.parse(text), [look, send], **options))


def told(result: heddle.RunResult) -> dict[str, Any]:
    return result.to_json()


@pytest.mark.parametrize("text", [GOOD, FAILS, BAD])
def test_a_plan_run_that_is_over_gives_the_same_object(text: str) -> None:
    result = result_of(text)
    again = retold(result.events)
    assert told(again) == told(result)
    assert again.exit_status == result.exit_status


def test_a_denied_run_stays_denied() -> None:
    result = result_of(GOOD, approve=lambda plan, effects: False)
    again = retold(result.events)
    assert told(again) == told(result)
    assert again.exit_status == 6


def test_an_agent_run_with_two_rounds_gives_the_same_object() -> None:
    model = ScriptedModel(
        {
            "planner": ('1. look("nobody")\n2. join()\n', '1. look("bob")\n2. join()\n'),
            "joiner": (
                '{"action": "replan", "reason": "not found"}',
                '{"action": "finish", "answer": "bob"}',
            ),
        }
    )
    agent = heddle.Agent(model, [look, send], strategy="llmcompiler")
    result = run_virtual(agent.run("Where is Bob?"))
    again = retold(result.events)
    assert told(again) == told(result)
    assert [plan.round for plan in again.plans] == [1, 2]


def test_its_plans_have_the_hashes_that_were_accepted() -> None:
    result = result_of(GOOD)
    accepted = [event.plan_hash for event in result.events if isinstance(event, ev.PlanAccepted)]
    assert [plan_hash(plan) for plan in plans_of(result.events)] == accepted


def test_of_a_run_that_was_stopped_it_tells_what_there_is() -> None:
    events = result_of(GOOD).events
    cut = next(at for at, event in enumerate(events) if isinstance(event, ev.StepIntent)) + 2
    again = retold(events[:cut])
    assert [step.status for step in again.steps] == ["done", "running"]
    assert again.answer is None
    assert again.plan is not None
    assert [step.id for step in again.plan.steps] == ["1", "2"]


def test_after_no_event_has_a_run_taken_less_than_no_time() -> None:
    async def slow(name: str) -> str:
        await asyncio.sleep(1)
        return name

    plan = heddle.parse('1. slow("a")\n2. slow($1)\n3. slow("b")\n')
    events = run_virtual(heddle.execute(plan, [slow])).events
    for n in range(len(events)):
        timing = retold(events[:n]).timing
        assert min(timing.to_json().values()) >= 0
        assert timing.makespan_s <= timing.total_s
