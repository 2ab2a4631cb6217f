"""The native dialect: tool calls as models write them natively, one level of them."""

import json

import pytest
from pieces import faults, shape

from heddle.plan.dialects import parse
from heddle.plan.dialects.native import reader, write
from heddle.plan.ir import Plan, Ref, Step


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
