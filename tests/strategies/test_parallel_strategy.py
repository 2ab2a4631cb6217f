"""The parallel strategy: native calls in turns, each started while the model still writes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import heddle
from heddle.engine.events import StepStarted
from heddle.engine.log import EventLog
from heddle.models.protocol import Message, ToolCall
from heddle.plan.limits import Limits
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import ScriptedModel


@heddle.tool(effect="read")
async def price(ticker: str) -> float:
    """Latest price in USD; it takes a second."""
    await asyncio.sleep(1)
    return {"A": 2.0, "B": 3.5}[ticker]


def call(id: str, **arguments: Any) -> ToolCall:
    import json

    return ToolCall(id, "price", json.dumps(arguments))


def ask(replies: Any, limits: Limits | None = None) -> tuple[Any, ScriptedModel, EventLog]:
    model = ScriptedModel(replies)
    log: list[EventLog] = []

    async def main() -> Any:
        log.append(EventLog())
        agent = heddle.Agent(model, [price], strategy="parallel", limits=limits)
        return await agent.run("Which is dearer?", log=log[0])

    return run_virtual(main()), model, log[0]


def test_calls_of_one_turn_run_at_once_and_the_answer_ends_the_run() -> None:
    result, model, _ = ask([[call("c1", ticker="A"), call("c2", ticker="B")], "B"])
    assert result.answer == "B"
    assert result.status == "succeeded"
    assert [step.value for step in result.steps] == [2.0, 3.5]
    assert len(model.requests) == 2


def test_the_second_turn_reads_each_result_under_its_calls_id() -> None:
    _, model, _ = ask([["look", call("c1", ticker="A"), call("c2", ticker="B")], "B"])
    first, second = model.requests
    assert second.messages[: len(first.messages)] == first.messages
    assert second.messages[-3:] == (
        Message("assistant", "look", calls=(call("c1", ticker="A"), call("c2", ticker="B"))),
        Message("tool", "2.0", call_id="c1"),
        Message("tool", "3.5", call_id="c2"),
    )


def test_the_tools_are_offered_in_the_providers_own_form() -> None:
    _, model, _ = ask(["none needed"])
    assert "price" in [spec.name for spec in model.requests[0].tools]


def test_a_call_starts_while_the_model_still_writes_the_next_one() -> None:
    _, _, log = ask([[call("c1", ticker="A"), (5.0, call("c2", ticker="B"))], "B"])
    started = [event.at for event in log.events if isinstance(event, StepStarted)]
    assert started == pytest.approx([0, 5])


def test_a_faulty_call_is_a_result_that_says_what_is_wrong() -> None:
    _, model, _ = ask([[call("c1", tiker="A"), call("c2", ticker="B")], "B"])
    message = model.requests[1].messages[-2]
    assert message.call_id == "c1"
    assert "ticker" in message.content
    assert model.requests[1].messages[-1].content == "3.5"


def test_one_who_calls_on_and_on_is_told_that_it_is_the_last_turn_and_then_stopped() -> None:
    turns = [[call(f"c{n}", ticker="A")] for n in range(9)]
    result, model, _ = ask(turns, Limits(max_turns=3))
    assert result.error.code == "max-turns"
    assert result.error.exit_status == 5
    assert len(model.requests) == 3
    assert "last turn" in model.requests[2].messages[-1].content


@pytest.mark.parametrize("turns", [1, 2])
def test_the_world_is_not_changed_on_a_turn_whose_results_nobody_would_read(turns: int) -> None:
    sent: list[str] = []

    @heddle.tool(effect="write")
    async def send(text: str) -> str:
        """Send a text."""
        sent.append(text)
        return "ok"

    calls = [[ToolCall(f"c{n}", "send", f'{{"text": "{n}"}}')] for n in range(turns)]
    agent = heddle.Agent(
        ScriptedModel(calls), [send], strategy="parallel", limits=Limits(max_turns=turns)
    )
    result = run_virtual(agent.run("tell them"))
    assert result.error.code == "max-turns"
    assert sent == [str(n) for n in range(turns - 1)]
    assert result.steps[-1].status == "skipped"
