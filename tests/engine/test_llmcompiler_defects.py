"""One test for each defect of the published LLMCompiler that a runtime can have.

Source: SqueezeAILab/LLMCompiler, `src/llm_compiler/task_fetching_unit.py`, `llm_compiler.py`,
`planner.py` and `src/callbacks/callbacks.py`. The numbers are those of our own list of them; what
is missing here belongs to parsers.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest

import heddle
from heddle.engine.events import StepStarted
from heddle.errors import ModelError
from heddle.plan.ir import Plan, Ref, Step
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import ScriptedModel

FINISH = json.dumps({"action": "finish", "answer": "done"})


@heddle.tool(effect="read", fuse=False)
async def nap(seconds: float, after: Any = None) -> float:
    """Sleep."""
    await asyncio.sleep(seconds)
    return seconds


@heddle.tool(effect="pure")
async def echo(value: Any) -> Any:
    """Give back what came."""
    return value


@heddle.tool(effect="pure")
async def fails() -> str:
    """Raise."""
    raise RuntimeError("boom")


def closed(*steps: Step) -> Plan:
    plan = Plan(list(steps))
    plan.close()
    return plan


def execute(*steps: Step, tools: Any = (nap, echo, fails), **options: Any) -> Any:
    return run_virtual(heddle.execute(closed(*steps), tools, **options))


def ask(planner: Any, *, tools: Any = (nap, echo, fails), joiner: Any = FINISH, **more: Any) -> Any:
    model = ScriptedModel({"planner": planner, "joiner": joiner, "repair": "no"})
    return run_virtual(heddle.Agent(model, tools, **more).run("what?"))


def started(result: Any) -> dict[str, float]:
    return {event.step: event.at for event in result.events if isinstance(event, StepStarted)}


def values(result: Any) -> list[Any]:
    return [step.value for step in result.steps]


def test_defect_01_a_completion_wakes_the_scheduler_while_the_plan_streams() -> None:
    result = ask(["1. nap(0.05)\n2. nap(0.05, $1)\n", (1.0, "3. join()")])
    assert started(result)["2"] == pytest.approx(0.05)


def test_defect_02_nothing_is_polled_so_a_chain_of_instant_steps_takes_no_time() -> None:
    steps = [Step("0", "echo", {"value": 0})]
    steps += [Step(str(n), "echo", {"value": Ref(str(n - 1))}) for n in range(1, 500)]
    result = execute(*steps)
    assert result.status == "succeeded"
    assert result.timing.makespan_s == 0


def test_defect_03_cost_is_linear_in_the_number_of_steps() -> None:
    def cost(count: int) -> float:
        steps = [Step("0", "echo", {"value": 0})]
        steps += [Step(str(n), "echo", {"value": Ref("0")}) for n in range(1, count)]
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            assert execute(*steps).status == "succeeded"
            best = min(best, time.process_time() - began)
        return best / count

    assert cost(4_000) < 4 * cost(400)  # quadratic would be ten times


def test_defect_04_a_tool_that_raises_ends_its_step_and_nothing_hangs() -> None:
    result = execute(Step("1", "fails"), Step("2", "echo", {"value": Ref("1")}))
    assert [step.status for step in result.steps] == ["failed", "skipped"]


def test_defect_05_a_planner_that_fails_is_an_error_and_nothing_hangs() -> None:
    result = ask([ModelError("503", code="unavailable", provider="p")])
    assert (result.error.code, result.exit_status) == ("unavailable", 4)


def test_defect_06_a_synchronous_tool_is_a_tool() -> None:
    @heddle.tool(effect="pure")
    def add(x: int, y: int) -> int:
        """Add."""
        return x + y

    assert execute(Step("1", "add", {"x": 1, "y": 2}), tools=[add]).answer == 3


def test_defect_07_concurrency_has_a_bound_and_a_step_has_a_deadline() -> None:
    limits = heddle.Limits(concurrency=3, step_timeout_s=5)
    steps = [Step(str(n), "nap", {"seconds": 1.0}) for n in range(9)]
    result = execute(*steps, Step("9", "nap", {"seconds": 100.0}), limits=limits)
    assert result.timing.makespan_s == 3 + 5
    assert result.steps[-1].error.code == "timed-out"


@pytest.mark.parametrize("value", [[1, 2], {"a": [1]}, 1.5, True, None, "1"], ids=repr)
def test_defects_08_and_11_a_result_keeps_its_type_null_included(value: Any) -> None:
    first = Step("1", "echo", {"value": value})
    assert values(execute(first, Step("2", "echo", {"value": Ref("1")})))[1] == value


def test_defect_09_what_a_tool_gave_is_never_read_as_a_reference() -> None:
    text = "it costs $1,200, see $1, $2 and $10"
    result = ask(f'1. echo("secret")\n2. echo({json.dumps(text)})\n3. echo("> $2")\n4. join()')
    assert values(result)[2].startswith("> it costs $1,200, see ")
    assert values(result)[2] == "> " + values(result)[1]


def test_defect_12_a_reference_inside_an_object_is_replaced() -> None:
    result = ask('1. echo("x")\n2. echo({"a": [$1, {"b": $1}]})\n3. join()')
    assert values(result)[1] == {"a": ["x", {"b": "x"}]}


def test_defect_18_an_unknown_tool_costs_its_own_line_and_no_other() -> None:
    result = ask('1. nope("x")\n2. echo("y")\n3. join()')
    assert [(step.id, step.status) for step in result.steps] == [("1", "failed"), ("2", "done")]
    assert "unknown-tool" in {finding.code for finding in result.findings}


def test_defect_19_numbers_may_have_gaps() -> None:
    result = ask('3. echo("x")\n17. echo($3)\n40. join()')
    assert [(step.id, step.value) for step in result.steps] == [("3", "x"), ("17", "x")]
    assert result.status == "succeeded"


def test_defect_20_a_second_step_of_one_id_is_a_finding_and_the_first_stands() -> None:
    result = ask('1. echo("first")\n1. echo("second")\n2. echo($1)\n3. join()')
    assert "duplicate-id" in {finding.code for finding in result.findings}
    assert "second" not in values(result)


def test_defect_20_an_empty_plan_does_not_go_to_the_joiner() -> None:
    model = ScriptedModel({"planner": "nothing to do"})
    result = run_virtual(heddle.Agent(model, [echo]).run("what?"))
    assert result.status == "rejected"
    assert {request.role for request in model.requests} == {"planner"}


def test_defect_21_a_later_round_refers_to_results_of_an_earlier_one() -> None:
    again = json.dumps({"action": "replan", "reason": "more"})
    planner = ('1. echo("x")\n2. join()', "2. echo($1)\n3. join()")
    model = ScriptedModel({"planner": planner, "joiner": (again, FINISH)})
    result = run_virtual(heddle.Agent(model, [echo]).run("what?"))
    assert values(result) == ["x", "x"]


def test_defect_22_results_are_not_copied_into_the_steps_that_use_them() -> None:
    big = "x" * 10_000
    again = json.dumps({"action": "replan", "reason": "more"})
    planner = (f'1. echo("{big}")\n2. echo($1)\n3. join()', "4. echo(1)\n5. join()")
    model = ScriptedModel({"planner": planner, "joiner": (again, FINISH)})
    run_virtual(heddle.Agent(model, [echo]).run("what?"))
    joined = model.requests[1].messages[-1].content
    assert joined.count(big) == 3  # the argument it was written in, and two results; no more


def test_defect_24_one_round_is_a_run_and_inputs_are_left_alone() -> None:
    inputs = {"data": {"list": [1]}}
    result = ask("1. echo(1)\n2. join()", limits=heddle.Limits(max_rounds=1))
    assert (result.status, result.answer) == ("succeeded", "done")
    model = ScriptedModel({"planner": "1. echo(1)\n2. join()", "joiner": FINISH})
    agent = heddle.Agent(model, [echo])
    run_virtual(agent.run("what?", inputs=inputs))
    assert inputs == {"data": {"list": [1]}}


def test_defect_25_tokens_of_every_model_call_are_counted_those_inside_tools_too() -> None:
    model = ScriptedModel(
        {"planner": '1. llm("say x")\n2. join()', "joiner": FINISH, "worker": "x"}
    )
    result = run_virtual(heddle.Agent(model, [], strategy="llmcompiler").run("what?"))
    assert result.steps[0].status == "done"
    assert result.usage.model_calls == 3
    prompts = sum(len(m.content) for request in model.requests for m in request.messages)
    assert result.usage.input_tokens >= prompts // 4


def test_defect_26_a_tool_that_blocks_does_not_hold_up_the_plan() -> None:
    together = threading.Barrier(8, timeout=30)

    @heddle.tool(effect="pure")
    def block(x: int) -> int:
        """Block a thread until as many others are blocked as there are calls."""
        together.wait()
        return x

    plan = closed(*(Step(str(n), "block", {"x": n}) for n in range(8)))
    result = heddle.execute_sync(plan, [block])
    assert result.status == "succeeded"  # one after the other: none would ever return


def test_defect_27_a_faulty_plan_is_refused_before_anything_runs() -> None:
    result = execute(Step("1", "echo", {"value": 1}), Step("2", "nope"))
    assert (result.status, result.exit_status) == ("rejected", 3)
    assert started(result) == {}


def test_defect_27_there_is_a_synchronous_form_and_a_human_gate() -> None:
    @heddle.tool(effect="write")
    def send(x: int) -> int:
        """Send."""
        raise AssertionError("sent")

    plan = closed(Step("1", "send", {"x": 1}))
    result = heddle.execute_sync(plan, [send], approve=lambda plan, steps: False)
    assert (result.status, result.exit_status) == ("denied", 6)
