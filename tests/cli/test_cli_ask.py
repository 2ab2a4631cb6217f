"""`heddle ask` and `heddle plan`: with a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Heddle

GOOD = ("--tools", "tools.py", "--model", "python:models:good")


def test_ask_plans_runs_and_answers(heddle: Heddle) -> None:
    done = heddle("ask", "How much more?", *GOOD)
    assert (done.status, done.out) == (0, "186.5 dollars\n")
    assert "planner" in done.err
    assert "joiner" in done.err
    assert "model calls 2" in done.err


def test_ask_says_which_strategy_was_chosen_and_why(heddle: Heddle) -> None:
    done = heddle("ask", "How much more?", *GOOD)
    assert "strategy llmcompiler: 3 calls in 2 levels, 0 places where a result" in done.err
    done = heddle("ask", "How much more?", *GOOD, "--strategy", "llmcompiler")
    assert "strategy llmcompiler: chosen by the caller" in done.err
    done = heddle("ask", "How much more?", *GOOD, "--json")
    assert done.json["strategy"]["name"] == "llmcompiler"
    assert "3 calls in 2 levels" in done.json["strategy"]["reasons"][0]


def test_ask_as_json_with_models_by_role(heddle: Heddle) -> None:
    good = "python:models:good"
    done = heddle(
        *("ask", "-", "--tools", "tools.py", "--json"),
        *("--planner-model", good, "--joiner-model", good, "--join", "all"),
        stdin="How much more?",
    )
    assert done.status == 0
    assert done.json["answer"] == "186.5 dollars"
    assert done.json["usage"]["model_calls"] == 2
    assert done.err == "noise from a tool\n" * 2


def test_a_rejected_plan_shows_its_findings(heddle: Heddle) -> None:
    done = heddle("ask", "How much?", "--tools", "tools.py", "--model", "python:models:wrong")
    assert done.out == ""
    assert done.status in (1, 3)
    assert "error[unknown-tool]" in done.err


def test_plan_prints_a_plan_that_run_takes(heddle: Heddle) -> None:
    done = heddle("plan", "How much more?", *GOOD)
    assert (done.status, done.err) == (0, "")
    assert heddle("run", "-", "--tools", "tools.py", stdin=done.out).out == "186.5\n"


def test_plan_as_json_is_canonical(heddle: Heddle) -> None:
    done = heddle("plan", "How much more?", *GOOD, "--json")
    assert done.status == 0
    assert done.json.keys() == {"plan", "findings", "text"}
    assert done.json["plan"]["heddle"] == 1
    assert done.json["plan"]["steps"][2]["args"]["0"] == {"$ref": "2"}


def test_plan_with_an_error_is_printed_and_rejected(heddle: Heddle) -> None:
    wrong = ("--tools", "tools.py", "--model", "python:models:wrong")
    done = heddle("plan", "How much?", *wrong)
    assert done.status == 3
    assert "prise" in done.out
    assert "error[unknown-tool]" in done.err
    done = heddle("plan", "How much?", *wrong, "--json")
    assert done.status == 3
    assert done.json["findings"][0]["code"] == "unknown-tool"


def test_a_key_from_the_env_file_is_used_unless_the_environment_has_one(heddle: Heddle) -> None:
    heddle.write(".env", "OPENAI_BASE_URL=http://127.0.0.1:9/v1\n")
    done = heddle("ask", "q", "--model", "openai:x")
    assert done.status == 4
    assert "127.0.0.1:9" in done.err
    done = heddle("ask", "q", "--model", "openai:x", OPENAI_BASE_URL="http://127.0.0.1:7/v1")
    assert "127.0.0.1:7" in done.err


def test_what_a_model_failed_with_is_said_once(heddle: Heddle) -> None:
    done = heddle("ask", "q", "--model", "openai:x", OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert done.err.count("cannot reach http://127.0.0.1:9/v1") == 1
    assert done.err.count("hint:") == 1
