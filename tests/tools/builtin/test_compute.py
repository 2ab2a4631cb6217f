"""`compute`: what it computes, that it ends, and that each fault says what to do."""

import asyncio
import math
import time
from typing import Any

import pytest

from heddle.engine.execution import execute_sync
from heddle.errors import ToolFailed
from heddle.plan.ir import Plan, Ref, Step
from heddle.tools.builtin.calculator import evaluate as calculated
from heddle.tools.builtin.compute import COMPUTE_SPEC, compute, evaluate


def failure(expression: str, **values: Any) -> ToolFailed:
    with pytest.raises(ToolFailed) as caught:
        evaluate(expression, values)
    return caught.value


# -- the tool


def test_the_tool_is_pure_and_its_spec_is_what_it_takes():
    assert (compute.spec.name, compute.spec.effect) == ("compute", "pure")
    given = {"expression": "a * 2", "values": {"a": 21}}
    assert asyncio.run(compute.invoke(given)) == 42
    assert asyncio.run(compute.invoke({"expression": "1 + 1"})) == 2


def test_a_plan_may_compute_without_any_tool_being_passed():
    plan = Plan(
        [
            Step("y1", "compute", {"expression": "20 + 35"}),
            Step("y2", "compute", {"expression": "a * 2", "values": {"a": Ref("y1")}}),
        ]
    )
    plan.close()
    result = execute_sync(plan)
    assert (result.status, result.answer) == ("succeeded", 110)


def test_a_tool_of_that_name_that_is_passed_takes_its_place():
    def compute(expression: str) -> str:
        return "mine"

    plan = Plan([Step("1", "compute", {"expression": "1"})])
    plan.close()
    assert execute_sync(plan, [compute]).answer == "mine"


# -- what it computes


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7), ("12 / 4", 3), ("7 / 2", 3.5), ("7 // 2", 3), ("-7 % 5", 3),
        ("2 ** 10", 1024), ("-2 ** 2", -4), ("+3", 3), ("50_000", 50000), (".05 * 100", 5.0),
        ("1 < 2 <= 2 != 3", True), ("3 > 4", False), ("not 0", True), ("1 == 1.0", True),
        ("2 in [1, 2]", True), ("'a' not in 'abc'", False), ("'k' in {'k': 1}", True),
        ("None is None", True), ("1 is not None", True), ("0 or 5", 5), ("0 and 5", 0),
        ("1 if 2 > 1 else 1 / 0", 1), ("[1, 2][0]", 1), ("[1, 2][-1]", 2), ("'abc'[1]", "b"),
        ("[1, 2, 3][1:]", [2, 3]), ("'abc'[::-1]", "cba"), ("{'a': [1]}['a'][0]", 1),
        ("(1, 2)", [1, 2]), ("[1] + [2]", [1, 2]), ("'a' + 'b'", "ab"), ("2 * 'ab'", "abab"),
        ("[0] * 2", [0, 0]), ("True + True", 2),
        ("sum([1, 2.5])", 3.5), ("sum(x * 2 for x in [1, 2])", 6), ("sum([1], 2)", 3),
        ("min(3, 1)", 1), ("max([1, 5, 2])", 5), ("max([], default=0)", 0),
        ("max(['a', 'bcd'], key=len)", "bcd"), ("min({'p': 3, 'q': 1})", "p"),
        ("sorted([3, 1, 2], reverse=True)", [3, 2, 1]),
        ("sorted([[1, 'b'], [2, 'a']], key=lambda pair: pair[1])", [[2, "a"], [1, "b"]]),
        ("round(2.567, 2)", 2.57), ("round(2.5)", 2), ("round(1.25, ndigits=1)", 1.2),
        ("abs(-3)", 3), ("len('abc')", 3), ("len({'a': 1})", 1), ("bool([])", False),
        ("all([1, 0])", False), ("any(x > 1 for x in [1, 2])", True),
        ("range(3)", [0, 1, 2]), ("list(range(1, 6, 2))", [1, 3, 5]), ("reversed([1, 2])", [2, 1]),
        ("[a + b for a, b in zip([1, 2], [3, 4])]", [4, 6]),
        ("[[i, c] for i, c in enumerate('ab', 1)]", [[1, "a"], [2, "b"]]),
        ("[x for x in range(9) if x % 2 if x > 3]", [5, 7]),
        ("[x * y for x in [1, 2] for y in [x, 10]]", [1, 10, 4, 20]),
        ("{k: v + 1 for k, v in {'a': 1}.items()}", {"a": 2}), ("dict([['a', 1]])", {"a": 1}),
        ("dict(zip(['a'], [1]))", {"a": 1}), ("tuple(x for x in 'ab')", ["a", "b"]),
        ("list(map(float, ['1', '2.5']))", [1.0, 2.5]), ("pow(2, 3)", 8), ("sqrt(16)", 4.0),
        ("math.sqrt(16)", 4.0), ("math.ceil(1.2)", 2), ("floor(-1.5)", -2),
        ("float('1,234.5')", 1234.5), ("float(' 12 ')", 12.0), ("int('42')", 42), ("int(2.9)", 2),
        ("str(1.5)", "1.5"), ("str(None)", "null"), ("str([1, 'a'])", '[1, "a"]'),
        ("f'{1 + 1} of {3.14159:.2f}'", "2 of 3.14"), ("f'{12345:,}'", "12,345"),
        ("'%s and %.1f%%' % ('a', 2)", "a and 2.0%"), ("'%d' % 3", "3"),
        ("'{} {1}'.format('a', 'b')", None), ("'{} {x:>3}'.format('a', x=1)", "a   1"),
        ("'a,b'.split(',')", ["a", "b"]), ("'-'.join(['a', 'b'])", "a-b"),
        ("' Ab '.strip().lower()", "ab"), ("'ab'.replace('b', 'c')", "ac"),
        ("[5, 7].index(7)", 1), ("{'a': 1}.get('b', 2)", 2), ("{'a': 1}.keys()", ["a"]),
        ("[x for x in 'ab' if [x for x in 'b'] == [x]]", ["b"]),
    ],
)  # fmt: skip
def test_what_an_expression_gives(expression: str, value: Any):
    if value is None:
        assert evaluate("'{} {}'.format('a', 'b')") == "a b"
        return
    got = evaluate(expression)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("text", ["12 / 4", "7 / 2", "2 ** 0.5", "10 ** 30 // 7", "-17 % 5", "1e3"])
def test_it_reckons_as_the_calculator_does(text: str):
    got, expected = evaluate(text), calculated(text)
    assert got == expected
    assert type(got) is type(expected)


def test_a_key_function_may_look_values_up():
    areas = {"Sahara": "9.2", "Gobi": "1.3"}
    assert evaluate("min(a, key=a.get)", {"a": {"x": 3, "y": 1}}) == "y"
    assert evaluate("min(a, key=lambda k: float(a[k]))", {"a": areas}) == "Gobi"
    assert evaluate("a[b.index(max(b))]", {"a": ["p", "q"], "b": [1, 2]}) == "q"


def test_what_is_given_is_not_changed():
    given = {"a": [3, 1]}
    evaluate("sorted(a) + [a]", given)
    assert given == {"a": [3, 1]}


# -- faults


@pytest.mark.parametrize(
    ("expression", "code", "words"),
    [
        ("1 / 0", "bad-operand", "division by zero"),
        ("1 % 0", "bad-operand", "division by zero"),
        ("'a' - 1", "bad-operand", "- cannot take the text 'a' and the number 1"),
        ("1 < 'a'", "bad-operand", "< cannot take"),
        ("[1][2]", "bad-path", "a list of 1 has no 2"),
        ("{'a': 1}['b']", "bad-path", "an object has no 'b'"),
        ("(1)['real']", "bad-path", "the number 1 has no 'real'"),
        ("float('about 12')", "bad-operand", "'about 12' is no number"),
        ("float('nan')", "bad-operand", "is no number"),
        ("int('1.5')", "bad-operand", "no whole number"),
        ("max([])", "bad-operand", "max of an empty list"),
        ("sum(['a'])", "bad-operand", "sum cannot take the text 'a'"),
        ("len(3)", "bad-operand", "len cannot take the number 3"),
        ("[x for x in 3]", "bad-operand", "is no list"),
        ("[x for x, y in [[1]]]", "bad-operand", "2 names cannot take a list of 1"),
        ("{1: 2}", "bad-operand", "the key of an object"),
        ("'a'.items()", "bad-operand", "the text 'a' has no method items"),
        ("(-8) ** 0.5", "bad-operand", "no real, finite number"),
        ("round('x')", "bad-operand", "is no number"),
        ("sqrt(-1)", "bad-operand", "sqrt"),
        ("sorted([1, 'a'])", "bad-operand", "sorted"),
        ("[1].index(2)", "bad-operand", "index"),
        ("'a'.split('')", "bad-operand", "split"),
        ("'ab'.count(1)", "bad-operand", "count cannot take"),
        ("format([1], '.2f')", "bad-operand", "a format cannot take"),
        ("1e308 * 10", "bad-operand", "finite"),
        ("[1, 2][::0]", "bad-operand", "steps of 0"),
        ("b + 1", "bad-expression", "'b' is not known"),
        ("().__class__", "bad-expression", "column 1: an attribute"),
        ("open('x')", "bad-expression", "there is no function 'open'"),
        ("1 +", "bad-expression", "line 1, column"),
    ],
)
def test_each_fault_has_a_code_and_words(expression: str, code: str, words: str):
    error = failure(expression)
    assert error.code == code
    assert words in error.message


@pytest.mark.parametrize(
    "expression",
    [
        "9 ** 9 ** 9",
        "10 ** 600 * 10 ** 600",
        "'a' * 10 ** 9",
        "[0] * 10 ** 9",
        "range(10 ** 9)",
        "[x for x in range(1000) for y in range(1000)]",
        "[[y for y in range(1000)] for x in range(1000)]",
        "sum(sum(range(x)) for x in range(5000))",
        "''.join(['a' * 900000, 'b' * 900000])",
        "('a' * 900000).replace('a', 'bb')",
        "('ab' * 100000).replace('', 'x' * 100)",
        "max(range(400000), key=lambda x: sum(range(400000)))",
        "[[b, b] for b in [[[c, c] for c in [['a' * 300000] * 2]]]]",
        "[x == y for x in [range(9999)] * 99 for y in [range(9999)] * 99]",
        "pow(10, 10 ** 9)",
        "f'{1:99}' * 99999",
        "[str(a) for x in range(1000)]",
        "[a + [x] for x in range(10000)]",
    ],
)
def test_nothing_is_large_or_takes_long(expression: str):
    started = time.process_time()
    names = {"a": list(range(20_000))} if "str(a)" in expression or "a + [" in expression else {}
    assert failure(expression, **names).code == "too-large"
    assert time.process_time() - started < 5.0


def test_a_large_value_may_be_looked_through_once():
    values = [float(number) for number in range(100_000)]
    assert evaluate("max(a)", {"a": values}) == 99_999.0
    assert evaluate("len(a)", {"a": "x" * 900_000}) == 900_000


def test_exact_integers_stay_exact():
    assert evaluate("a * a", {"a": 10**400}) == 10**800
    assert math.isclose(evaluate("0.1 + 0.2"), 0.3)


def test_the_spec_says_what_the_arguments_are():
    assert list(COMPUTE_SPEC.parameters["properties"]) == ["expression", "values"]
    assert COMPUTE_SPEC.parameters["required"] == ["expression"]
