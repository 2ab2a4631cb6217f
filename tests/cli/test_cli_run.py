"""`heddle run`: a plan in, an answer out, and nothing else on stdout."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Heddle

FIELDS = {"run_id", "status", "answer", "error", "findings", "steps", "usage", "timing"}


def test_the_answer_is_all_there_is_on_stdout(heddle: Heddle) -> None:
    done = heddle("run", "plan.txt", "--tools", "tools.py")
    assert (done.status, done.out) == (0, "186.5\n")
    assert "noise from a tool" in done.err
    assert "done  3" in done.err
    assert "one by one would have taken" in done.err
    assert "peak in flight" in done.err
    assert "\x1b" not in done.err


def test_json_is_one_object_of_the_contract(heddle: Heddle) -> None:
    done = heddle("run", "plan.txt", "--tools", "tools.py", "--json")
    assert done.status == 0
    assert done.out.count("\n") == 1
    assert done.json.keys() == FIELDS
    assert done.json["answer"] == 186.5
    assert [step["id"] for step in done.json["steps"]] == ["1", "2", "3"]
    assert done.json["error"] is None


def test_a_plan_comes_from_stdin_and_quiet_says_nothing(heddle: Heddle) -> None:
    plan = '{"heddle": 1, "steps": [{"id": "1", "tool": "difference", "args": {"a": 3, "b": 1}}]}'
    done = heddle("run", "-", "--tools", "tools.py", "--quiet", stdin=plan)
    assert (done.status, done.out, done.err) == (0, "2.0\n", "")


def test_several_ends_are_printed_by_their_ids(heddle: Heddle) -> None:
    heddle.write("two.txt", 'price("AAPL")\n'.join(("1. ", "2. ", "")))
    done = heddle("run", "two.txt", "--tools", "tools.py")
    assert (done.status, done.out) == (0, "1: 231.5\n2: 231.5\n")


def test_inputs_are_json_where_they_read_as_json_and_text_elsewhere(heddle: Heddle) -> None:
    heddle.write("b.json", "[1, 2.5]")
    heddle.write("name.txt", "Ada")
    plan = """{"heddle": 1, "steps": [
        {"id": "1", "tool": "difference", "args": {"a": {"$input": "a"},
                                                   "b": {"$input": "b", "path": [1]}}},
        {"id": "2", "tool": "send", "args": {"to": {"$input": "who"}}}]}"""
    done = heddle(
        *("run", "-", "--tools", "tools.py", "--json"),
        *("--input", "a=4", "--input", "b=@b.json", "--input", "who=@name.txt"),
        stdin=plan,
    )
    assert done.status == 0
    assert [step["value"] for step in done.json["steps"]] == [1.5, "sent to Ada"]


def test_limits_reach_the_run(heddle: Heddle) -> None:
    done = heddle(
        *("run", "plan.txt", "--tools", "tools.py", "--json", "--concurrency", "1"),
        *("--per-provider", "quotes=1", "--rpm", "quotes=600"),
    )
    first, second, _ = done.json["steps"]
    assert done.status == 0
    assert first["finished_s"] <= second["started_s"]


def test_a_failed_step_is_partial_and_says_why(heddle: Heddle) -> None:
    heddle.write("bad.txt", '1. price("AAPL")\n2. price("NONE")\n')
    done = heddle("run", "bad.txt", "--tools", "tools.py")
    assert done.status == 1
    assert done.out == "1: 231.5\n"
    assert "error: step 2 (price) failed" in done.err


def test_a_deadline_is_a_budget(heddle: Heddle) -> None:
    heddle.write("nap.txt", "1. nap(60)\n")
    done = heddle("run", "nap.txt", "--tools", "slow.py", "--timeout", "0.2", "--json")
    assert done.status == 5
    assert done.json["error"]["code"] == "deadline"


@pytest.mark.parametrize("call", ["block(60)", "stubborn()"])
def test_a_tool_that_never_ends_holds_up_nothing(heddle: Heddle, call: str) -> None:
    heddle.write("hang.txt", f"1. {call}\n")
    done = heddle("run", "hang.txt", "--tools", "slow.py", "--timeout", "0.2", "--json")
    assert done.status == 5
    assert done.json["timing"]["total_s"] < 10


def test_undeclared_effects_run_because_the_user_passed_the_tool(heddle: Heddle) -> None:
    done = heddle("run", "-", "--tools", "tools.py", stdin='1. send("bob")\n')
    assert (done.status, done.out) == (0, "sent to bob\n")


def test_an_answer_goes_to_a_file_as_it_is_and_to_logs_made_harmless(heddle: Heddle) -> None:
    done = heddle("run", "-", "--tools", "tools.py", stdin='1. shout("hi")\n')
    assert done.out == "\x1b[31mhi\u202e\x07\n"
    assert "\x1b" not in done.err
    assert "\u202e" not in done.err
    assert "shout       hi" in done.err or "shout  hi" in done.err


def test_the_report_is_written_and_refused_before_anything_runs(heddle: Heddle) -> None:
    done = heddle("run", "plan.txt", "--tools", "tools.py", "--report", "page.html")
    assert done.status == 0
    assert (heddle.folder / "page.html").read_text("utf-8").startswith("<!")
    done = heddle("run", "plan.txt", "--tools", "tools.py", "--report", "missing/page.html")
    assert done.status == 2
    assert "cannot write missing/page.html" in done.err
    assert "noise" not in done.err


def test_a_reader_who_leaves_changes_nothing(heddle: Heddle) -> None:
    program = " ".join([sys.executable, "-m heddle.cli run plan.txt --tools tools.py --quiet"])
    done = subprocess.run(
        ["bash", "-c", f"{program} | true; echo ${{PIPESTATUS[0]}}"],
        cwd=heddle.folder,
        env=heddle.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "0\n"
    assert "Broken" not in done.stderr


def test_colours_follow_the_environment(heddle: Heddle) -> None:
    heddle.write("two.txt", "1. difference(2, 1)\n")
    command = ("run", "two.txt", "--tools", "tools.py")
    assert "\x1b[32mdone" in heddle(*command, FORCE_COLOR="1").err
    assert "\x1b" not in heddle(*command, FORCE_COLOR="1", NO_COLOR="1").err


def test_a_plan_that_is_rejected_for_lack_of_tools_says_how_to_pass_them(heddle: Heddle) -> None:
    done = heddle("run", "-", stdin='1. price("AAPL")\n')
    assert done.status == 3
    assert "note: no --tools" in done.err
    assert "--tools" not in heddle("run", "-", "--tools", "tools.py", stdin="1. nope()\n").err


def test_limits_are_shared_through_a_file_that_can_be_named(heddle: Heddle) -> None:
    place = str(heddle.folder / "state" / "limits.db")
    command = ("run", "plan.txt", "--tools", "tools.py", "--shared-limits")
    done = heddle(*command, HEDDLE_SHARED_LIMITS=place)
    assert (done.status, done.out) == (0, "186.5\n")
    assert (heddle.folder / "state" / "limits.db").exists()


def test_a_place_for_shared_limits_that_cannot_be_used_is_our_users_to_name(heddle: Heddle) -> None:
    place = str(heddle.folder / "plan.txt" / "limits.db")
    command = ("run", "plan.txt", "--tools", "tools.py", "--shared-limits")
    done = heddle(*command, HEDDLE_SHARED_LIMITS=place)
    assert done.status == 2
    assert "shared limits cannot be kept" in done.err
    assert "Traceback" not in done.err
