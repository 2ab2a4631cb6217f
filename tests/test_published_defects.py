"""Defects of the published LLMCompiler in reading plans, passing values and joining: one test each.

The rows about its scheduler are in `engine/test_llmcompiler_defects.py`; the numbers are the same
list's. Source: SqueezeAILab/LLMCompiler, src/llm_compiler/{output_parser,planner,llm_compiler}.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

import heddle
from heddle import Ref, Template
from heddle.strategies.joiner import verdict_of

seen: list[Any] = []


@heddle.tool(effect="pure")
async def give(value: Any = None) -> Any:
    """Give back what came."""
    return value


@heddle.tool(effect="pure")
async def note(value: Any) -> Any:
    """Remember what came."""
    seen.append(value)
    return value


def args(text: str) -> dict[str, Any]:
    """The arguments of a text's last step."""
    return dict(heddle.parse(text, "llmcompiler").steps[-1].args)


def passed(text: str) -> Any:
    """What reaches the tool `note` when the plan is run."""
    seen.clear()
    result = heddle.execute_sync(heddle.parse(text, "llmcompiler"), [give, note])
    assert result.status == "succeeded", result.error
    return seen[-1]


@pytest.mark.parametrize("value", ["[1, 2]", '{"a": [true, null]}', "3", "1.5", "None", "True"])
def test_defect_08_a_result_keeps_its_type(value: str) -> None:
    literal = args(f"1. give({value})")["0"]
    assert passed(f"1. give({value})\n2. note($1)") == literal
    assert type(seen[-1]) is type(literal)


def test_defect_10_money_is_no_dependency_and_a_forward_reference_is_a_finding() -> None:
    assert args('1. give()\n2. note("costs $1,200 or $10")') == {"0": "costs $1,200 or $10"}
    plan = heddle.parse('1. note("see $2")\n2. give()', "llmcompiler")
    assert [(item.code, item.line) for item in plan.findings] == [("forward-reference", 1)]


def test_defect_11_null_is_a_result() -> None:
    assert passed("1. give()\n2. note($1)") is None
    assert passed('1. give()\n2. note("it is $1")') == "it is null"


def test_defect_13_a_bare_reference_stands_beside_other_arguments() -> None:
    assert args('1. give()\n2. f($1, "x", [${1}, 2])') == {
        "0": Ref("1"),
        "1": "x",
        "2": [Ref("1"), 2],
    }


def test_defect_14_keywords_are_keywords_and_one_list_is_one_argument() -> None:
    assert args('1. f(q="x", n=3)') == {"q": "x", "n": 3}
    assert args("1. f([1, 2])") == {"0": [1, 2]}


def test_defect_15_a_line_break_inside_an_argument_is_part_of_it() -> None:
    assert args('1. f("a\nb",\n  "c")') == {"0": "a\nb", "1": "c"}


def test_defect_16_what_follows_a_call_is_not_swallowed_into_it() -> None:
    plan = heddle.parse('1. f("a (b)")  # as asked (twice)\n2. g(1)', "llmcompiler")
    assert [dict(step.args) for step in plan.steps] == [{"0": "a (b)"}, {"0": 1}]


@pytest.mark.parametrize(
    "answer", ["Paris (France)", "first line\nsecond line", "Replan the trip, they said", ""]
)
def test_defect_23_an_answer_is_whole_whatever_it_says(answer: str) -> None:
    reply = json.dumps({"action": "finish", "answer": answer, "reason": None})
    assert verdict_of(reply) == ("finish", answer, "")
    assert verdict_of(f"Thought: done.\nFinish({answer})").decision == "finish"


def test_defect_13_a_reference_inside_a_text_changes_no_other_argument() -> None:
    assert args('1. give()\n2. f("of $1", n=$1)') == {
        "0": Template(("of ", Ref("1"))),
        "n": Ref("1"),
    }
