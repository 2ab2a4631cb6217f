"""`heddle export plans`: rows of runs and of recorded plans, what gave none, and refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from corpora import needs_corpus, whole

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Heddle

QUESTIONS = """\
{"id": "q1", "question": "How much more is MSFT than AAPL?", "answer": "186.5"}
{"id": "q2", "question": "How much is it?", "answer": "99"}
"""

PLANNER = """
async def model(messages, *, role, **options):
    text = "\\n".join(message["content"] for message in messages)
    if role == "worker":
        yield "CANARY 186.5"
    elif role != "planner":
        yield "186.5" if "vidence" in text else '{"action": "finish", "answer": "186.5"}'
    elif "#E" in text:
        yield 'Plan: One.\\n#E1 = price["AAPL"]\\nPlan: Say it.\\n#E2 = llm["Say it.", #E1]\\n'
    elif "symbol" in text:
        yield "[FUNC price('AAPL') = y1]\\nIt is y1."
    else:
        yield '1. price("AAPL")\\n2. llm("Say it.", $1)\\n3. join()\\n'
"""


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, heddle_in: type[Heddle]) -> str:
    """A results file of three strategies, two questions each."""
    program = heddle_in(tmp_path_factory.mktemp("compared"))
    program.write("questions.jsonl", QUESTIONS)
    program.write("planner.py", PLANNER)
    program.write("tools.py", TOOLS)
    done = program(
        *("compare", "questions.jsonl", "--strategies", "llmcompiler,rewoo,direct", "-q"),
        *("--model", "python:planner:model", "--tools", "tools.py", "--output", "r.jsonl"),
    )
    assert done.status == 0, done.err
    return (program.folder / "r.jsonl").read_text()


TOOLS = '''
import heddle

@heddle.tool(effect="read")
def price(ticker: str) -> float:
    """Latest price in USD."""
    return 231.5
'''


@pytest.fixture
def kept(heddle: Heddle, results: str) -> str:
    return heddle.write("r.jsonl", results)


def test_runs_give_rows_of_every_kind_and_what_gave_none_is_counted(
    heddle: Heddle, kept: str
) -> None:
    done = heddle("export", "plans", kept)
    assert done.status == 0
    found = rows(done.out)
    kinds = [row["kind"] for row in found]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        **{"plan": 4, "decomposer": 4, "solver": 8},
    }
    plan = next(row for row in found if row["kind"] == "plan" and row["strategy"] == "rewoo")
    assert plan["question"] == "How much more is MSFT than AAPL?"
    assert plan["tools"][0]["signature"] == "price(ticker: str) -> float"
    assert plan["plan"].startswith("Plan: One.\n#E1 = price[AAPL]")
    assert plan["verdict"]["correct"] is True
    assert "4 plan, 4 decomposer, 8 solver rows of 6 runs or recorded plans" in done.err
    assert "no-plan" in done.err


def test_a_step_that_asked_a_model_is_a_row_with_what_the_model_read(
    heddle: Heddle, kept: str, capfd: pytest.CaptureFixture[str]
) -> None:
    done = heddle.inside(capfd, "export", "plans", kept, "--kinds", "solver", "-q")
    step = next(row for row in rows(done.out) if row["task"] == "step")
    assert (step["instruction"], step["context"]) == ("Say it.", 231.5)
    assert step["answer"] == "CANARY 186.5"


def test_rows_for_planners_hold_no_result(
    heddle: Heddle, kept: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for form in ("rows", "chat"):
        done = heddle.inside(
            capfd, "export", "plans", kept, "--kinds", "plan,decomposer", "--format", form
        )
        assert done.status == 0
        assert "CANARY" not in done.out
        assert "231.5" not in done.out


def test_only_correct_runs_are_kept_on_request(
    heddle: Heddle, kept: str, capfd: pytest.CaptureFixture[str]
) -> None:
    done = heddle.inside(
        capfd, "export", "plans", kept, "--only", "correct", "--json", "--output", "out.jsonl"
    )
    assert (done.status, done.err) == (0, "")
    summary = done.json
    assert summary["rows"] == {"plan": 2, "decomposer": 2, "solver": 4}
    reasons = {(each["kind"], each["reason"]): each["count"] for each in summary["left_out"]}
    assert reasons["plan", "not-correct"] == 2
    assert reasons["plan", "no-plan"] == 2
    assert {row["id"] for row in rows((heddle.folder / "out.jsonl").read_text())} == {"q1"}


def test_chat_rows_are_messages_and_nothing_else(
    heddle: Heddle, kept: str, capfd: pytest.CaptureFixture[str]
) -> None:
    done = heddle.inside(capfd, "export", "plans", kept, "--format", "chat")
    found = rows(done.out)
    assert found
    for row in found:
        assert list(row) == ["messages"]
        assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
        assert all(message["content"] for message in row["messages"])


def test_a_run_that_was_torn_is_passed_over_and_one_kept_before_plans_were_is_counted(
    heddle: Heddle, results: str, capfd: pytest.CaptureFixture[str]
) -> None:
    head, first, second, *_ = results.splitlines()
    old = {name: value for name, value in json.loads(first).items() if name != "trace"}
    heddle.write("r.jsonl", f"{head}\n{json.dumps(old)}\n{second}\n" + second[:100])
    done = heddle.inside(
        capfd, "export", "plans", "r.jsonl", "--kinds", "plan", "--json", "--output", "out.jsonl"
    )
    assert done.json["sources"] == 2
    assert done.json["left_out"] == [{"kind": "plan", "reason": "no-trace", "count": 1}]


RECORDED = [
    {"id": "a", "question": "Q?", "text": '1. price("A")\n2. join()', "correct": True},
    {"id": "b", "text": '1. prise("A")\n2. join()', "dialect": "llmcompiler"},
    {"id": "c", "question": "Q?", "plan": "1. price($7", "gold_agrees": False},
    {"id": "d", "text": " "},
]


def test_recorded_plans_give_rows_with_a_verdict(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    heddle.write("plans.jsonl", "".join(json.dumps(row) + "\n" for row in RECORDED))
    heddle.write(
        "asked.jsonl", '{"id": "b", "question": "B?", "answer": "1"}\n'
        '{"id": "d", "question": "D?", "answer": "1"}\n'
    )  # fmt: skip
    done = heddle.inside(
        capfd,
        *("export", "plans", "plans.jsonl", "--questions", "asked.jsonl"),
        *("--tools", "tools.py", "--kinds", "plan"),
    )
    found = {row["id"]: row for row in rows(done.out)}
    assert {id: row["question"] for id, row in found.items()} == {"a": "Q?", "b": "B?", "c": "Q?"}
    assert found["a"]["verdict"] == {"correct": True, "clean": True, "findings": []}
    assert found["b"]["verdict"]["findings"] == ["unknown-tool"]
    assert (found["c"]["canonical"], found["c"]["verdict"]["correct"]) == (None, False)
    assert "no-plan" in done.err


BAD = {
    "empty": ("", "plans.jsonl is empty"),
    "no JSON": ("{\n", "plans.jsonl:1:2: it is not JSON"),
    "a list": ("[1]\n", "plans.jsonl:1: it is no JSON object"),
    "no text": ('{"id": 1}\n', "plans.jsonl:1: there is no `text`"),
    "dialect": ('{"text": "x", "dialect": "yaml"}\n', "plans.jsonl:1: there is no dialect 'yaml'"),
    "dialect type": ('{"text": "x", "dialect": 1}\n', "plans.jsonl:1: `dialect` must be a text"),
    "question": ('{"text": "x", "question": 1}\n', "plans.jsonl:1: `question` must be a text"),
    "tools": ('{"text": "x", "tools": [1]}\n', "plans.jsonl:1: `tools`: a tool has"),
    "deep": ('{"text": ' + "[" * 200_000, "plans.jsonl:1: it is not JSON: it nests too deep"),
    "run": ('{"heddle_compare": 1}\n{"a": 1}\n', "plans.jsonl:2: no run of heddle compare"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_file_that_is_none_is_refused_with_the_place(
    heddle: Heddle, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    text, message = BAD[fault]
    heddle.write("plans.jsonl", text)
    done = heddle.inside(capfd, "export", "plans", "plans.jsonl")
    assert (done.status, done.out) == (2, "")
    assert message in done.err


def test_a_trace_that_is_none_is_refused(
    heddle: Heddle, results: str, capfd: pytest.CaptureFixture[str]
) -> None:
    head, first, *_ = results.splitlines()
    odd = {**json.loads(first), "trace": {"question": "Q?"}}
    heddle.write("r.jsonl", f"{head}\n{json.dumps(odd)}\n")
    done = heddle.inside(capfd, "export", "plans", "r.jsonl")
    assert done.status == 2
    assert "its plans are no kept plans" in done.err


def test_kinds_that_there_are_not_and_no_row_at_all(
    heddle: Heddle, kept: str, capfd: pytest.CaptureFixture[str]
) -> None:
    done = heddle.inside(capfd, "export", "plans", kept, "--kinds", "plan,poem")
    assert done.status == 2
    assert "poem is none of plan, decomposer, solver" in done.err
    heddle.write("one.jsonl", '{"text": "1. f()\\n"}\n')
    assert heddle.inside(capfd, "export", "plans", "one.jsonl").status == 1


@needs_corpus("recorded_plans", "gsm8k")
def test_every_recorded_plan_of_gsm8k_is_a_row(
    heddle: Heddle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plans, asked = whole("recorded_plans"), whole("gsm8k")
    assert plans is not None
    assert asked is not None
    done = heddle.inside(
        capfd,
        *("export", "plans", str(plans / "gsm8k.jsonl"), "--only", "correct", "--json"),
        *("--questions", str(asked / "gsm8k.dev.jsonl"), "--output", str(tmp_path / "out.jsonl")),
    )
    assert done.json["rows"]["plan"] == done.json["sources"] == 120
