"""`heddle convert`: the text on stdout, what was changed on stderr, and clear refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from heddle.plan.canonical import plan_to_json
from heddle.plan.dialects import DIALECTS, parse

if TYPE_CHECKING:
    from conftest import Heddle

REWOO = 'Plan: Compare.\n#E1 = price["AAPL"]\n#E2 = price["MSFT"]\n#E3 = difference[#E2, #E1]\n'


def test_the_text_is_the_result_and_renames_are_remarks(heddle: Heddle) -> None:
    done = heddle("convert", "-", "--to", "llmcompiler", stdin=REWOO)
    assert done.status == 0
    assert done.out == (
        'Thought: Compare.\n1. price("AAPL")\n2. price("MSFT")\n3. difference($2, $1)\n4. join()\n'
    )
    assert done.err == "note: steps renamed: E1 → 1, E2 → 2, E3 → 3\n"


def test_what_was_converted_runs(heddle: Heddle) -> None:
    done = heddle("convert", "plan.txt", "--to", "python", "-q")
    assert (done.status, done.err) == (0, "")
    ran = heddle("run", "-", "--tools", "tools.py", "-q", "--json", stdin=done.out)
    assert (ran.status, ran.json["answer"]) == (0, 186.5)


@pytest.mark.parametrize("target", ["llmcompiler", "json", "rewoo", "links", "python"])
def test_every_dialect_that_can_say_a_plan_is_given_back_as_that_plan(
    heddle: Heddle, target: str, capfd: pytest.CaptureFixture[str]
) -> None:
    heddle.write("rewoo.txt", REWOO)
    done = heddle.inside(capfd, "convert", "rewoo.txt", "--to", target, "--json")
    found = done.json
    assert (found["from"], found["to"]) == ("rewoo", target)
    assert plan_to_json(parse(found["text"], target)) == found["plan"]
    assert [step["tool"] for step in found["plan"]["steps"]] == ["price", "price", "difference"]


def test_notes_that_a_dialect_has_no_place_for_are_said_to_be_left_out(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    heddle.write("rewoo.txt", REWOO)
    done = heddle.inside(capfd, "convert", "rewoo.txt", "--to", "links")
    assert "links has no place for notes: 1 left out" in done.err


def test_arguments_are_named_by_the_tools_where_the_dialect_needs_names(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    heddle.write(
        "odd.json", '{"heddle": 1, "steps": [{"id": "1", "tool": "difference", '
        '"args": {"a": 2, "1": 3}}]}'
    )  # fmt: skip
    refused = heddle.inside(capfd, "convert", "odd.json", "--to", "llmcompiler")
    assert refused.status == 2
    done = heddle.inside(capfd, "convert", "odd.json", "--to", "llmcompiler", "--tools", "tools.py")
    assert (done.status, done.out) == (0, "1. difference(a=2, b=3)\n2. join()\n")
    assert done.err == "note: positional arguments named: those of steps 1\n"


def test_what_a_dialect_cannot_say_is_named_with_the_dialects_that_can(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    done = heddle.inside(capfd, "convert", "plan.txt", "--to", "native")
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines() == [
        "error: the plan cannot be written as native: step 3: a native call cannot refer to a "
        "result",
        "hint: dialects that can express it: llmcompiler, json, rewoo, links, abstraction, python",
    ]
    done = heddle.inside(capfd, "convert", "plan.txt", "--to", "native", "--json")
    assert (done.status, done.json["error"]["code"]) == (2, "inexpressible-plan")


def test_a_plan_with_an_error_is_not_converted(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    heddle.write("bad.txt", '1. price("AAPL")\n2. difference($1, $7\n')
    done = heddle.inside(capfd, "convert", "bad.txt", "--to", "json", "-q")
    assert (done.status, done.out) == (3, "")
    assert "error[unclosed-call]" in done.err
    assert "bad.txt:2:1" in done.err
    done = heddle.inside(capfd, "convert", "bad.txt", "--to", "json", "--json")
    assert (done.status, done.json["text"]) == (3, None)
    assert done.json["findings"][0]["code"] == "unclosed-call"


def test_with_tools_the_plan_is_checked_against_them(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    heddle.write("bad.txt", '1. prise("AAPL")\n')
    done = heddle.inside(capfd, "convert", "bad.txt", "--to", "json", "--tools", "tools.py")
    assert (done.status, done.out) == (3, "")
    assert "unknown-tool" in done.err


def test_a_dialect_that_there_is_not_is_wrong_usage(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    done = heddle.inside(capfd, "convert", "plan.txt", "--to", "pyhton")
    assert (done.status, done.out) == (2, "")
    assert "did you mean 'python'?" in done.err
    assert all(name in done.err for name in DIALECTS)


def test_a_text_that_another_dialect_would_read_otherwise_says_how_to_read_it(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    heddle.write("calls.jsonl", '{"name": "price", "arguments": {"ticker": "$var1.x$"}}\n')
    done = heddle.inside(capfd, "convert", "calls.jsonl", "--dialect", "native", "--to", "native")
    auto = parse(done.out)
    told = "read it with --dialect native" in done.err
    same = auto.steps and auto.steps[0].args == {"ticker": "$var1.x$"}
    assert done.status == 0
    assert told is not bool(same)
