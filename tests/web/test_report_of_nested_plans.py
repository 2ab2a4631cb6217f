"""The report page of a run with maps and nested plans."""

from __future__ import annotations

from typing import Any

from report_reading import assert_inert, read

import heddle
from heddle.plan.ir import Item, Plan, Step
from heddle.testing.clock import run_virtual
from heddle.web import report_html


@heddle.tool(effect="pure")
async def look(x: Any) -> Any:
    if x == "<b>":
        raise ValueError("no <i>such</i> thing")
    return x


def page_of(*steps: Step) -> str:
    plan = Plan(steps)
    plan.close()
    return report_html(run_virtual(heddle.execute(plan, [look])))


def section(page: str, title: str) -> Any:
    found = [part for part in read(page).all("section") if title in part.text]
    assert len(found) == 1
    return found[0]


def test_the_page_shows_nested_rounds_their_steps_and_where_they_come_from() -> None:
    nested = {"steps": [{"id": "a", "tool": "look", "args": {"x": 1}}]}
    page = page_of(Step("1", "look", {"x": 5}), Step("2", "expand", {"plan": nested}))
    assert_inert(page)
    assert "expanded by step 2" in section(page, "The rounds").text
    assert "2.a" in section(page, "The steps").text


def test_the_page_shows_a_map_as_one_step_and_the_fault_of_its_element_as_text() -> None:
    page = page_of(Step("1", "look", {"x": Item()}, over=["<b>", "ok"]))
    assert_inert(page)
    said = section(page, "The steps").text
    assert "items-failed" in said
    assert "no <i>such</i> thing" in said
    assert '[null, "ok"]' in said
