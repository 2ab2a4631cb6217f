"""What a Python program means to Python is what its plan computes; what differs is refused."""

import asyncio

import pytest

from heddle.engine.execution import execute
from heddle.plan.dialects import parse
from heddle.plan.ir import Choose, nodes_of


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
        ("d = 9\nif d < 7:\n    if d > 1:\n        d = 1\nelse:\n    d = 30\nd", 30),
        ("d = 9\nif d > 7:\n    if d > 10:\n        d = 1\nelse:\n    d = 30\nd", 9),
        ("a = 3\nb = 1\nif a > 1:\n    if a > 5:\n        b += 10\n    b += 2\nb", 3),
    ],
)
def test_a_change_in_a_branch_that_is_not_taken_does_not_happen(text, meant):
    assert value(text) == meant


def test_many_branches_in_a_row_make_short_choices():
    text = "x = 0\n" + "if x < 9:\n    x = x + 1\n" * 40 + "x"
    assert value(text) == 9
    widths = [
        len(node.options)
        for step in parse(text, "python").steps
        for node in nodes_of(dict(step.args))
        if isinstance(node, Choose)
    ]
    assert max(widths) < 12


def test_a_call_in_a_change_is_made_only_where_its_branch_is_taken():
    plan = parse("ok = f()\nn = g()\nif ok is True:\n    n += send(1)\nn", "python")
    send = next(step for step in plan.steps if step.tool == "send")
    assert send.when is not None


@pytest.mark.parametrize(
    "text", ["x = f()\ny = 1 < x < g(x)", "x = f()\nif x < 2 < g(x):\n    y = h()"]
)
def test_a_call_that_a_comparison_in_a_row_could_leave_out_is_refused(text):
    findings = parse(text, "python").findings
    assert {(each.code, each.line) for each in findings} == {("refused-python", 2)}
    assert parse("x = f()\ny = 1 < g(x) < 3", "python").findings == []


# -- lines that say more than they seem to, and lines that say nothing


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('x = 3\nprint("x", x, sep="=")', "x=3"), ("x = 3\nprint(x, x, sep=None)", "3 3"),
        ("x = 3\nprint(x, end='')", 3), ("x = f'{3}'\n42", 42),
        ("x = 1\ny = 2\nx\nNote: done", 1), ("xs = [100,200,300]\nxs[1]", 200),
        ("a, b = 1,500\nb", 500), ("max(1,200)", 200),
    ],
)  # fmt: skip
def test_the_last_line_says_the_answer(text, meant):
    assert value(text) == meant


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("x = 1\ntotal = 12,500 + x", "split-number", 2, 9), ("f(1,000)", "split-number", 1, 3),
        ("x = [1,500, 2,300]", "split-number", 1, 6), ("x = 1\nx += 1,200", "split-number", 2, 6),
        ("f(a=1, a=2)", "duplicate-key", 1, 10), ("f({'a': 1, 'a': 2})", "duplicate-key", 1, 12),
        ("x = 1\nx++", "bad-python", 2, 4), ("x = 1\nprint(x, file=y)", "refused-python", 2, 15),
    ],
)  # fmt: skip
def test_what_python_reads_otherwise_than_it_was_meant_is_refused(text, code, line, column):
    (finding, *_) = parse(text, "python").findings
    assert (finding.code, finding.line, finding.column) == (code, line, column), finding
    assert finding.hint
