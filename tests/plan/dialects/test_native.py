"""The native dialect: tool calls as models write them natively, one level of them."""

import json
import random

import pytest
from pieces import cut, faults, pieces, shape

from heddle.plan.dialects import parse, recognise
from heddle.plan.dialects.native.dialect import likely, reader, write
from heddle.plan.ir import Hole, Plan, Ref, Step


def calls(text, **options):
    """Tool and arguments of every step of a text without a fault."""
    plan = parse(text, "native")
    assert plan.findings == []
    return [(step.tool, dict(step.args)) for step in plan.steps]


# -- JSON ----------------------------------------------------------------------------------------

PRICE = [("price", {"ticker": "AAPL"})]
SHAPES = {
    "a provider's line": '{"id": "call_x", "name": "price", "arguments": {"ticker": "AAPL"}}',
    "arguments as JSON text": r'{"name": "price", "arguments": "{\"ticker\": \"AAPL\"}"}',
    "OpenAI": '{"id": "call_x", "type": "function", "function":'
    ' {"name": "price", "arguments": "{\\"ticker\\": \\"AAPL\\"}"}}',
    "Anthropic": '{"type": "tool_use", "id": "t", "name": "price", "input": {"ticker": "AAPL"}}',
    "a list": '[{"name": "price", "arguments": {"ticker": "AAPL"}}]',
    "an object around": '{"tool_calls": [{"name": "price", "arguments": {"ticker": "AAPL"}}]}',
    "tags": '<tool_call>\n{"name": "price", "arguments": {"ticker": "AAPL"}}\n</tool_call>',
    "a fence": '```json\n{"name": "price", "arguments": {"ticker": "AAPL"}}\n```\n',
    "prose": 'I look it up. {"name": "price", "arguments": {"ticker": "AAPL"}} Done.',
}


@pytest.mark.parametrize("name", SHAPES)
def test_calls_are_read_in_every_json_shape(name):
    assert calls(SHAPES[name]) == PRICE


def test_each_line_is_a_call_as_soon_as_its_object_closes():
    reading = reader(round=2)
    lines = [json.dumps({"id": f"call_{n}", "name": "f", "arguments": {"n": n}}) for n in range(3)]
    for place, line in enumerate(lines, 1):
        [step] = reading.feed(line)
        assert (step.id, step.note, step.args) == (
            f"2.{place}",
            f"call_{place - 1}",
            {"n": place - 1},
        )
        assert reading.feed("\n") == []
    assert reading.close() == []


def test_what_looks_like_a_reference_is_text():
    args = {"b": "$1", "c": {"$ref": "1"}}
    text = '{"name": "f", "arguments": {"a": "x"}}\n' + json.dumps({"name": "g", "arguments": args})
    assert calls(text)[1] == ("g", args)


def test_a_bad_call_is_a_hole_and_the_others_stand():
    text = """{"name": "f", "arguments": {}}
{"name": "g", "arguments": "{oops"}
{"name": "h", "arguments": {}}"""
    assert shape(text, "native") == ["1", "[2]", "3"]
    assert faults(text, "native") == [("bad-json", 2, "2")]


def test_calls_of_one_reply_have_no_order_and_no_guards():
    text = '{"name": "f", "arguments": {}, "after": ["1"]}'
    assert faults(text, "native") == [("bad-field", 1, "1")]


def test_an_object_with_one_key_is_a_call_of_that_name_where_a_call_should_stand():
    assert calls('[{"a.f": {"x": 1}}, {"g": {}}]') == [("a.f", {"x": 1}), ("g", {})]
    assert calls('<function=f>{"x": {"y": 1}}</function>') == [("f", {"x": {"y": 1}})]
    assert faults('{"name": "f", "arguments": {}} {"x": 1}', "native") == [("bad-call", 1, "2")]


# -- calls as Python writes them -----------------------------------------------------------------

TWO = [("f", {"a": 1}), ("g.h", {"b": "x"})]
RECOVERED = {
    "as asked": '[f(a=1), g.h(b="x")]',
    "a fence": '```python\n[f(a=1), g.h(b="x")]\n```',
    "tags": "<tool_call>[f(a=1), g.h(b='x')]</tool_call>",
    "a tag around each": "<tool_call>f(a=1)</tool_call>\n<tool_call>g.h(b='x')</tool_call>",
    "a special token": '<|python_tag|>[f(a=1), g.h(b="x")]',
    "prose before": 'Sure (both of them):\n[f(a=1), g.h(b="x")]',
    "prose on the line before": 'Here you are: [f(a=1), g.h(b="x")]',
    "prose after": '[f(a=1), g.h(b="x")]\n\nThis calls f(a) and [see](there) g.h.',
    "bold": '**[f(a=1), g.h(b="x")]**',
    "semicolons": '[f(a=1); g.h(b="x")]',
    "semicolons alone": 'f(a=1); g.h(b="x")',
    "commas alone": 'f(a=1), g.h(b="x")',
    "lines": 'f(a=1)\ng.h(b="x")',
    "numbered lines": '1. f(a=1)\n2. g.h(b="x")',
    "labels": 'Call: f(a=1)\nCall: g.h(b="x")',
    "lists side by side": '[f(a=1)], [g.h(b="x")]',
    "lists without a comma": '[f(a=1)][g.h(b="x")]',
    "a list in each item": '- [f(a=1)]\n- [g.h(b="x")]',
    "lists in a list": '[[f(a=1)], [g.h(b="x")]]',
    "texts": """["f(a=1)", "g.h(b='x')"]""",
    "texts with prose": """["I call two:", "f(a=1)", "g.h(b='x')"]""",
    "objects": '[{"f": {"a": 1}}, {"name": "g.h", "arguments": {"b": "x"}}]',
    "calls and objects": '[f(a=1), {"name": "g.h", "arguments": {"b": "x"}}]',
    "lines in a list": '[\n  f(a=1),  # one\n  g.h(\n    b="x",\n  )\n]',
}


@pytest.mark.parametrize("name", RECOVERED)
def test_calls_are_read_in_every_form_that_models_give_them(name):
    assert calls(RECOVERED[name]) == TWO


def test_one_call_without_a_list_is_a_call():
    assert calls('get_price(ticker="AAPL")') == [("get_price", {"ticker": "AAPL"})]


def test_literals_are_read_as_python_and_as_json_write_them():
    text = "[f(a=true, b=False, c=null, d=None, e=(1, 2.5), g={'k': [-1e3]}, h='it\\'s', i=\"$1\")]"
    wanted = {"a": True, "b": False, "c": None, "d": None, "e": [1, 2.5], "g": {"k": [-1000.0]}}
    assert calls(text) == [("f", {**wanted, "h": "it's", "i": "$1"})]


def test_underscores_escaped_for_markdown_are_underscores():
    text = '[net\\_income(per\\_share=1, of=\'a\\_b\'), {"name": "x\\_y", "arguments": {}}]'
    assert calls(text) == [("net_income", {"per_share": 1, "of": "a_b"}), ("x_y", {})]


def test_an_object_between_the_brackets_is_the_arguments_with_a_warning():
    plan = parse('[f({"a": 1, "b": 2})]', "native")
    assert plan.steps[0].args == {"a": 1, "b": 2}
    assert [(f.code, f.severity) for f in plan.findings] == [("bad-arguments", "warning")]


def test_arguments_without_names_stand_by_their_place():
    assert calls("[mean([1, 2], 3)]") == [("mean", {"0": [1, 2], "1": 3})]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1/6", 1 / 6), ("500*500", 250_000), ("0.1+0.2", 0.3), ("(2 + 3) ** 2", 25), ("-7 // 2", -4)],
)
def test_a_sum_of_numbers_is_folded_exactly(text, value):
    [(_, args)] = calls(f"[f(p={text}, q=[{text}])]")
    assert args == {"p": value, "q": [value]}
    assert type(args["p"]) is type(value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1/0", "bad-number"),
        ("9**9**9", "bad-number"),
        ("1e400*2", "bad-number"),
        ("2**0.5", "bad-arguments"),
        ("g(b=2)", "bad-arguments"),
        ("'a' + 'b'", "bad-arguments"),
        ("f'{a}'", "bad-arguments"),
        ("[x for x in y]", "bad-arguments"),
    ],
)
def test_an_argument_that_is_no_data_is_a_fault_of_its_call_alone(text, code):
    text = f"[f(a=1),\n g(b={text}), h()]"
    assert shape(text, "native") == ["1", "[2]", "3"]
    assert faults(text, "native") == [(code, 2, "2")]


@pytest.mark.parametrize("text", ["2024-12-25", "2024-01-05", "12/25/2024", "555-1234"])
def test_a_date_or_a_label_is_no_sum_but_text_without_quotes(text):
    plan = parse(f"[f(on={text})]", "native")
    assert plan.steps[0].args == {"on": text}
    assert [f.code for f in plan.findings] == ["unquoted-text"]


REFUSED = {
    "[f(a=1)] + [g(b=2)]": (1, 10),
    "[f(a=1)]\n  + [g(b=2)]": (2, 12),
    "[f(a=1)] > [g(b=2)]": (1, 10),
    "[f(a=1)] * 2": (1, 10),
    "[f(a=1)][0]": (1, 11),
    "[f(a=1)].results": (1, 9),
    "[f(a=1)](1)": (1, 9),
    "[f(a=1).price, g(b=2)]": (1, 8),
    "[f(a=1)[0], g(b=2)]": (1, 8),
    "[f(a=1)(b=2)]": (1, 8),
    "[f(a=1) + g(b=2)]": (1, 9),
    '[f(a="x") for x in ["p", "q"]]': (1, 11),
    "[f(a=1)\n for x in y]": (2, 5),
    "[f(a=1) if b else g()]": (1, 9),
    "f(a=1) + g(b=2)": (1, 8),
    "f(a=1)[0]": (1, 7),
    "f(a=1).price": (1, 7),
    '["f(a=1)"] + ["g()"]': (1, 12),
    '["f(a=1).x"]': (1, 2),
    '[{"name": "f", "arguments": {}}] + [{"name": "g", "arguments": {}}]': (1, 34),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_would_have_to_be_evaluated_is_refused(text):
    findings = parse(text, "native").findings
    assert [(f.code, f.severity, f.line, f.column) for f in findings] == [
        ("continued-call", "error", *REFUSED[text])
    ]
    assert findings[0].hint


def test_a_call_is_handed_over_at_its_bracket_and_called_back_when_it_goes_on():
    reading = reader()
    assert [piece.id for piece in reading.feed("[f(a=1)")] == ["1"]
    [hole] = reading.feed(".price, ")
    assert (type(hole), hole.id, hole.text) == (Hole, "1", "f(a=1)")


@pytest.mark.parametrize(
    ("text", "entries", "findings"),
    [
        ("[f(a=1), g(b=2)", ["1", "2"], [("unclosed-call", 1, "")]),
        ("[f(a=1),\n g(b=2", ["1", "[2]"], [("unclosed-call", 2, "2"), ("unclosed-call", 2, "")]),
        ('[f(a=1), g(b="x', ["1", "[2]"], [("unclosed-call", 1, "2"), ("unclosed-call", 1, "")]),
        ("[f(a=1,\n g(b=2)]", ["[1]", "2"], [("unclosed-call", 1, "1")]),
        ("[f(a=1)]]", ["1"], [("trailing-text", 1, "")]),
        ("[f(a=1), g]", ["1"], [("bad-call", 1, "")]),
        ("[f(a=1), 3, g()]", ["1"], [("bad-call", 1, "")]),
        ('["f(a=1)", "{}"]', ["1"], [("bad-call", 1, "")]),
        ("f(a=1) gives it", ["1"], [("trailing-text", 1, "")]),
        ("[f(a=Paris)]", ["1"], [("unquoted-text", 1, "1")]),
    ],
)
def test_what_is_missing_or_too_much_is_said(text, entries, findings):
    assert shape(text, "native") == entries
    assert faults(text, "native") == findings


@pytest.mark.parametrize(
    "text",
    [
        "foo(s) is a word",
        "[1] says so",
        "see [f](x)",
        "x = f(a=1)",
        "I use f(a=1) here",
        "[]",
        "f()s",
        "[it's f(a=1)]",
        "[not f(a=1)]",
        "bring it (now)",
        "Plan(s)",
        "[f (a=1)]",
    ],
)
def test_prose_with_brackets_is_no_call(text):
    assert faults(text, "native") == [("empty-plan", 1, "")]


@pytest.mark.parametrize("seed", range(60))
def test_a_text_that_is_damaged_gives_the_same_however_it_arrives(seed):
    chance = random.Random(seed)
    text = "\n".join(chance.sample([*RECOVERED.values(), *REFUSED, *SHAPES.values()], 3))
    for mark in chance.choices(["", '"', "}", "]", "[", ")", "(", ";", ".", "+", "\n", "/*"], k=4):
        place = chance.randrange(len(text))
        text = text[:place] + mark + text[place + chance.choice([0, 1, 5]) :]
    whole = pieces("native", [text])
    assert pieces("native", cut(text, seed)) == pieces("native", list(text)) == whole


# -- what it looks like --------------------------------------------------------------------------


def test_texts_of_this_dialect_are_recognised():
    recognised = {name for name, text in RECOVERED.items() if recognise(text) == "native"}
    others = {"numbered lines", "labels", "lines", "objects", "texts with prose"}
    others |= {"prose on the line before"}
    assert recognised == RECOVERED.keys() - others
    assert recognise("get_price(ticker='AAPL')") == recognise("f()") == "native"


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ('{"heddle": 1, "steps": [{"id": "1", "tool": "f"}]}', "json"),
        ('<tool_call>{"name": "f", "arguments": {}, "label": "$var1"}</tool_call>', "json"),
        ('[{"name": "f", "arguments": {"a": "$1"}}]', "json"),
        ('1. f("a")\n2. g("$1")', "llmcompiler"),
    ],
)
def test_texts_of_other_dialects_are_left_to_them(text, dialect):
    assert recognise(text) == dialect


@pytest.mark.parametrize(
    "text", ["", "Plan: look\n#E1 = Search[x]", "The sum is [20 + 35 = y1].", "x = f(1)\ng(x)"]
)
def test_texts_that_are_no_calls_do_not_look_like_it(text):
    assert likely(text) == 0


# -- writing -------------------------------------------------------------------------------------


def test_a_plan_of_one_level_is_written_one_call_a_line():
    plan = Plan([Step("1", "f", {"a": 1, "b": {"$ref": "x"}}), Step("2", "g.h", {"0": [True]})])
    text = write(plan)
    assert text.count("\n") == 2
    assert parse(text, "native").steps[1].args == {"0": [True]}


@pytest.mark.parametrize(
    ("step", "part"),
    [
        (Step("2", "f"), "numbered"),
        (Step("1", "f", {"a": Ref("0")}), "refer"),
        (Step("1", "f", after=("0",)), "after"),
        (Step("1", "f", default=None), "default"),
        (Step("1", "f", {"a": "\ud800"}), "surrogate"),
    ],
)
def test_what_native_calls_cannot_say_is_refused(step, part):
    with pytest.raises(ValueError, match=part):
        write(Plan([step]))


@pytest.mark.parametrize(
    "arguments",
    [
        '{"a": 1, "b": [true, null, 2.5, "x"]}',
        "{}",
        "",
        '{"a": 1e999}',
        '{"a": NaN}',
        '{"a": 1, "a": 2}',
        '{"a": "\\ud800"}',
        '{"a": 1',
        "{'a': 1}",
        "[1, 2]",
        '{"a": ' + "[" * 300 + "]" * 300 + "}",
        '{"a": ' + "9" * 5000 + "}",
    ],
)
def test_a_call_in_the_providers_own_form_reads_as_its_json_on_a_line(arguments: str) -> None:
    direct, by_text = reader(), reader()
    pieces = [*direct.call("c1", "f", arguments), *direct.call("", "g", "{}"), *direct.close()]
    text = json.dumps({"id": "c1", "name": "f", "arguments": arguments}) + "\n"
    text += json.dumps({"name": "g", "arguments": "{}"}) + "\n"
    for mine, other in zip(pieces, [*by_text.feed(text), *by_text.close()], strict=True):
        assert type(mine) is type(other)
        assert mine.id == other.id
        assert mine.origin == other.origin
        assert getattr(mine, "args", None) == getattr(other, "args", None)
        mine_codes = [finding.code for finding in getattr(mine, "findings", ())]
        assert mine_codes == [finding.code for finding in getattr(other, "findings", ())]


def test_a_number_with_a_comma_is_said_to_be_two():
    (finding,) = parse("[f(a=1), g(1,200)]", "native").findings
    assert (finding.code, finding.severity, finding.column) == ("split-number", "warning", 12)
    assert parse("[f(1, 200), g([100,200,300])]", "native").findings == []
