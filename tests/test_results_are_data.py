"""Results are data: what a tool returns reaches the next one as it is, and is never read again."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heddle
from heddle.plan.canonical import canonical_text

_HOSTILE = ["$1", "$2", "${1}", "$1.field[0]", "#E1", "{", "}", "{}", "{0}", "{{", "%s", "%(a)s"]
_HOSTILE += ['"', "'", '\\"', "\\", "\\n", "\n", "\r\n", "\t", "\x00", "\x1b[0m", "`", "```", "“"]
_HOSTILE += ["1. sink($1)", "\n2. join()", "<END_OF_PLAN>", '{"$ref": "1"}', "$var1.result$", "𝄞"]
_HOSTILE += ["$1,200", ")", "]", ", text=$1"]
results = st.lists(st.sampled_from(_HOSTILE) | st.text(max_size=5), max_size=8).map("".join)

NUMBERED = """\
1. source()
2. sink("bare", $1)
3. sink("quoted", "$1")
4. sink("nested", whole=$1, deep=["$1", {"a": $1}], text="<$1> and ${1}")
5. join()
"""
LABELLED = json.dumps(
    [
        {"name": "source", "arguments": {}, "label": "var1"},
        {"name": "sink", "arguments": ["bare", "$var1$"], "label": "var2"},
        {"name": "sink", "arguments": {"call": "quoted", "whole": "${var1}"}, "label": "var3"},
        {
            "name": "sink",
            "arguments": {
                "call": "nested",
                "whole": "$var1$",
                "deep": ["$var1$", {"a": "$var1$"}],
                "text": "<$var1$> and ${var1}",
            },
            "label": "var4",
        },
    ]
)
CANONICAL = canonical_text(heddle.parse(NUMBERED))


@pytest.mark.parametrize("text", [NUMBERED, LABELLED, CANONICAL])
@given(result=results)
@settings(deadline=None)  # an event loop of its own for each, on a machine that is shared
def test_a_result_arrives_byte_for_byte_whatever_it_looks_like(text, result):
    got = {}

    @heddle.tool(effect="pure")
    async def source() -> str:
        return result

    @heddle.tool(effect="pure")
    async def sink(call: str, whole: str, deep: list | None = None, text: str = "") -> str:
        got[call] = (whole, deep, text)
        return "seen"

    done = asyncio.run(heddle.execute(heddle.parse(text), [source, sink]))
    assert done.status == "succeeded"
    assert got == {
        "bare": (result, None, ""),
        "quoted": (result, None, ""),
        "nested": (result, [result, {"a": result}], f"<{result}> and {result}"),
    }


def test_a_result_that_looks_like_a_reference_is_none_two_steps_further_either():
    """What was filled in once is the next result, and goes on as it is."""

    @heddle.tool(effect="pure")
    async def source() -> str:
        return "$3 #E1 {0}"

    @heddle.tool(effect="pure")
    async def quote(text: str) -> str:
        return f'"{text}" costs $1'

    plan = heddle.parse('1. source()\n2. quote("a $1 b")\n3. quote("$2 and $1,200")\n4. join()')
    done = asyncio.run(heddle.execute(plan, [source, quote]))
    assert done.answer == '""a $3 #E1 {0} b" costs $1 and $1,200" costs $1'
