"""A complete plan, run: what comes back, and that the process can leave."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

import heddle
from heddle.errors import ConfigError, ModelError
from heddle.models.protocol import Usage
from heddle.plan.ir import Input, Plan, Ref, Step
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import ScriptedModel

DEAF = """
import asyncio, threading
import heddle
from heddle.plan.ir import Plan, Step

@heddle.tool(effect="pure")
async def deaf() -> int:
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass

@heddle.tool(effect="pure")
def hang() -> int:
    threading.Event().wait()
    return 1

plan = Plan([Step("1", "deaf", timeout_s=0.05), Step("2", "hang", timeout_s=0.05)])
plan.close()
result = heddle.execute_sync(plan, [deaf, hang], limits=heddle.Limits(grace_s=0.05))
print([step.status for step in result.steps])
"""


def test_the_process_exits_although_tools_neither_return_nor_stop() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DEAF], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("['failed', 'failed']\n", "", 0)


@dataclass
class Point:
    x: int
    y: int


@heddle.tool(effect="pure")
async def echo(value: Any) -> Any:
    """Give back what came."""
    return value


def closed(*steps: Step, output: Any = None) -> Plan:
    plan = Plan(list(steps), output=output)
    plan.close()
    return plan


def test_a_value_is_the_tools_no_more_once_it_was_given() -> None:
    kept: list[int] = []

    @heddle.tool(effect="pure")
    async def grow(x: int) -> list[int]:
        """Give the same list each time, and go on changing it."""
        kept.append(x)
        return kept

    plan = closed(Step("1", "grow", {"x": 1}), Step("2", "grow", {"x": 2}, after=("1",)))
    result = run_virtual(heddle.execute(plan, [grow]))
    assert [step.value for step in result.steps] == [[1], [1, 2]]


def test_the_answer_is_the_output_or_the_only_sink_or_nothing() -> None:
    one, two = Step("1", "echo", {"value": "a"}), Step("2", "echo", {"value": "b"})
    three = Step("3", "echo", {"value": [Ref("1"), Ref("2")]})

    def answer(plan: Plan) -> Any:
        return run_virtual(heddle.execute(plan, [echo])).answer

    assert answer(closed(one, two, three)) == ["a", "b"]
    assert answer(closed(one, two)) is None
    assert answer(closed(one, two, output=Ref("2"))) == "b"


def test_the_synchronous_form_says_what_to_do_inside_a_loop() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="await"):
            heddle.execute_sync(closed(Step("1", "echo", {"value": 1})), [echo])

    asyncio.run(main())


def test_a_run_ends_at_its_deadline() -> None:
    @heddle.tool(effect="pure")
    async def never() -> int:
        """Never return."""
        await asyncio.Event().wait()
        return 1

    limits = heddle.Limits(run_timeout_s=30, step_timeout_s=None)
    plan = closed(Step("1", "never"), Step("2", "echo", {"value": Ref("1")}))
    result = run_virtual(heddle.execute(plan, [never, echo], limits=limits))
    assert [step.error.code for step in result.steps if step.error] == ["deadline", "deadline"]
    assert (result.exit_status, result.timing.total_s) == (5, 30)


@pytest.mark.parametrize(
    "value", [float("nan"), object(), "na\udcefve", {"a": [float("inf")]}, {"a": b"\xff"}], ids=repr
)
def test_an_input_that_has_no_json_form_is_the_callers_mistake(value: Any) -> None:
    with pytest.raises(ConfigError, match="input 'mail'") as caught:
        heddle.execute_sync(closed(Step("1", "echo", {"value": 1})), [echo], inputs={"mail": value})
    assert caught.value.code == "bad-input"


def test_inputs_are_ours_once_they_were_passed() -> None:
    mine = {"list": [1], "point": Point(1, 2)}
    step = Step("1", "echo", {"value": [Input("list"), Input("point", ("x",))]})

    async def main() -> Any:
        run = asyncio.create_task(heddle.execute(closed(step), [echo], inputs=mine))
        await asyncio.sleep(0)
        mine["list"].append(2)  # type: ignore[attr-defined]
        return await run

    assert run_virtual(main()).answer == [[1], 1]


def test_remarks_on_the_text_of_a_plan_are_in_the_result_once() -> None:
    plan = heddle.parse("1. echo(some text)\n2. join()", dialect="llmcompiler")
    assert [finding.code for finding in plan.findings] == ["unquoted-text"]
    result = run_virtual(heddle.execute(plan, [echo]))
    assert (result.status, result.findings) == ("succeeded", plan.findings)
    plan.findings = heddle.check(plan, [echo])  # as `Agent.plan` does
    assert run_virtual(heddle.execute(plan, [echo])).findings == plan.findings


def test_tokens_of_a_model_that_a_step_asked_in_vain_are_counted() -> None:
    model = ScriptedModel(
        [["half of an ", Usage(120, 0, 3), ModelError("cut", code="cut", provider="p")]]
    )
    plan = heddle.parse('1. llm("say it")\n2. join()')
    result = run_virtual(heddle.execute(plan, [], model=model))
    assert result.steps[0].status == "failed"
    assert result.usage.model_calls == 1
    assert result.usage.input_tokens > 0
