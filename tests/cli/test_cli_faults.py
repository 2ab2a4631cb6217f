"""Bad input: a clear message, the right status, no traceback, one object with --json."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from heddle.cli.faults import report

if TYPE_CHECKING:
    from conftest import Heddle

RUN = ("run", "plan.txt", "--tools", "tools.py")
ASK = ("ask", "How much?", "--tools", "tools.py")

ROWS = {
    "no command": ((), 2, "Usage: heddle"),
    "unknown command": (("frobnicate",), 2, "frobnicate"),
    "later command": (("serve",), 2, "No such command"),
    "no plan": (("run",), 2, "Missing argument 'PLAN'"),
    "unknown option": (("run", "plan.txt", "--nope"), 2, "--nope"),
    "missing plan": (("run", "nope.txt"), 2, "cannot read the plan from nope.txt"),
    "folder as plan": (("run", "."), 2, "Is a directory"),
    "missing tools": (("run", "plan.txt", "--tools", "nope.py"), 2, "tools file nope.py"),
    "broken tools": (("run", "plan.txt", "--tools", "broken.py"), 2, "broken.py:1"),
    "exiting tools": (("tools", "exits.py"), 2, "SystemExit"),
    "unknown dialect": ((*RUN, "--dialect", "lisp"), 2, "there is no dialect 'lisp'"),
    "bad input": ((*RUN, "--input", "=x"), 2, "has no name"),
    "input twice": ((*RUN, "--input", "a=1", "--input", "a=2"), 2, "given twice"),
    "input file": ((*RUN, "--input", "a=@nope"), 2, "cannot read --input a from nope"),
    "input JSON": ((*RUN, "--input", "a=@bad.json"), 2, "bad.json is not JSON"),
    "bad allowance": ((*RUN, "--rpm", "quotes=nan"), 2, "NAME=N"),
    "bad number": ((*RUN, "--concurrency", "0"), 2, "--concurrency"),
    "bad seconds": ((*RUN, "--timeout", "inf"), 2, "positive number of seconds"),
    "unknown tool": (("run", "wrong.txt", "--tools", "tools.py"), 3, 'did you mean "price"?'),
    "llm and no model": (("run", "llm.txt"), 2, "--model PROVIDER:NAME"),
    "empty question": (("ask", "  ", "--model", "python:models:good"), 2, "question is empty"),
    "no model": (ASK, 2, "no model was given"),
    "no key": ((*ASK, "--model", "openai:gpt-5-mini"), 2, "OPENAI_API_KEY"),
    "no such provider": ((*ASK, "--model", "opnai:x"), 2, "did you mean openai:x?"),
    "no such function": ((*ASK, "--model", "python:models:god"), 2, "did you mean good?"),
    "bad strategy": (
        (*ASK, "--model", "python:models:good", "--strategy", "x"), 2, "there is no strategy"
    ),
    "bad join": (
        (*ASK, "--model", "python:models:good", "--join", "x"), 2, "there is no join policy"
    ),
    "failing model": ((*ASK, "--model", "python:models:fails"), 4, "no weights"),
}  # fmt: skip


APART = {"missing plan", "unknown tool", "broken tools", "no key", "empty question"}
APART |= {"bad strategy", "bad join", "failing model"}
"""Rows that have a process of their own: what users meet most, and all that start a loop."""


@pytest.mark.parametrize("name", ROWS)
def test_a_fault_is_told_and_not_thrown(
    heddle: Heddle, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    heddle.write("broken.py", "import nothing_here\n")
    heddle.write("exits.py", "raise SystemExit(0)\n")
    heddle.write("bad.json", "{")
    heddle.write("wrong.txt", '1. prise("AAPL")\n')
    heddle.write("llm.txt", '1. llm("hello")\n')
    args, status, text = ROWS[name]
    done = heddle(*args) if name in APART else heddle.inside(capfd, *args)
    assert done.status == status
    assert done.out == ""
    assert text in done.err


@pytest.mark.parametrize(
    ("plan", "status", "text"),
    [
        (b"", 3, "the text is empty"),
        (b"\xff\xfe1\x00.\x00", 2, "not UTF-8"),
        (b"1. a()\0", 2, "NUL"),
        (b"\xef\xbb\xbf1. difference(2, 1)\n", 0, ""),
        (b"[" * 100_000 + b"]" * 100_000, 3, "error["),
        (b'{"heddle": 1, "steps": [{"id": "1", "tool": "difference", "args": {"a": '
         + b"[" * 100_000 + b"]" * 100_000 + b"}}]}", 3, "error[nesting-too-deep]"),
    ],
    ids=["empty", "utf-16", "nul", "byte order mark", "deep list", "deep argument"],
)  # fmt: skip
def test_whatever_is_in_a_plan_file(heddle: Heddle, plan: bytes, status: int, text: str) -> None:
    done = heddle("run", "-", "--tools", "tools.py", stdin=plan)
    assert done.status == status
    assert text in done.err
    assert max(map(len, done.err.splitlines()), default=0) < 500


def test_a_server_that_is_not_there_is_the_providers_fault(heddle: Heddle) -> None:
    done = heddle(*(*ASK, "--model", "openai:x", "--json"), OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert done.status == 4
    assert done.json["status"] == "failed"
    assert "127.0.0.1:9" in done.json["error"]["message"]
    done = heddle(
        "plan", "How much?", "--model", "openai:x", OPENAI_BASE_URL="http://127.0.0.1:9/v1"
    )
    assert (done.status, done.out) == (4, "")


def test_a_plan_of_ten_thousand_steps_is_cut_at_its_bound(heddle: Heddle) -> None:
    done = heddle(*ASK, "--model", "python:models:huge", "--json")
    assert done.status == 1
    assert "too-many-steps" in {finding["code"] for finding in done.json["findings"]}
    assert len(done.json["steps"]) <= 257


def test_a_plan_nested_without_end_is_rejected(heddle: Heddle) -> None:
    done = heddle(*ASK, "--model", "python:models:deep")
    assert done.status == 3
    assert "nesting-too-deep" in done.err


@pytest.mark.parametrize("args", [("run", "nope.txt"), ("ask", ""), ("run",)])
def test_json_of_a_run_that_never_began_has_the_fields_of_every_run(
    heddle: Heddle, args: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    done = heddle.inside(capfd, *args, "--json")
    assert done.status == 2
    assert done.json["status"] == "failed"
    assert done.json["error"].keys() == {"code", "message", "hint"}
    assert done.json["steps"] == done.json["findings"] == []
    assert done.err == ""


def test_json_of_other_commands_is_the_error(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    done = heddle.inside(capfd, "check", "nope.txt", "--json")
    assert done.status == 2
    assert done.json.keys() == {"error"}
    assert done.json["error"]["code"] == "unreadable-plan"


def test_a_fault_of_ours_asks_for_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ZeroDivisionError("division by zero"), ["check", "x"]) == 70
    said = capsys.readouterr()
    assert "internal error: ZeroDivisionError: division by zero" in said.err
    assert "please report" in said.err
    assert "Traceback" not in said.err


def test_an_env_file_that_cannot_be_read_is_named(heddle: Heddle) -> None:
    heddle.write(".env", b"\xff\xfe")
    done = heddle("doctor")
    assert done.status == 2
    assert "cannot read .env" in done.err
