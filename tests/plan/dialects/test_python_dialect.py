"""The Python dialect: what each statement becomes, and where a plan's output comes from."""

import asyncio

import pytest
from pieces import shape, steps_of

from heddle.engine.execution import execute
from heddle.plan.canonical import plan_to_json
from heddle.plan.dialects import parse, recognise
from heddle.plan.dialects.python.dialect import PythonReader, fits, id_for, likely, write
from heddle.plan.ir import Choose, Hole, Input, Item, Plan, Ref, Step, Template, When


def read(text):
    plan = parse(text, "python")
    assert plan.findings == [], plan.findings
    return plan


def step(text, place=-1):
    return read(text).steps[place]


def only_finding(text):
    (finding,) = parse(text, "python").findings
    return finding


def run(text, *tools):
    return asyncio.run(execute(read(text), tools))


# -- calls


def test_a_call_is_a_step_with_its_variables_name():
    found = step('x = f(1, -2.5, None, [True, {"a": "b"}], key="v")')
    assert (found.id, found.tool) == ("x", "f")
    assert found.args == {"0": 1, "1": -2.5, "2": None, "3": [True, {"a": "b"}], "key": "v"}


def test_nested_and_unnamed_calls_are_numbered_in_order():
    plan = read("x = f(g(h(1)), g(2))\nf(x)")
    assert steps_of(plan) == [
        ("_1", "h", set()), ("_2", "g", {"_1"}), ("_3", "g", set()), ("x", "f", {"_2", "_3"}),
        ("_4", "f", {"x"}),
    ]  # fmt: skip
    assert plan.output == Ref("_4")


def test_a_dotted_name_that_is_no_variable_is_a_tool():
    assert step("x = wiki.page.search('a')").tool == "wiki.page.search"
    assert step("x = await f(1)").tool == "f"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("x", Ref("x")), ("x[0]", Ref("x", (0,))), ("x['a'][1]", Ref("x", ("a", 1))),
        ("[x, 1]", [Ref("x"), 1]), ("{'k': x}", {"k": Ref("x")}), ("(x,)", [Ref("x")]),
        ("f'{x}'", Template((Ref("x"),))), ("f'a {x} b{1}'", Template(("a ", Ref("x"), " b1"))),
        ("f'plain'", "plain"), ("'%s!' % x", Template((Ref("x"), "!"))),
        ("'{}!'.format(x)", Template((Ref("x"), "!"))), ("true", True), ("null", None),
        ("inputs['mail']", Input("mail")), ("inputs['mail']['to'][0]", Input("mail", ("to", 0))),
        ("x[-1]", Ref("_1")), ("x[1:]", Ref("_1")), ("x + 1", Ref("_1")), ("f'{x:.2f}'",
         Template((Ref("_1"),))), ("x.strip()", Ref("_1")),
    ],
)  # fmt: skip
def test_what_an_argument_becomes(argument, value):
    assert step(f"x = g()\ny = f({argument})").args == {"0": value}


# -- variables


def test_another_name_for_the_same_is_no_step():
    plan = read("x = f()\ny = x\nz = y['a']\ng(z)")
    assert [each.id for each in plan.steps] == ["x", "_1"]
    assert plan.steps[-1].args == {"0": Ref("x", ("a",))}


def test_a_second_assignment_is_a_second_version():
    plan = read("x = f()\nx = g(x)\nx += 1\nx")
    assert steps_of(plan) == [
        ("x", "f", set()), ("x:2", "g", {"x"}), ("x:3", "compute", {"x:2"}),
    ]  # fmt: skip
    assert plan.output == Ref("x:3")


def test_a_conversion_of_one_call_is_a_second_version_of_its_variable():
    plan = read("x = float(f(1))\ny = g(x)\nz = h(2)[0]['n']\nw = k(z)")
    assert [each.id for each in plan.steps] == ["x", "x:2", "y", "z", "w"]
    assert [each.tool for each in plan.steps][:2] == ["f", "compute"]
    assert plan.steps[2].args == {"0": Ref("x:2")}
    assert plan.steps[4].args == {"0": Ref("z", (0, "n"))}


def test_a_pure_expression_is_one_step_however_long():
    found = step("a = f()\nb = g()\nc = max(float(a), b['n']) / 2 if a > 1 else sum(b)")
    assert found.id == "c"
    assert found.args == {
        "expression": "max(float(a), b) / 2 if a > 1 else sum(c)",
        "values": {"a": Ref("a"), "b": Ref("b", ("n",)), "c": Ref("b")},
    }


def test_a_constant_is_a_step_and_an_element_of_written_out_calls_is_that_call():
    assert step("x = 16").args == {"expression": "16"}
    plan = read("xs = [f(1), f(2)]\ny = g(xs[1])\nz = g(xs)")
    assert plan.steps[-2].args == {"0": Ref("_2")}
    assert plan.steps[-1].args == {"0": Ref("xs")}


def test_names_in_a_row_are_given_values_one_by_one():
    plan = read("a, b = f(1), f(2)\na, b = b, a\nc, d = g(a)\nh(a, b, c, d)")
    assert plan.steps[-1].args == {
        "0": Ref("b"), "1": Ref("a"), "2": Ref("_1", (0,)), "3": Ref("_1", (1,)),
    }  # fmt: skip


# -- maps


def test_a_comprehension_over_calls_is_a_map():
    found = step("ys = [f(x, n=1) for x in ['a', 'b']]")
    assert (found.id, found.over, found.args) == ("ys", ["a", "b"], {"0": Item(), "n": 1})
    assert step("xs = g()\nys = [f(x['n']) for x in xs]").over == Ref("xs")


def test_calls_in_a_call_are_consecutive_maps():
    plan = read("xs = g()\nys = [f(h(x)) for x in xs]")
    assert [(each.id, each.over) for each in plan.steps[1:]] == [
        ("_1", Ref("xs")),
        ("ys", Ref("_1")),
    ]


def test_what_needs_two_lists_goes_over_their_pairs():
    def look(n: str) -> str:
        return f"<{n}>"

    def put(a: str, b: str) -> str:
        return f"{a}{b}"

    result = run("xs = ['p', 'q']\n[put(x, look(x)) for x in xs]", look, put)
    assert result.answer == ["p<p>", "q<q>"]


def test_elements_are_filtered_converted_and_paired():
    def price(n: str) -> str:
        return str(len(n))

    text = """
names = ["a", "bbb", "cc"]
some = [float(price(n)) for n in names if n != "cc"]
long = [n for n in names if int(price(n)) > 1]
table = {n: float(price(n)) for n in long}
both = [(n, price(n)) for n in names]
[some, long, table, both, sum(float(price(n)) for n in names)]
"""
    assert run(text, price).answer == [
        [1.0, 3.0], ["bbb", "cc"], {"bbb": 3.0, "cc": 2.0},
        [["a", "1"], ["bbb", "3"], ["cc", "2"]], 6.0,
    ]  # fmt: skip


def test_a_comprehension_without_calls_is_computed():
    assert step("xs = g()\nys = [x * 2 for x in xs if x > 1]").args["expression"] == (
        "[_1 * 2 for _1 in a if _1 > 1]"
    )


# -- guards

BRANCHES = """
n = f(1)
if n > 10:
    x = big(n)
elif n > 5:
    x = middle(n)
else:
    x = small(n)
    y = also(x)
f"{x}"
"""


def test_an_if_is_a_guard_and_what_follows_is_a_choice():
    plan = read("n = f()\nif n > 1:\n    x = g(1)\nelse:\n    x = g(2)\nh(x)")
    assert plan.steps[1].args == {"expression": "a > 1", "values": {"a": Ref("n")}}
    assert [each.when for each in plan.steps] == [
        None, None, When(Ref("_1")), When(Ref("_1"), negated=True), None,
    ]  # fmt: skip
    assert plan.steps[-1].args == {"0": Choose((Ref("x"), Ref("x:2")))}


@pytest.mark.parametrize(("n", "answer"), [(20, "big"), (7, "middle"), (1, "small")])
def test_exactly_one_branch_runs(n, answer):
    def f(_: int) -> int:
        return n

    def big(n: int) -> str:
        return "big"

    def middle(n: int) -> str:
        return "middle"

    def small(n: int) -> str:
        return "small"

    def also(n: str) -> str:
        return n

    result = run(BRANCHES, f, big, middle, small, also)
    assert result.answer == answer
    assert sum(each.status == "skipped" for each in result.steps) >= 2


def test_a_choice_with_calls_is_a_guard_and_one_without_is_computed():
    plan = read("n = f()\nx = g(1) if n else 3\nx")
    assert [each.tool for each in plan.steps] == ["f", "compute", "g", "compute", "compute"]
    assert plan.steps[1].args["expression"] == "bool(a)"
    assert plan.steps[3].when == When(Ref("_1"), negated=True)
    assert step("n = f()\nif n > 1:\n    x = 'a'\nelse:\n    x = 'b'").args["expression"] == (
        "'a' if a > 1 else 'b'"
    )


def test_a_name_that_one_branch_changes_keeps_its_value_otherwise():
    plan = read("x = f()\nif x == 1:\n    x = g(x)\nh(x)")
    assert plan.steps[-1].args == {"0": Choose((Ref("x:2"), Ref("x")))}


def test_true_itself_may_be_asked_for():
    plan = read("ok = f()\nif ok is True:\n    x = g()")
    assert [each.when for each in plan.steps] == [None, When(Ref("ok"))]


# -- output


@pytest.mark.parametrize(
    ("last", "output"),
    [
        ("x", Ref("x")), ("print(x)", Ref("x")), ("return x", Ref("x")), ("x['a']", Ref("x",
        ("a",))),
        ("f'is {x}'", Template(("is ", Ref("x")))), ("print('is', x)", Template(("is ", Ref("x")))),
        ("x + 1", Ref("_1")), ("answer = g(x)", Ref("answer")),
        ("final_sum = g(x)", Ref("final_sum")),
        ("y = g(x)", None), ("answer = g(x)\npass", None), ("'done'", "done"),
        ("answer = g(x)\nx", Ref("x")),
    ],
)  # fmt: skip
def test_the_last_line_is_the_answer(last, output):
    assert read(f"x = f()\n{last}\n").output == output


# -- text around the program


@pytest.mark.parametrize(
    "text",
    [
        "x = f(1); y = g(x)", "Sure! I'll do (this:\n\nx = f(1)\ny = g(x)\n\nHope it helps.",
        "Here:\n```python\nx = f(1)\ny = g(x)\n```\nThe variable `y` = the answer.",
        "```\n# note\nx: str = f(1)  # one\ny = g(\n    x,\n)\n```", "  x = f(1)\n  y = g(x)",
        "import math\nfrom math import sqrt\nx = f(1)\ny = g(x)",
        "```json\n{}\n```\n```py\nx=f(1)\ny=g(x)\n```",
        'x = f(1)\r\ny = g(x)\r\n', "x = \\\n  f(1)\n\ny = g(x)",
    ],
)  # fmt: skip
def test_prose_fences_and_layout_do_not_matter(text):
    plan = parse(text, "python")
    assert steps_of(plan) == [("x", "f", set()), ("y", "g", {"x"})]
    assert [finding for finding in plan.findings if finding.severity == "error"] == []


def test_a_statement_is_final_at_the_end_of_its_line():
    reader = PythonReader()
    assert reader.feed("x = f(\n  1") == []
    assert [each.id for each in reader.feed(")\n")] == ["x"]
    assert reader.feed("if x > 1:\n    y = g(x)\n") == []
    assert [each.id for each in reader.feed("z")] == ["_1", "y"]


def test_a_comment_is_the_note_of_the_next_step():
    assert step("# first look\nx = f(1)").note == "first look"
    assert step("x = f(1)").origin.column == 5


# -- faults


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("x = f(1)\ny = x.secret", "refused-python", 2, 5), ("x = f(y)", "unknown-reference", 1, 7),
        ("for x in y:\n    f(x)", "refused-python", 1, 1), ("while 1: f(1)",
        "refused-python", 1, 1),
        ("import os", "refused-python", 1, 1), ("x = f(1) and g(2)", "refused-python", 1, 5),
        ("x = f(1\n", "unclosed-call", 1, 6), ("x = f(1))", "bad-python", 1, 9),
        ("é = f(1)\nx = f('é', eval('1'))", "refused-python", 2, 12),
        ("x = f(1)\n\n  \nz = f(*x)", "refused-python", 4, 7),
        ("```python\nx = {1, 2}\n```", "refused-python", 2, 5),
        ("x = f(1e999)", "bad-number", 1, 7), ("x = f(1)\nx.append(2)", "refused-python", 2, 1),
        ("if f(1):\n    x = 1\n    while 1: pass\n", "refused-python", 3, 5),
        ("x = [g(h(j)) for i in [1] for j in f(i)]", "refused-python", 1, 5),
    ],
)  # fmt: skip
def test_a_fault_has_its_place_and_a_remedy(text, code, line, column):
    finding = only_finding(text)
    assert (finding.code, finding.line, finding.column) == (code, line, column)
    assert finding.hint
    assert finding.snippet


def test_a_bad_assignment_leaves_a_hole_that_its_dependents_wait_for():
    plan = parse("xs = []\nfor i in [1]:\n    xs.append(f(i))\ny = g(xs)", "python")
    assert shape("x = f.y\nz = g(x)", "python") == ["[x]", "z"]
    assert [entry.id for entry in plan.entries if isinstance(entry, Hole)] == ["i", "xs:2"]
    assert plan.steps[-1].args == {"0": Ref("xs:2")}


def test_a_bracket_that_never_closes_costs_its_own_statement_only():
    assert shape("x = f(1\ny = g(2)\nz = h(y)", "python") == ["[x]", "y", "z"]


def test_a_refused_statement_leaves_no_trace():
    plan = parse("x = f(g(1), h.k(2)[a])\ny = f(g(1))", "python")
    assert [entry.id for entry in plan.entries] == ["x", "_1", "y"]


def test_a_branch_that_is_refused_changes_no_name():
    text = "n = f()\nif n:\n    n = g(1)\n    while n: pass\nelse:\n    m = g(2)\nh(n, m)"
    plan = parse("n = f()\nif n > 1:\n    k = n.x\nh(n)", "python")
    assert plan.steps[-1].args == {"0": Ref("n")}
    assert shape(text, "python") == ["n", "[n:2]", "[m]", "_1"]
    assert parse(text, "python").steps[-1].args == {"0": Ref("n:2"), "1": Ref("m")}


def test_later_rounds_may_use_earlier_results_and_a_line_may_be_read_again():
    reader = PythonReader(round=2, earlier={"x": "x", "x:2": "x:2"})
    (found,) = reader.feed("y = f(x)\n")
    assert (found.id, found.args) == ("2.y", {"0": Ref("x:2")})
    again = PythonReader(earlier={"x": "x", "_1": "_1"})
    assert [each.id for each in again.feed("x = f(x)\nf(1)\n")] == ["x:2", "_2"]


# -- writing


@pytest.mark.parametrize(
    "text",
    [
        "x = f(1, a=[2, {'b': None}])\ny = g(x['k'][0], f'to {x} {{}} \\'q\\' \"d\"\\n')\ny",
        "x = float(f('1'))\ny = x * 2 + len('a')\nf'{y}'",
        "xs = [f(i['n'], f'{i}') for i in ['a', 'b']]\nys = [g(x) for x in xs]\n[y[1] for y in ys]",
        "x = f(inputs['mail']['to'])\nanswer = g(x)\npass", "x = wiki.search('a')\nx[0]",
        "ok = f()\nif ok is False:\n    x = g(ok)\nelse:\n    x = h(ok)\n    y = k(x)\nz = j(x)\nz",
        "x = f()\nx = sorted(x, key=lambda p: p[1])[:2]\n{k: v for k, v in x}",
    ],
)  # fmt: skip
def test_what_was_read_can_be_written_and_reads_the_same(text):
    plan = read(text)
    written = write(plan)
    assert plan_to_json(parse(written, "python")) == plan_to_json(plan), written
    assert recognise(written) == "python"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Step("1", "f"), "no variable"), (Step("x", "f", timeout_s=3), "timeout_s"),
        (Step("x", "f", default=1), "default"), (Step("x", "a-b"), "no name in Python"),
        (Step("x", "f", {"a-b": 1}), "no name in Python"), (Step("x:2", "f"), "cannot be written"),
        (Step("x", "f", {"a": Item()}), "outside of a map"), (Step("x", "eval"),
        "cannot be written"),
        (Step("x", "f", {"a": Ref("y")}), "stands for y"), (Step("x", "f", after=("y",)), "after"),
    ],
)  # fmt: skip
def test_what_cannot_be_expressed_is_refused_by_name(step, words):
    with pytest.raises(ValueError, match=words):
        write(Plan([step]))


def test_a_condition_inside_another_one_is_not_written_yet():
    with pytest.raises(ValueError, match="no variable stands for x any more"):
        write(read(BRANCHES))


def test_ids_that_fit_are_plain_variables():
    assert id_for(3) == "s3"
    assert all(map(fits, ["x", "s3", "_1", "E1", "y_2"]))
    assert not any(map(fits, ["", "1", "x:2", "a-b", "for", "sum", "open", "inputs", "é", "2.x"]))


def test_other_texts_are_less_likely():
    assert likely("x = f(1)\ny = g(x)") > 0.8
    assert likely("1. f(1)\n2. g($1)") == likely("Plan: a\n#E1 = f[1]") == likely("") == 0.0
    assert likely("I think that x = 3 is right.") == likely('{"a": 1}') == 0.0


def test_equations_in_prose_are_no_program():
    prose = [
        "Let x be the toys that James has.\nx+2=80\n2x=80+2\nx=82\nA: 82",
        "Let x be Adelwolfe's.\nTotal:x+3x=339\n13x+x=339\n13x=370\nx=<<37=37>>37\nA: 37",
        "Quinn = 30 years old\nJane = 30 years - 3 years = <<30-3=27>>27 years old\nA: 32",
    ]
    assert [recognise(text) for text in prose] == [None] * 3
    programs = [
        "x = 4  # cards\ny = x - 2\nx - y <= 5",
        "a = f(1)\na - g(b=2)",
        "x = 5 if 1 else 2\nx += 1\nx **= 2\nx //= 3",
        "x = 3\nx - 2 == 1",
    ]
    assert [recognise(text) for text in programs] == ["python"] * 4


@pytest.mark.parametrize(
    ("text", "tools"),
    [
        ('"B" if price("B") > price("A") else "A"\n', ["price", "price", "compute"]),
        ('[price(t) for t in ["a", "b"]]\n', ["price"]),
    ],
)
def test_a_program_that_is_one_expression_with_calls_is_no_prose(
    text: str, tools: list[str]
) -> None:
    plan = parse(text, "python")
    assert [entry.tool for entry in plan.steps] == tools
    assert plan.output == Ref(plan.steps[-1].id)
    assert plan.findings == []
