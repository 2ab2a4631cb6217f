"""Expanding: a step whose value is the output of a plan that came out as a result."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import heddle
from heddle.engine.events import PlanProposed, StepStarted
from heddle.engine.execution import execute
from heddle.plan.ir import Item, Plan, Ref, Step
from heddle.plan.limits import Limits
from heddle.testing.clock import run_virtual

sent: list[str] = []


@heddle.tool(effect="read")
async def look(x: Any) -> Any:
    await asyncio.sleep(1)
    if x == "bad":
        raise ValueError("bad")
    return x


@heddle.tool(effect="pure")
async def add(x: float, y: float) -> float:
    return x + y


@heddle.tool(effect="write")
async def send(text: str) -> str:
    sent.append(text)
    return "sent"


@heddle.tool(effect="pure")
async def think(text: str) -> str:
    await asyncio.sleep(1)
    return text


TOOLS = [look, add, send, think]


def plan_text(*steps: dict[str, Any], **rest: Any) -> str:
    return json.dumps({"heddle": 1, "steps": list(steps), **rest})


SUM = plan_text(
    {"id": "1", "tool": "look", "args": {"x": 1}},
    {"id": "2", "tool": "look", "args": {"x": 2}},
    {"id": "3", "tool": "add", "args": {"x": {"$ref": "1"}, "y": {"$ref": "2"}}},
)


def run(*steps: Step, output: Any = None, **options: Any) -> Any:
    sent.clear()
    plan = Plan(steps, output=output)
    plan.close()
    options.setdefault("limits", Limits())
    return run_virtual(execute(plan, TOOLS, **options))


def expanding(plan: Any, id: str = "2", **args: Any) -> list[Step]:
    return [Step("1", "think", {"text": plan}), Step(id, "expand", {"plan": Ref("1"), **args})]


def by_id(result: Any) -> dict[str, Any]:
    return {step.id: step for step in result.steps}


def test_the_value_of_an_expansion_is_the_output_of_its_plan() -> None:
    result = run(*expanding(SUM))
    assert (result.status, result.answer) == ("succeeded", 3)
    assert [step.id for step in result.steps] == ["1", "2", "2.1", "2.2", "2.3"]
    assert {step.status for step in result.steps} == {"done"}
    assert [plan.round for plan in result.plans] == [1, 2]
    assert result.plan.round == 1
    [_, nested] = [event for event in result.events if isinstance(event, PlanProposed)]
    assert (nested.round, nested.parent) == (2, "2")


def test_an_expansion_holds_no_slot_while_its_plan_runs() -> None:
    result = run(*expanding(SUM), limits=Limits(concurrency=1))
    assert (result.answer, result.timing.makespan_s) == (3, 3)
    assert result.timing.sequential_s == 3
    assert result.timing.critical_path_s == 2
    assert result.timing.lower_bound_s == 3


def test_a_plan_may_be_an_object_or_text_of_any_dialect() -> None:
    assert run(Step("1", "expand", {"plan": json.loads(SUM)})).answer == 3
    text = '1. look("a")\n2. look("$1b")\njoin()'
    for dialect in ("llmcompiler", "auto"):
        assert run(Step("1", "expand", {"plan": text, "dialect": dialect})).answer == "ab"


def test_dependents_see_the_value_and_nested_plans_may_expand_again() -> None:
    inner = {"id": "1", "tool": "expand", "args": {"plan": SUM}}
    result = run(
        Step("1", "expand", {"plan": {"steps": [inner]}}),
        Step("2", "add", {"x": Ref("1"), "y": 10}),
    )
    assert result.answer == 13
    assert [step.id for step in result.steps][-1] == "3.3"
    assert result.timing.critical_path_s == 1


def failure(*steps: Step, **options: Any) -> tuple[str, str]:
    result = run(*steps, Step("9", "look", {"x": 5}), **options)
    steps_by_id = by_id(result)
    assert steps_by_id["9"].status == "done"  # nobody else is touched
    step = steps_by_id["2"]
    assert step.error is not None
    return step.status, step.error.code


def test_a_plan_with_a_fault_fails_the_step_and_nothing_of_it_runs() -> None:
    unknown = plan_text(
        {"id": "1", "tool": "look", "args": {"x": 1}}, {"id": "2", "tool": "rm", "args": {}}
    )
    result = run(*expanding(unknown))
    assert by_id(result)["2"].error.code == "expansion-rejected"
    assert [finding.code for finding in result.findings] == ["unknown-tool"]
    assert [step.id for step in result.steps] == ["1", "2"]
    assert failure(*expanding("no plan at all")) == ("failed", "expansion-rejected")
    assert failure(*expanding(SUM, dialect="klingon")) == ("failed", "unknown-dialect")


def test_a_nested_plan_sees_no_results_but_its_own() -> None:
    peeking = plan_text({"id": "7", "tool": "look", "args": {"x": {"$ref": "1"}}})
    assert failure(*expanding(peeking)) == ("failed", "expansion-rejected")


def test_a_failing_step_of_the_nested_plan_fails_the_expansion_and_takes_its_default() -> None:
    bad = plan_text({"id": "1", "tool": "look", "args": {"x": "bad"}})
    assert failure(*expanding(bad)) == ("failed", "expansion-failed")
    step = Step("2", "expand", {"plan": bad}, default=0)
    result = run(step, Step("3", "add", {"x": Ref("2"), "y": 1}))
    assert (result.status, result.answer) == ("succeeded", 1)


def test_an_effect_is_allowed_only_if_the_first_plan_calls_its_tool() -> None:
    writing = plan_text({"id": "1", "tool": "send", "args": {"text": "from inside"}})
    assert failure(*expanding(writing)) == ("failed", "ceiling")
    assert sent == []
    result = run(*expanding(writing), Step("3", "send", {"text": "own"}))
    assert result.status == "succeeded"
    assert sorted(sent) == ["from inside", "own"]


def test_the_effects_of_a_nested_plan_are_approved_like_others() -> None:
    asked: list[list[str]] = []

    def approve(plan: Plan, effects: Any) -> bool:
        asked.append([step.id for step in effects])
        return plan.round == 1

    writing = plan_text({"id": "1", "tool": "send", "args": {"text": "from inside"}})
    result = run(*expanding(writing), Step("3", "send", {"text": "own"}), approve=approve)
    assert asked == [["3"], ["2.1"]]
    assert sent == ["own"]
    assert by_id(result)["2.1"].status == "denied"
    assert (result.status, result.exit_status) == ("denied", 6)


def test_a_plan_that_was_not_approved_has_no_ceiling_to_share() -> None:
    writing = plan_text({"id": "1", "tool": "send", "args": {"text": "x"}})
    result = run(*expanding(writing), Step("3", "send", {"text": "own"}), approve=lambda *_: False)
    assert by_id(result)["2"].error.code == "ceiling"
    assert sent == []


def test_expansion_always_ends() -> None:
    deep: Any = {"steps": [{"id": "1", "tool": "look", "args": {"x": 1}}]}
    for _ in range(5):
        deep = {"steps": [{"id": "1", "tool": "expand", "args": {"plan": deep}}]}
    assert run(Step("2", "expand", {"plan": deep}), limits=Limits(max_expansions=6)).answer == 1
    result = run(Step("2", "expand", {"plan": deep}), limits=Limits(max_expansions=5))
    codes = [step.error.code for step in result.steps if step.error]
    assert codes == ["expansion-failed"] * 5 + ["too-many-expansions"]


def test_an_expansion_that_is_given_up_stops_what_it_started() -> None:
    step = Step("2", "expand", {"plan": SUM}, timeout_s=0.5)
    assert failure(step) == ("failed", "timed-out")
    result = run(Step("2", "expand", {"plan": SUM}), limits=Limits(run_timeout_s=0.5))
    assert {step.status for step in result.steps} == {"cancelled", "skipped"}
    assert len([event for event in result.events if isinstance(event, StepStarted)]) == 3


def test_what_the_output_of_a_nested_plan_does_not_need_is_stopped() -> None:
    lazy = plan_text(
        {"id": "1", "tool": "add", "args": {"x": 1, "y": 1}},
        {"id": "2", "tool": "look", "args": {"x": 2}},
        output={"$ref": "1"},
    )
    result = run(*expanding(lazy))
    assert (result.answer, result.status) == (2, "succeeded")
    assert by_id(result)["2.2"].status == "cancelled"


def test_a_map_may_expand_each_of_its_elements() -> None:
    plans = [{"steps": [{"id": "1", "tool": "look", "args": {"x": n}}]} for n in range(3)]
    result = run(Step("1", "expand", {"plan": Item()}, over=plans), limits=Limits(concurrency=1))
    assert result.answer == [0, 1, 2]
    assert [step.id for step in result.steps] == ["1", "2.1", "3.1", "4.1"]
