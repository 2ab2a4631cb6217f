"""The expression language: one canonical text whatever the source called its names."""

import ast
from typing import Any

import pytest

from heddle.plan.expression import ExpressionError, lower, parse, read
from heddle.plan.ir import Input, Item, Ref

KNOWN = {
    "x": Ref("x"), "y": Ref("y"), "y1": Ref("y1"), "price": Ref("2.price"), "each": Item(),
    "mail": Input("mail"), "part": Ref("pages", (0,)),
}  # fmt: skip


def lowered(text: str) -> dict[str, Any]:
    return lower(text, KNOWN.get)


def refused(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        lowered(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("y1*2", "a * 2"), ("x+y+x", "a + b + a"), ("y if x else 1", "a if b else 1"),
        ("1", "1"), ("'it'", "'it'"), ("(1, x)", "[1, a]"), ("{'k': x, y: 2}", "{'k': a, b: 2}"),
        ("x[0]['a'] + x[0]['a']", "a + a"), ("x[-1]", "a[-1]"), ("x[y]", "a[b]"),
        ("x[1:]", "a[1:]"), ("[x for x in x]", "[_1 for _1 in a]"),
        ("sum(v / 12 for v in x if v > y)", "sum([_1 / 12 for _1 in a if _1 > b])"),
        ("[[q, p] for p, q in x]", "[[_2, _1] for _1, _2 in a]"),
        ("{p: 1 for p in x}", "{_1: 1 for _1 in a}"),
        ("max(x, key=x.get)", "max(a, key=a.get)"), ("map(float, x)", "map(float, a)"),
        ("sorted(x, reverse=True, key=len)", "sorted(a, key=len, reverse=True)"),
        ("min(x, key=lambda p: p[1])", "min(a, key=lambda _1: _1[1])"),
        ("f'{x}'", "str(a)"), ("f'{x:.2f}'", "format(a, '.2f')"), ("f'n'", "'n'"),
        ("f'${x} of {y:,}'", "''.join(['$', str(a), ' of ', format(b, ',')])"),
        ("'%s/%s' % (x, y)", "''.join([str(a), '/', str(b)])"),
        ("'{}/{}'.format(x, y)", "''.join([str(a), '/', str(b)])"),
        ("math.sqrt(x)", "sqrt(a)"), ("x.upper()", "a.upper()"), ("x is None", "a is None"),
        ("  x  ", "a"),
    ],
)  # fmt: skip
def test_the_canonical_text(text: str, canonical: str):
    assert lowered(text)["expression"] == canonical


def test_what_names_stand_for_is_kept_beside_the_text():
    assert lowered("price * part['n'] + each['m'] - mail") == {
        "expression": "a * b + c - d",
        "values": {
            "a": Ref("2.price"),
            "b": Ref("pages", (0, "n")),
            "c": Item(("m",)),
            "d": Input("mail"),
        },
    }
    assert "values" not in lowered("1 + 1")


def test_the_canonical_text_is_its_own_canonical_text():
    text = "[f'{a:.1f}' for a in x if a not in [y, 'z']] + sorted(y, key=lambda q: q['n'])"
    first = lowered(text)
    again = lower(first["expression"], first["values"].get)
    assert again == first


def test_more_names_than_letters_never_spell_a_word_of_python():
    names = {f"v{place}": Ref(f"v{place}") for place in range(256)}
    args = lower("sum([" + ", ".join(names) + "])", names.get)
    assert len(args["values"]) == 256
    assert {"as", "if", "in", "is", "or"}.isdisjoint(args["values"])
    assert isinstance(read(args["expression"], args["values"].keys()), ast.Call)


@pytest.mark.parametrize(
    ("text", "words", "column"),
    [
        ("x.__class__", "an attribute", 1), ("x.y.z", "an attribute", 1),
        ("1 + z", "'z' is not known", 5), ("open('f')", "no function 'open'", 1),
        ("eval('1')", "no function 'eval'", 1), ("x.format(y)", "no method 'format'", 1),
        ("x.__len__()", "no method '__len__'", 1), ("sum", "has no value", 1),
        ("x(1)", "value cannot be called", 1), ("(lambda: 1)()", "cannot be called", 1),
        ("lambda: 1", "a lambda", 1), ("(q := 1)", "`:=`", 2), ("[*x]", "`*`", 2),
        ("sum(*x)", "`*`", 5), ("{**x}", "`**`", 4),
        ("{1, 2}", "a set", 1), ("x @ y", "operator", 1),
        ("x ^ 2", "operator", 1), ("~x", "`~`", 1),
        ("1j", "no number", 1), ("b'a'", "no number", 1),
        ("...", "no number", 1), ("1e999", "too large", 1), ("x is y", "`is`", 6),
        ("f'{x!r}'", "conversion", None), ("f'{x:{y}}'", "format", None),
        ("f'{x:99999}'", "format", None), ("'%r' % x", "% format", 1),
        ("'%s' % (x, y)", "% format", 1),
        ("'{0.real}'.format(x)", "no value for", 1), ("'{0[0]}'.format(x)", "no value for", 1),
        ("'{:{}}'.format(x, y)", "format", 1), ("'{'.format(x)", "braces", 1),
        ("round(1, 2, 3)", "takes 1 to 2", 1), ("round(1, base=2)", "no argument 'base'", 15),
        ("sorted(x, key=eval)", "no function that can be handed over", 15),
        ("sorted(x, key=x.pop)", "no function that can be handed over", 15),
        ("sorted(x, key=lambda p, q: 1)", "takes one value", 15),
        ("[p async for p in x]", "async", None),
        ("[1 for x[0] in y]", "plain names", 8),
        ("1 +", "invalid syntax", None),
        ("", "invalid syntax", None), ("x = 1", "invalid syntax", None),
        ("await x", "", None), ("(yield)", "", None), ("1; 2", "", None),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_its_place(text: str, words: str, column: int | None):
    error = refused(text)
    assert words in error.message
    assert error.hint
    assert error.line == 1
    assert column is None or error.column == column


@pytest.mark.parametrize(
    "text",
    ["(" * 5000, "-" * 15000 + "1", "not " * 3000 + "1", "[" * 300 + "]" * 300,
     "+".join("1" * 5000),
     "x" + "[0]" * 4000, "1 if x else " * 1000 + "1", "\0", "'\ud800'", "9" * 5000, "x" * 20000,
     "2**" * 3000 + "2", "f'{" * 100 + "1" + "}'" * 100, "lambda: " * 1500 + "1"],
    ids=range(14),
)  # fmt: skip
def test_what_is_too_deep_too_long_or_broken_is_refused(text: str):
    assert refused(text).message


def test_a_tree_may_be_given_in_place_of_text():
    assert lower(parse("x + 1"), KNOWN.get) == lowered("x + 1")


def test_the_checker_at_run_time_knows_the_names_that_are_given_only():
    assert isinstance(read("a[0] + 1", {"a"}), ast.BinOp)
    with pytest.raises(ExpressionError, match="'b' is not known"):
        read("b", {"a"})
