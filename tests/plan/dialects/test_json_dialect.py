"""JSON plans: the canonical form, the shapes of tool calls, and what is wrong with either."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pieces import faults, shape, steps_of

from heddle.plan.canonical import canonical_text
from heddle.plan.dialects import parse
from heddle.plan.dialects.json import likely, reader, write
from heddle.plan.ir import Hole, Input, Origin, Plan, Ref, Step, Template, When


def calls(*texts):
    return "[" + ", ".join(texts) + "]"


def plan_of(value):
    return parse(value if isinstance(value, str) else json.dumps(value), "json")


def codes(value):
    return [finding.code for finding in plan_of(value).findings]


# -- the canonical form ---------------------------------------------------------------------------


def test_texts_of_the_canonical_form_are_never_references():
    steps = [
        {"id": "a", "tool": "f"},
        {"id": "b", "tool": "g", "args": {"x": "$a$ $a.b$ $1", "y": {"$ref": "a", "path": ["k"]}}},
    ]
    for value in (
        {"heddle": 1, "steps": steps, "output": {"$ref": "b"}},
        {"output": {"$ref": "b"}, "steps": steps, "heddle": 1},
        {"steps": steps, "output": {"$ref": "b"}, "heddle": 1},
    ):
        plan = plan_of(value)
        assert plan.steps[1].args == {"x": "$a$ $a.b$ $1", "y": Ref("a", ("k",))}
        assert (plan.output, plan.findings) == (Ref("b"), [])


def test_an_object_around_the_plan_takes_nothing_from_it():
    steps = [{"id": "a", "tool": "f"}, {"id": "b", "tool": "f"}]
    canonical = {"heddle": 1, "steps": steps, "output": {"$ref": "a"}}
    for value in ({"plan": canonical}, {"plan": canonical, "findings": [], "text": "1. f()"}):
        plan = plan_of(value)
        assert (plan.output, plan.findings) == (Ref("a"), [])


def test_without_a_version_the_same_steps_may_refer_by_text():
    steps = [{"id": 1, "tool": "f"}, {"id": 2, "tool": "g", "args": {"x": "$1", "y": "of $1.k!"}}]
    for value in (steps, {"steps": steps}, {"plan": {"steps": steps}}):
        assert plan_of(value).steps[1].args == {
            "x": Ref("1"),
            "y": Template(("of ", Ref("1", ("k",)), "!")),
        }


def test_every_field_of_a_step_is_read():
    step = {"id": "b", "tool": "g", "args": [1, {"$input": "x"}], "after": ["a"], "note": "why"}
    step |= {"over": {"$ref": "a"}, "bound": 3, "when": {"not": {"$ref": "a"}}, "retry": 1}
    plan = plan_of({"heddle": 1, "steps": [{"id": "a", "tool": "f"}, step]})
    read = plan.steps[1]
    assert read.args == {"0": 1, "1": Input("x")}
    assert (read.after, read.bound, read.retry, read.note) == (("a",), 3, 1, "why")
    assert (read.over, read.when) == (Ref("a"), When(Ref("a"), negated=True))


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ({"id": "b", "tool": "f", "colour": 1}, "bad-field"),
        ({"id": "b"}, "bad-field"),
        ({"tool": "f"}, "bad-field"),
        ({"id": "b", "tool": "f", "args": {"x": {"$ref": 3}}}, "bad-node"),
        ({"id": "b", "tool": "f", "args": {"x": {"$ref": "a", "y": 1}}}, "bad-node"),
        ({"id": "b", "tool": "f", "retry": -1}, "bad-field"),
    ],
)
def test_a_canonical_step_that_the_format_does_not_allow_is_a_hole(step, code):
    text = json.dumps({"heddle": 1, "steps": [step, {"id": "c", "tool": "g"}]})
    plan = parse(text, "json")
    assert [type(entry) for entry in plan.entries] == [Hole, Step]
    assert [finding.code for finding in plan.findings] == [code]


@pytest.mark.parametrize("version", [2, "1", None, True, 1.5])
def test_another_version_is_refused(version):
    assert "bad-version" in codes({"heddle": version, "steps": [{"id": "1", "tool": "f"}]})


# -- shapes of calls ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        {"tool": "f", "args": {"x": 1}},
        {"name": "f", "arguments": {"x": 1}},
        {"name": "f", "arguments": '{"x": 1}'},
        {"name": "f", "parameters": {"x": 1}},
        {"api_name": "f", "parameters": {"x": 1}, "responses": []},
        {"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"function": {"name": "f", "arguments": {"x": 1}}},
        {"type": "tool_use", "name": "f", "input": {"x": 1}},
        {"functionCall": {"name": "f", "args": {"x": 1}}},
        {"action": "f", "action_input": {"x": 1}},
        {"tool": "f", "args": {"x": 1}, "thought": "why not"},
    ],
)
def test_a_call_may_have_many_shapes(call):
    for value in (
        [call],
        call,
        {"tool_calls": [call]},
        {"plan": [call]},
        {"message": {"calls": [call]}},
    ):
        plan = plan_of(value)
        assert [(s.id, s.tool, s.args) for s in plan.steps] == [("1", "f", {"x": 1})]
        assert plan.findings == []


@pytest.mark.parametrize(
    ("call", "id"),
    [
        (
            {"id": "call_7", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            "call_7",
        ),
        ({"name": "f", "arguments": {}, "label": "$var1"}, "var1"),
        ({"name": "f", "arguments": {}, "label": "var1"}, "var1"),
        ({"id": 3, "tool": "f", "args": {}}, "3"),
        ({"step": 4, "tool": "f", "args": {}}, "4"),
        ({"name": "f", "arguments": {}}, "1"),
    ],
)
def test_the_id_is_what_the_call_says_or_its_place(call, id):
    assert [step.id for step in plan_of([call]).steps] == [id]


def test_arguments_without_names_are_stored_by_place():
    assert plan_of([{"name": "f", "arguments": [1, "x"]}]).steps[0].args == {"0": 1, "1": "x"}
    plan = plan_of([{"name": "f", "arguments": "Mount Everest"}])
    assert plan.steps[0].args == {"0": "Mount Everest"}
    assert [f.code for f in plan.findings] == ["unquoted-text"]


@pytest.mark.parametrize("text", ['{"x": 1', '{"x": 1}}', '{"x": 1} and more', "{x y}", "[1, 2"])
def test_arguments_in_a_text_must_be_one_object(text):
    assert shape(json.dumps([{"name": "f", "arguments": text}]), "json") == ["[1]"]


def test_order_without_a_value_and_odd_fields():
    plan = plan_of(
        [{"id": "a", "tool": "f"}, {"id": "b", "tool": "g", "depends_on": ["a"], "x": 1}]
    )
    assert plan.steps[1].after == ("a",)
    assert [(f.code, f.severity, f.step) for f in plan.findings] == [("bad-field", "warning", "b")]


def test_the_result_of_nestful_is_the_output():
    plan = plan_of(
        [
            {"name": "f", "arguments": {}, "label": "var1"},
            {"name": "var_result", "arguments": {"all": "$var1$", "part": "of $var1.x$"}},
        ]
    )
    assert [step.id for step in plan.steps] == ["var1"]
    assert plan.output == {"all": Ref("var1"), "part": Template(("of ", Ref("var1", ("x",))))}


def test_responses_of_nestools_are_the_results_of_their_calls():
    plan = plan_of(
        [
            {"api_name": "a", "parameters": {}, "responses": ["API_call_0", "API_call_1"]},
            {"api_name": "b", "parameters": {"x": "API_call_1"}, "responses": ["API_call_2"]},
            {
                "api_name": "c",
                "parameters": {"x": ["API_call_2"], "y": "9d$1jF$2"},
                "responses": [],
            },
        ]
    )
    assert plan.steps[1].args == {"x": Ref("1", (1,))}
    assert plan.steps[2].args == {"x": [Ref("2")], "y": "9d$1jF$2"}
    assert plan.findings == []


# -- references -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$var1$", Ref("var1")),
        ("$var1", Ref("var1")),
        ("${var1}", Ref("var1")),
        ("$var1.a.b$", Ref("var1", ("a", "b"))),
        ("$var1.a.b", Ref("var1", ("a", "b"))),
        ("${var1.a}", Ref("var1", ("a",))),
        ("$var1.list[0].id$", Ref("var1", ("list", 0, "id"))),
        ("$var1.Exchange Rate$", Ref("var1", ("Exchange Rate",))),
        ("5 * $var1.Exchange Rate$", Template(("5 * ", Ref("var1", ("Exchange Rate",))))),
        ("$var1.a$, $var1.b$", Template((Ref("var1", ("a",)), ", ", Ref("var1", ("b",))))),
        ("$var1.a and $var1", Template((Ref("var1", ("a",)), " and ", Ref("var1")))),
        ("$100-$500", "$100-$500"),
        ("$5.50 for $3$", "$5.50 for $3$"),
        ("US$ and $AAPL and var1", "US$ and $AAPL and var1"),
        ("$nothing$", Ref("nothing")),
        ("$nothing.x$", Ref("nothing", ("x",))),
    ],
)
def test_references_in_calls(text, value):
    plan = plan_of(
        [
            {"name": "f", "arguments": {}, "label": "$var1"},
            {"name": "g", "arguments": {"x": text}, "label": "$var2"},
        ]
    )
    assert plan.steps[1].args == {"x": value}
    assert plan.findings == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("of $nothing.x$!", "unknown-reference"),
        ("of ${nothing}!", "unknown-reference"),
        ("$nothing", "unknown-reference"),
        ("of $var3 and more", "forward-reference"),
        ("of $var2 and more", "cyclic-reference"),
        ("var1.x$", "unknown-reference"),
        ("var1.x", "unknown-reference"),
        ("var1", "unknown-reference"),
    ],
)
def test_references_that_reach_nothing_are_named(text, code):
    found = plan_of(
        [
            {"name": "f", "arguments": {}, "label": "var1"},
            {"name": "g", "arguments": {"x": text}, "label": "var2"},
            {"name": "h", "arguments": {}, "label": "var3"},
        ]
    ).findings
    assert [(f.code, f.step) for f in found] == [(code, "var2")]


def test_a_later_round_may_refer_to_earlier_ones():
    text = '[{"id": "a", "tool": "f"}, {"id": "b", "tool": "g", "args": {"x": "$c$", "y": "$a$"}}]'
    read = reader(round=2, earlier={"c": "c", "a": "a"})
    given = read.feed(text) + read.close()
    steps = [piece for piece in given if isinstance(piece, Step)]
    assert [step.id for step in steps] == ["2.a", "2.b"]
    assert steps[1].args == {"x": Ref("c"), "y": Ref("2.a")}
    assert [f.code for f in given if not isinstance(f, Step)] == ["earlier-round"]


# -- as models write it ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '[{"name": "f", "arguments": {"q": "x"}}]',
        "[{'name': 'f', 'arguments': {'q': 'x'}}]",
        "[{“name”: “f”, “arguments”: {“q”: “x”}}]",
        '[{name: "f", arguments: {q: "x",},},]',
        'Sure, [as asked]:\n```json\n[{"name": "f", "arguments": {"q": "x"}}]\n```\nDone.',
        '<tool_call>\n{"name": "f", "arguments": {"q": "x"}}\n</tool_call>',
        '// look it\n[\n # up\n {"name": "f", /* the tool */ "arguments": {"q": "x"}} // ok\n]',
        '{"name": "f", "arguments": {"q": "x"}, "label": null}',
        '{"name": "f"\n"arguments": {"q": "x"}\n"label": "1"}',
        '\ufeff[{"name": "f", \r\n"arguments": {"q": "x"}}]\r\n',
        'See {this} and [1] first. {"name": "f", "arguments": {"q": "x"}}',
        '[{"name": "f" // the tool\n, "arguments": {"q": "x" # the query\n}}]',
    ],
)
def test_a_plan_may_be_written_in_many_ways(text):
    plan = parse(text)
    assert [(s.id, s.tool, s.args) for s in plan.steps] == [("1", "f", {"q": "x"})]
    assert plan.findings == []


def test_several_objects_are_several_calls():
    one, two = '{"name": "f", "arguments": {}}', '{"name": "g", "arguments": {}}'
    for text in (
        f"{one}\n{two}",
        f"[{one}\n {two}]",
        f"{one},\n{two},",
        f"<tool_call>{one}</tool_call><tool_call>{two}</tool_call>",
    ):
        assert [step.tool for step in parse(text, "json").steps] == ["f", "g"]


def test_python_values_and_inner_quotes_are_read():
    text = """{'name': 'f', 'arguments': {'a': True, 'b': None, 'c': 'O'Hara', "d": "a "b" c"}}"""
    assert parse(text, "json").steps[0].args == {
        "a": True,
        "b": None,
        "c": "O'Hara",
        "d": 'a "b" c',
    }


def test_a_step_comes_when_its_object_closes():
    read = reader()
    assert read.feed('[{"name": "f", "arguments": {}') == []
    assert [step.id for step in read.feed("}")] == ["1"]
    assert [step.id for step in read.feed(', {"name": "g", "arguments": {}}')] == ["2"]


def test_a_step_knows_where_it_stands():
    text = '[\n  {"name": "f", "arguments": {}},\n  {"name": "g", "arguments": {}}]'
    assert [step.origin for step in parse(text, "json").steps] == [Origin(2, 3), Origin(3, 3)]


# -- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "code", "column"),
    [
        ('{"name": "f", "arguments": {"a": 1, "a": 2}}', "duplicate-key", 37),
        ('{"name": "f", "arguments": {"a": NaN}}', "bad-number", 34),
        ('{"name": "f", "arguments": {"a": -Infinity}}', "bad-number", 34),
        ('{"name": "f", "arguments": {"a": 1e999}}', "bad-number", 34),
        ('{"name": "f", "arguments": {"a": ' + "9" * 5000 + "}}", "bad-number", 34),
        ('{"name": "f", "arguments": {"a": "\\ud800"}}', "bad-text", 34),
        ('{"name": "f", "arguments": {"a": Everest}}', "bad-json", 34),
        ('{"name": "f", "arguments": {"a": "x" + "y"}}', "bad-json", 34),
        ('{"name": "f", "arguments": {"a":}}', "bad-json", 33),
        ('{"name": "f", "arguments": {"a": "b" "c"}}', "bad-json", 41),
        ('{"name": "f", "arguments": {"a": [1, 2}}', "bad-json", 39),
        ('{"name": "f", "arguments": {"a": 1}', "bad-json", None),
        ('{"name": "f", "arguments": {1: 2}}', "bad-json", 29),
        (
            '{"name": "f", "arguments": {"x": ' + "[" * 65 + "]" * 65 + "}}",
            "nesting-too-deep",
            None,
        ),
    ],
)
def test_a_step_that_cannot_be_read_is_a_hole_and_the_stream_goes_on(bad, code, column):
    text = f'[\n{bad},\n{{"name": "g", "arguments": {{}}}}\n]'
    assert shape(text, "json") == ["[1]", "2"]
    [finding] = parse(text, "json").findings
    assert finding.code == code
    assert finding.line in (2, 3)
    assert column in (None, finding.column)
    assert len(finding.snippet) <= 120
    assert finding.hint


def test_a_text_that_was_cut_off_is_named():
    text = '[{"name": "f", "arguments": {}}, {"name": "g", "argu'
    assert shape(text, "json") == ["1", "[2]"]
    assert {code for code, *_ in faults(text, "json")} == {"unclosed-call"}
    assert faults('[{"name": "f", "arguments": {}},', "json") == [("unclosed-call", 1, "")]


def test_a_missing_colon_is_named():
    text = '[\n{"name": "f", "arguments": {"a" 1}},\n{"name": "g", "arguments": {}}]'
    assert ("bad-json", 2, "1") in faults(text, "json")


def test_a_surplus_bracket_is_named():
    text = '[{"name": "f", "arguments": {}}}, {"name": "g", "arguments": {}}]'
    assert (shape(text, "json"), codes(text)) == (["1", "2"], ["bad-json"])


@pytest.mark.parametrize(
    "text",
    [
        '{"action": {"response": "done"}}',
        '{"action": {"steps": ["one", "two"]}}',
        '{"steps": ["one", "two"]}',
        '{"heddle": 1, "steps": []}',
        '["one", "two"]',
        "[1, 2]",
        "{}",
        "[]",
        "no JSON at all",
        "",
    ],
)
def test_json_that_is_no_plan_has_no_steps_and_says_so(text):
    plan = parse(text, "json")
    assert (plan.entries, [f.code for f in plan.findings]) == ([], ["empty-plan"])


def test_what_is_no_call_among_calls_is_named():
    text = '["note", {"name": "f", "arguments": {}}, {"x": 1}, 7]'
    assert [code for code, *_ in faults(text, "json")] == ["bad-call"] * 2


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":', '{"steps":[', '{"steps":{"plan":'])
def test_depth_costs_nothing_but_memory(opening):
    text = '{"name": "f", "arguments": ' + opening * 20_000
    assert codes(text)


# -- recognising and writing ----------------------------------------------------------------------


def test_an_object_that_names_a_tool_is_what_the_dialect_looks_like():
    assert likely('text {"name": "f", "arguments": {}}') > likely('{"x": 1}') > 0
    assert likely("[20 + 35 = y1]") == likely('1. f("x")') == likely("") == 0


names = st.text("abcxyz019_", min_size=1, max_size=4)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["$a$", "$1", "${a}", '"', "'", "\\", "\r\n", "```", "// x", "},{"]
)
refs = st.builds(Ref, names, st.lists(names | st.integers(0, 9), max_size=2).map(tuple))
values = st.recursive(
    scalars | texts | refs,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
steps = st.builds(
    Step,
    names,
    names,
    st.dictionaries(names, values, max_size=3),
    after=st.lists(names, max_size=2).map(tuple),
    note=texts,
)


@given(st.lists(steps, max_size=4), st.none() | refs)
def test_reading_what_was_written_gives_the_same_plan(listed, output):
    plan = Plan(listed, output=output)
    for text in (write(plan), canonical_text(plan)):
        again = parse(text, "json")
        assert canonical_text(again) == canonical_text(plan)
    assert [step.note for step in parse(write(plan), "json").steps] == [s.note for s in listed]
    assert steps_of(again) == steps_of(plan)
