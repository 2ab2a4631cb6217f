"""`heddle export chains`: JSON lines of chains on stdout, what came of the rest on stderr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from corpora import needs_corpus, whole
from heddle.plan.dialects import parse

if TYPE_CHECKING:
    from conftest import Heddle

ROWS = [
    {
        "id": 7,
        "question": "How much?",
        "answer": "She has 16-3=<<16-3=13>>13 eggs.\n13*2=$<<13*2=26>>26.\n#### 26",
    },
    {"question": "No annotation?", "answer": "Three.\n#### 3"},
    {"question": "Wrong?", "answer": "<<2+2=5>>5\n#### 5"},
    {"question": "No gold?", "answer": "<<2+2=4>>4"},
    {"question": "Gold apart?", "solution": "<<2+2=4>>4", "answer": 4},
    {"id": "a", "final": "4", "one": {"solution": "<<2+2=4>>4\nA: 4"}, "two": {"solution": "4"}},
]


@pytest.fixture
def answers(heddle: Heddle) -> str:
    return heddle.write("answers.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS))


def test_chains_go_to_stdout_and_the_rest_is_counted_by_reason(
    heddle: Heddle, answers: str
) -> None:
    done = heddle("export", "chains", answers)
    assert done.status == 0
    first, *others = map(json.loads, done.out.splitlines())
    chain = "She has [16 - 3 = y1] eggs.\n$[y1 * 2 = y2].\nThe answer is y2."
    assert first == {
        "id": "7",
        "question": "How much?",
        "chain": chain,
        "steps": [
            {"id": "y1", "tool": "compute", "args": {"expression": "16 - 3"}},
            {
                "id": "y2",
                "tool": "compute",
                "args": {"expression": "a * 2", "values": {"a": {"$ref": "y1"}}},
            },
        ],
        "values": {"y1": 13, "y2": 26},
        "gold": "26",
        "answer": 26,
    }
    assert [step.id for step in parse(chain).steps] == ["y1", "y2"]
    assert [(row["id"], row["answer"]) for row in others] == [("", 4), ("a/one", 4)]
    assert "3 of 7 answers gave a chain whose answer comes out" in done.err
    assert "5 of 6 annotations reproduced by the tools" in done.err
    assert [line.split() for line in done.err.splitlines()[3:]] == [
        ["no-annotation", "2", "2,", "6"],
        ["annotation-not-reproduced", "1", "3"],
        ["no-gold", "1", "4"],
    ]


def test_the_summary_is_one_json_object(
    heddle: Heddle, answers: str, capfd: pytest.CaptureFixture[str]
) -> None:
    done = heddle.inside(capfd, "export", "chains", answers, "--json", "--output", "out.jsonl")
    assert (done.status, done.err) == (0, "")
    summary = done.json
    assert len((heddle.folder / "out.jsonl").read_text().splitlines()) == 3
    wrong = next(row for row in summary.pop("lines") if row["line"] == 3)
    assert wrong["message"] == "2 + 2 is 4, not 5"
    assert summary == {
        **{"answers": 7, "converted": 5, "kept": 3, "annotations": 6, "reproduced": 5},
        "refused": {"no-annotation": 2, "annotation-not-reproduced": 1, "no-gold": 1},
    }


def test_nothing_kept_is_a_failure(heddle: Heddle, capfd: pytest.CaptureFixture[str]) -> None:
    name = heddle.write("none.jsonl", '{"answer": "none"}\n\n')
    done = heddle.inside(capfd, "export", "chains", name, "--quiet")
    assert (done.status, done.out, done.err) == (1, "", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ('{"answer": "x"}\n\n{"answer":\n', "line 3 is not JSON"),
        ("[1]\n", "line 1 is no JSON object"),
        ('{"question": "x", "answer": 3}\n', "line 1 has no `answer`"),
        ("[" * 100_000, "line 1 is not JSON"),
        (b"\xff\n", "not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_with_its_line(
    heddle: Heddle, text: str | bytes, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    name = heddle.write("bad.jsonl", text)
    done = heddle.inside(capfd, "export", "chains", name)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert "hint: " in done.err


def test_answers_come_from_stdin_too(heddle: Heddle) -> None:
    done = heddle("export", "chains", "-", stdin='{"answer": "<<1+1=2>>2\\n#### 2"}')
    assert done.status == 0
    assert json.loads(done.out)["chain"] == "[1 + 1 = y1]\nThe answer is y1."


def test_an_output_that_cannot_be_written_is_refused_first(
    heddle: Heddle, answers: str, capfd: pytest.CaptureFixture[str]
) -> None:
    done = heddle.inside(capfd, "export", "chains", answers, "--output", "no/such/file")
    assert done.status == 2
    assert "cannot write" in done.err


def test_export_alone_says_what_there_is(heddle: Heddle, capfd: pytest.CaptureFixture[str]) -> None:
    done = heddle.inside(capfd, "export")
    assert (done.status, done.out) == (2, "")
    assert "chains" in done.err
    done = heddle.inside(capfd, "export", "nothing")
    assert done.status == 2


@needs_corpus("gsm8k")
def test_real_solutions_go_through_and_wrong_arithmetic_is_counted(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = whole("gsm8k")
    assert folder is not None
    rows = Path(folder, "model_solutions.dev.jsonl").read_text(encoding="utf-8").splitlines()
    name = heddle.write("solutions.jsonl", "\n".join(rows[:100]))
    done = heddle.inside(capfd, "export", "chains", name, "--json")
    assert done.status == 0
    assert (done.json["answers"], done.json["kept"]) == (400, 178)
    assert done.json["refused"] == {
        "gold-not-annotated": 217,
        "annotation-not-reproduced": 2,
        "no-annotation": 2,
        "unreadable-annotation": 1,
    }
