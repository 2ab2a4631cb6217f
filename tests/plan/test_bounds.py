"""What a plan can ask for at most, said before any of it runs."""

from __future__ import annotations

from typing import Any

import pytest

import heddle
from heddle.plan.bounds import bounds_of
from heddle.plan.ir import Choose, Hole, Input, Item, Plan, Ref, Step
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.plan.verify import check

SPECS = {
    "look": ToolSpec("look", effect="read"),
    "send": ToolSpec("send", effect="write"),
}
ANY = {"type": "object"}


def mapped(id: str, over: Any, tool: str = "look", **fields: Any) -> Step:
    return Step(id, tool, {"x": Item()}, over=over, **fields)


def test_steps_calls_width_and_depth_of_a_plan_without_maps() -> None:
    plan = Plan([Step("1", "look"), Step("2", "look"), Step("3", "send", {"x": Ref("1")})])
    bounds = bounds_of(plan, SPECS)
    assert (bounds.steps, bounds.calls, bounds.effects) == (3, 3, 1)
    assert (bounds.width, bounds.depth) == (2, 2)


def test_a_map_counts_by_its_list_its_bound_or_the_map_that_it_follows() -> None:
    plan = Plan(
        [
            mapped("1", [1, 2, 3]), mapped("2", Ref("1")), mapped("3", Ref("2"), bound=2),
            mapped("4", Input("list"), bound=10, tool="send"), mapped("5", Ref("4")),
        ]
    )  # fmt: skip
    bounds = bounds_of(plan, SPECS)
    assert bounds.calls == 3 + 3 + 2 + 10 + 10
    assert bounds.effects == 10
    assert bounds.width == 13
    assert bounds.unbounded == ()


def test_the_limits_bound_what_nothing_else_does() -> None:
    plan = Plan([mapped("1", Input("list")), mapped("2", Ref("1", ("part",)))])
    assert bounds_of(plan, SPECS).calls is None
    assert bounds_of(plan, SPECS).unbounded == ("1", "2")
    assert bounds_of(plan, SPECS, Limits(max_width=7)).calls == 14


def test_a_part_of_a_maps_result_is_not_as_long_as_the_map() -> None:
    plan = Plan([mapped("1", [1, 2]), mapped("2", Ref("1", (0,)))])
    assert bounds_of(plan, SPECS).unbounded == ("2",)


def test_a_map_over_a_choice_of_maps_is_as_long_as_the_longest() -> None:
    maps = [mapped("1", [1, 2, 3]), mapped("2", [1]), mapped("3", Choose((Ref("1"), Ref("2"))))]
    assert bounds_of(Plan(maps), SPECS).calls == 7
    other = [mapped("1", [1, 2]), Step("2", "look"), mapped("3", Choose((Ref("1"), Ref("2"))))]
    assert bounds_of(Plan(other), SPECS).unbounded == ("3",)
    parts = [mapped("1", [1, 2]), mapped("3", Choose((Ref("1", (0,)),)))]
    assert bounds_of(Plan(parts), SPECS).unbounded == ("3",)


def test_seconds_are_estimated_where_each_tool_has_an_estimate() -> None:
    plan = Plan([mapped("1", [1, 2]), Step("2", "send", {"x": Ref("1")})])
    bounds = bounds_of(plan, SPECS, seconds={"look": 2.0, "send": 1.0})
    assert (bounds.work_s, bounds.path_s) == (5.0, 3.0)
    bounds = bounds_of(plan, SPECS, seconds={"look": 2.0})
    assert (bounds.work_s, bounds.path_s) == (None, None)


def test_plans_that_are_not_known_yet_are_named() -> None:
    bounds = bounds_of(Plan([Step("1", "expand", {"plan": Input("p")})]), SPECS)
    assert bounds.expansions == ("1",)
    assert bounds.said.endswith("; and what the plans expanded by 1 ask for")
    assert "at most 1 call," in bounds.said


def test_an_empty_plan_and_one_of_holes_ask_for_nothing() -> None:
    assert bounds_of(
        Plan(), SPECS
    ).said == "0 steps, at most 0 calls, 0 on the widest level, 0 one " + ("after the other")
    assert bounds_of(Plan([Hole("1", "", ())]), SPECS).steps == 0


def test_more_calls_than_the_limit_are_a_finding_told_once() -> None:
    plan = Plan([mapped("1", Input("a")), mapped("2", Input("a")), mapped("3", Input("a"))])
    limits = Limits(max_width=10, max_calls=15)
    found = check(plan, {"look": ToolSpec("look", parameters=ANY)}, limits=limits)
    assert [(finding.code, finding.step) for finding in found] == [("too-many-calls", "2")]
    assert check(plan, {"look": ToolSpec("look", parameters=ANY)}) == []


PRICED = {
    "ask": ToolSpec("ask", effect="read", asks_model=True, cost_usd=0.01),
    "look": ToolSpec("look", effect="read"),
}


def test_the_cost_of_a_plan_is_bounded_by_what_its_tools_say() -> None:
    plan = Plan([
        Step("1", "look", {}),
        Step("2", "ask", {}, over=Ref("1"), bound=12),
        Step("3", "ask", {}),
    ])  # fmt: skip
    bounds = bounds_of(plan, PRICED)
    assert (bounds.model_calls, bounds.unpriced) == (13, 1)
    assert bounds.cost_usd == pytest.approx(0.13)
    assert "at most 0.13 USD without 1 calls of no known price" in bounds.said


def test_a_map_without_a_bound_leaves_the_cost_unbounded() -> None:
    plan = Plan([Step("1", "look", {}), Step("2", "ask", {}, over=Ref("1"))])
    bounds = bounds_of(plan, PRICED)
    assert (bounds.cost_usd, bounds.model_calls) == (None, None)
    assert "cost not bounded" in bounds.said


@pytest.mark.parametrize(("most", "codes"), [(0.2, []), (0.1, ["too-dear"]), (None, [])])
def test_a_plan_that_may_cost_too_much_is_refused_before_it_runs(
    most: float | None, codes: list[str]
) -> None:
    plan = Plan([Step("1", "look", {}), Step("2", "ask", {}, over=Ref("1"), bound=12)])
    found = check(plan, PRICED, limits=Limits(max_cost_usd=most))
    assert [finding.code for finding in found] == codes


def test_a_plan_that_a_person_passes_is_refused_too_where_a_cost_is_given() -> None:
    calls: list[str] = []

    @heddle.tool(effect="read", cost_usd=0.01)
    def ask(x: str) -> str:
        calls.append(x)
        return x

    plan = heddle.parse('1. ask("a")\n2. ask("b")\n3. join()')
    result = heddle.execute_sync(plan, [ask], limits=Limits(max_cost_usd=0.015))
    assert (result.status, result.error.code, calls) == ("rejected", "too-dear", [])
