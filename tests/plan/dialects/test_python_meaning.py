"""What a Python program means to Python is what its plan computes; what differs is refused."""

import asyncio

import pytest

from heddle.engine.execution import execute
from heddle.plan.dialects import parse


def value(text, *tools):
    plan = parse(text, "python")
    assert plan.findings == [], plan.findings
    result = asyncio.run(execute(plan, tools))
    assert result.status == "succeeded", result
    return result.answer


# -- guards


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a = 3\nb = 0\nif a > 3:\n    b += 100\nb", 0),
        ("a = 3\nb = 0\nif a > 2:\n    b += 10\nif a > 3:\n    b += 100\nb", 10),
        ("a = 3\nb = 1\nif a > 3:\n    b *= 5\nelse:\n    b -= 7\nb", -6),
        ("a = 3\nb = 1\nif a > 1:\n    if a > 5:\n        b += 10\n    b += 2\nb", 3),
    ],
)
def test_a_change_in_a_branch_that_is_not_taken_does_not_happen(text, meant):
    assert value(text) == meant


def test_a_call_in_a_change_is_made_only_where_its_branch_is_taken():
    plan = parse("ok = f()\nn = g()\nif ok is True:\n    n += send(1)\nn", "python")
    send = next(step for step in plan.steps if step.tool == "send")
    assert send.when is not None
