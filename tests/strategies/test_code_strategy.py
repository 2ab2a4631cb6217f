"""The code strategy: a program that is read and never executed, and that may say its answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import heddle
from heddle.engine.events import StepStarted
from heddle.testing.clock import run_virtual
from heddle.testing.scripted import ScriptedModel

FINISH = json.dumps({"action": "finish", "answer": "joined"})
PRICES = {"A": 2.0, "B": 3.5, "C": 10.0}


@heddle.tool(effect="read", fuse=False)
async def price(ticker: str) -> float:
    """Latest price in USD; it takes a second."""
    await asyncio.sleep(1)
    return PRICES[ticker]


def ask(program: Any, *, joiner: Any = FINISH, **more: Any) -> tuple[Any, ScriptedModel]:
    model = ScriptedModel({"planner": program, "joiner": joiner})

    async def main() -> Any:
        return await heddle.Agent(model, [price], strategy="code").run("Which is dearer?", **more)

    return run_virtual(main()), model


def roles(model: ScriptedModel) -> list[str]:
    return [request.role for request in model.requests]


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        ('a = price("A")\na', 2.0),
        ('a = price("A")\nf"it is {a}"', "it is 2.0"),
        ('a = price("A")\nb = price("B")\na + b * 2', 9.0),
        ('x = "B" if price("B") > price("A") else "A"\nx', "B"),
        ('prices = [price(t) for t in ["A", "B"]]\nmax(prices)', 3.5),
        ('```python\na = price("A")\na\n```', 2.0),
    ],
)
def test_a_program_that_ends_in_an_expression_has_said_its_answer(
    program: str, answer: Any
) -> None:
    result, model = ask(program)
    assert (result.status, result.answer) == ("succeeded", answer)
    assert roles(model) == ["planner"]


def test_where_it_ends_in_an_assignment_the_joiner_reads_the_results_and_answers() -> None:
    result, model = ask('a = price("A")\nb = price("B")\n')
    assert result.answer == "joined"
    assert roles(model) == ["planner", "joiner"]
    assert '"value": 3.5' in model.requests[1].messages[-1].content


def test_a_joiner_that_wants_more_gets_a_round_that_knows_the_names_of_the_first() -> None:
    again = json.dumps({"action": "replan", "reason": "and B?"})
    model = ScriptedModel(
        {"planner": ('a = price("A")\n', 'b = price("B")\na + b'), "joiner": (again,)}
    )
    result = run_virtual(heddle.Agent(model, [price], strategy="code").run("sum?"))
    assert (result.status, result.answer) == ("succeeded", 5.5)
    assert "2.0" not in model.requests[2].messages[-1].content  # a digest: no value is in it


def test_calls_that_do_not_need_each_other_start_as_their_statements_end() -> None:
    script = ['a = price("A")\n', (5.0, 'b = price("B")\nc = price("C")\n'), (5.0, "a + b + c\n")]
    result, _ = ask(script)
    starts = [event.at for event in result.events if isinstance(event, StepStarted)]
    assert starts[:3] == [0, 5, 5]
    assert result.answer == 15.5


BRANCHES = """a = price("A")
if a > {bound}:
    x = price("B")
else:
    x = price("C")
x
"""


@pytest.mark.parametrize(("bound", "answer", "called"), [(1, 3.5, "B"), (5, 10.0, "C")])
def test_of_two_branches_one_is_taken_and_the_other_is_nobodys_failure(
    bound: int, answer: float, called: str
) -> None:
    result, model = ask(BRANCHES.format(bound=bound))
    assert (result.status, result.answer, result.error) == ("succeeded", answer, None)
    calls = [step for step in result.steps if step.tool == "price"]
    assert sorted(step.status for step in calls) == ["done", "done", "skipped"]
    assert roles(model) == ["planner"]
    assert {step.value for step in calls if step.status == "done"} == {2.0, PRICES[called]}


def test_a_program_does_nothing_but_call_tools() -> None:
    program = 'import os\na = price("A")\nos.system("touch /tmp/x")\n__import__("os")\na\n'
    result, _ = ask(program)
    assert {step.tool for step in result.steps if step.status == "done"} <= {"price"}
    assert {"error"} & {finding.severity for finding in result.findings}


def test_inputs_are_named_in_the_prompt_as_the_program_is_to_name_them_and_are_not_shown() -> None:
    result, model = ask('price(inputs["which"])', inputs={"which": "B"})
    assert result.answer == 3.5
    assert result.steps[0].value == 3.5
    system = model.requests[0].messages[0].content
    assert 'inputs["which"]: text' in system
