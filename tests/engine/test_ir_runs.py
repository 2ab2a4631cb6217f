"""Whole plans, read from text and run: maps, guards, choices, outputs, and what the result says."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import heddle
from heddle.engine.events import RunFinished, StepStarted
from heddle.plan.ir import Item, Plan, Ref, Step
from heddle.plan.limits import Limits
from heddle.testing.clock import run_virtual

sent: list[Any] = []


@heddle.tool(effect="read")
async def look(x: Any) -> Any:
    await asyncio.sleep(1)
    if x == "bad":
        raise ValueError("no such thing")
    return x


@heddle.tool(effect="pure")
async def flag(x: Any) -> bool:
    return bool(x)


@heddle.tool(effect="write")
async def send(to: Any) -> str:
    sent.append(to)
    await asyncio.sleep(1)
    if to == "bad":
        raise ValueError("no such address")
    return f"sent {to}"


TOOLS = [look, flag, send]


def run(text: str | dict[str, Any], dialect: str = "json", **options: Any) -> Any:
    """The result of a plan's text, in virtual time."""
    sent.clear()
    plan = heddle.parse(text if isinstance(text, str) else json.dumps(text), dialect)
    options.setdefault("tools", TOOLS)
    options.setdefault("limits", Limits())
    return run_virtual(heddle.execute(plan, **options))


def steps(*given: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"heddle": 1, "steps": list(given), **rest}


def step(id: str, tool: str, args: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    return {"id": id, "tool": tool, "args": args or {}, **rest}


def ref(id: str, *path: str | int) -> dict[str, Any]:
    return {"$ref": id, "path": list(path)} if path else {"$ref": id}


def said(result: Any) -> tuple[Any, ...]:
    """Status, code of the error, exit status and answer."""
    code = None if result.error is None else result.error.code
    return result.status, code, result.exit_status, result.answer


# -- the plan's output -----------------------------------------------------------------------------


def test_an_output_whose_path_leads_nowhere_is_an_error_of_the_run() -> None:
    result = run('t = look("abc")\nt[0]\n', "python")
    assert said(result) == ("partial", "bad-path", 1, None)
    assert "output" in result.error.message
    assert "step t has no 0: it is a text" in result.error.message
    assert result.error.hint
    finished = [event for event in result.events if isinstance(event, RunFinished)]
    assert [(event.status, event.code) for event in finished] == [("partial", "bad-path")]


def test_a_bad_path_of_an_output_is_named_wherever_it_stands() -> None:
    one = step("1", "look", {"x": {"a": [1]}})
    for output in (ref("1", "b"), [ref("1", "a", 7)], {"$template": ["is ", ref("1", "b")]}):
        result = run(steps(one, output=output))
        assert said(result) == ("partial", "bad-path", 1, None)
        assert "result of step 1" in result.error.message


def test_an_output_whose_step_has_no_value_is_as_it_was() -> None:
    no = step("1", "flag", {"x": 0})
    skipped = step("2", "look", {"x": "a"}, when=ref("1"))
    assert said(run(steps(no, skipped, output=ref("2", 0)))) == ("succeeded", None, 0, None)
    failed = run(steps(step("1", "look", {"x": "bad"}), output=ref("1", 0)))
    assert said(failed) == ("failed", "tool-failed", 1, None)


def test_the_output_of_a_map_that_failed_blames_the_element_and_not_the_path() -> None:
    each = step("1", "look", {"x": {"$item": []}}, over=["bad", {"a": 1}])
    result = run(steps(each, output=ref("1", 0, "a")))
    assert said(result) == ("partial", "items-failed", 1, None)
    assert run(steps(each, output=ref("1", 1, "a"))).answer == 1
    whole = step("1", "look", {"x": {"$item": []}}, over=[{"a": 1}])
    assert said(run(steps(whole, output=ref("1", 1)))) == ("partial", "bad-path", 1, None)


def test_an_expansion_whose_output_leads_nowhere_fails_and_takes_its_default() -> None:
    nested = steps(step("1", "look", {"x": "abc"}), output=ref("1", 0))
    result = run(steps(step("1", "expand", {"plan": {"$literal": nested}})))
    assert said(result) == ("partial", "bad-path", 1, None)
    result = run(steps(step("1", "expand", {"plan": {"$literal": nested}}, default=7)))
    assert said(result) == ("succeeded", None, 0, 7)


# -- equal calls and maps --------------------------------------------------------------------------

ITEM = {"$item": []}


def test_a_call_may_be_equal_to_one_of_a_map_that_is_over() -> None:
    result = run(
        steps(
            step("1", "flag", {"x": {"$item": ["n"]}}, over=[{"n": 1}, {"n": 0}]),
            step("2", "flag", {"x": 0}, after=["1"]),
            step("3", "flag", {"x": ITEM}, over=[0, 1, 0], after=["2"]),
        )
    )
    assert [step.value for step in result.steps] == [[True, False], False, [False, True, False]]
    assert [step.attempts for step in result.steps] == [2, 0, 0]


def test_the_elements_of_a_map_say_why_they_have_no_value() -> None:
    result = run(
        steps(
            step("1", "look", {"x": ITEM}, over=["bad", 1]),
            step("2", "look", {"x": ITEM}, over=ref("1")),
        )
    )
    assert [step.to_json()["error"]["items"] for step in result.steps] == [
        [{"index": 0, "code": "tool-failed", "message": "ValueError: no such thing"}],
        [{"index": 0, "code": "upstream-failed", "message": "step 1 failed"}],
    ]


# -- nested plans ----------------------------------------------------------------------------------


PLAN_OF_1 = {"plan": {"$ref": "1"}}


def expand(id: str, plan: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return step(id, "expand", {"plan": {"$literal": plan}}, **rest)


def starts(result: Any) -> list[str]:
    return [event.step for event in result.events if isinstance(event, StepStarted)]


def test_a_nested_step_does_not_wait_for_one_that_waits_for_its_plan() -> None:
    nested = steps(step("1", "look", {"x": 1}, writes=["db"]))
    result = run(
        steps(
            step("1", "look", {"x": 0}),
            expand("2", nested, after=["1"]),
            step("3", "look", {"x": ref("2")}, writes=["db"]),
        )
    )
    assert said(result) == ("succeeded", None, 0, 1)


def test_a_nested_step_uses_a_resource_in_the_place_of_the_step_that_expands_it() -> None:
    inner = steps(step("1", "look", {"x": 2}, writes=["db"]))
    nested = steps(expand("1", inner), step("2", "look", {"x": 3}, reads=["db"]))
    result = run(
        steps(
            step("1", "look", {"x": 0}),
            step("2", "look", {"x": 1}, writes=["db"], after=["1"]),
            expand("3", nested),
            step("4", "look", {"x": 4}, writes=["db"]),
            step("5", "look", {"x": 5}),
        )
    )
    order = [id for id in starts(result) if id not in ("1", "3", "5", "2.1")]
    assert order == ["2", "3.1", "2.2", "4"]
    assert result.timing.total_s == 5


def test_effects_of_a_nested_plan_happen_though_the_output_does_not_need_them() -> None:
    late = steps(step("1", "look", {"x": 1}), step("2", "send", {"to": ref("1")}))
    deep = steps(step("1", "flag", {"x": 1}), expand("2", late), output=ref("1"))
    for nested in (late, deep):
        plan = steps(
            step("1", "flag", {"x": 1}),
            expand("2", nested),
            step("3", "send", {"to": 3}),
            output=ref("1"),
        )
        assert said(run(plan)) == ("succeeded", None, 0, True)
        assert sent == [3, 1]


def test_an_expansion_that_can_change_nothing_ends_with_the_output() -> None:
    nested = steps(step("1", "look", {"x": 1}))
    result = run(steps(step("1", "flag", {"x": 1}), expand("2", nested), output=ref("1")))
    assert said(result) == ("succeeded", None, 0, True)
    assert result.timing.total_s < 1


def test_a_nested_plan_is_read_no_further_than_its_limit() -> None:
    nested = steps(*(step(str(n), "rm") for n in range(1, 3_001)))
    result = run(
        steps(step("1", "look", {"x": json.dumps(nested)}), step("2", "expand", PLAN_OF_1))
    )
    assert said(result) == ("partial", "expansion-rejected", 1, None)
    assert len(result.plans[-1]) < 1_000
    assert len(result.findings) < 1_000
    assert "too-many-steps" in {finding.code for finding in result.findings}


def test_plans_that_expand_at_once_are_approved_one_after_the_other() -> None:
    asked: list[tuple[str, int]] = []

    async def approve(plan: heddle.Plan, _: Any) -> bool:
        asked.append(("begin", plan.round))
        await asyncio.sleep(5)
        asked.append(("end", plan.round))
        return plan.round != 3

    sends = [steps(step("1", "send", {"to": n})) for n in (1, 2)]
    harmless = expand("4", steps(step("1", "look", {"x": 1})))
    result = run(
        steps(step("1", "send", {"to": 0}), expand("2", sends[0]), expand("3", sends[1]), harmless),
        approve=approve,
    )
    assert said(result) == ("denied", "not-approved", 6, None)
    assert result.steps[3].finished_s == 1  # nobody is asked for it
    assert asked == [(what, round) for round in (1, 2, 3) for what in ("begin", "end")]
    assert sent == [0, 1]


# -- steps that a program built --------------------------------------------------------------------


@pytest.mark.parametrize(
    "built",
    [
        Step("2", "look", {"x": "bad", "default": 1}, default=Ref("1")),
        Step("2", "look", {"x": "bad"}, default={"a": [Item()]}, over=[1]),
        Step("2", "look", {"x": 1}, timeout_s=float("nan")),
        Step("2", "look", {"x": 1}, timeout_s=0),
        Step("2", "look", {"x": 1}, timeout_s=-1),
    ],
)
def test_a_field_that_no_text_could_hold_is_refused_before_anything_runs(built: Step) -> None:
    plan = Plan([Step("1", "look", {"x": 1}), built])
    plan.close()
    result = run_virtual(heddle.execute(plan, TOOLS))
    assert result.exit_status == 3
    assert "bad-field" in {finding.code for finding in result.findings}
    assert result.steps == []
