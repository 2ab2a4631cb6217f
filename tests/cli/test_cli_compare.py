"""`heddle compare`: a table, an object, a results file that is gone on from, and clear refusals."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from corpora import whole
from heddle.testing import SimulatedProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Heddle

QUESTIONS = """\
{"id": "q1", "question": "How much more is MSFT than AAPL?", "answer": "186.5"}
{"id": "q2", "question": "How much more, in dollars?", "answer": "186.5 dollars"}
{"id": "q3", "question": "Who is it?", "answer": "Badr Hari"}
"""

CHATTY = """
import asyncio, json, pathlib

def words(messages):
    return "\\n".join(message["content"] for message in messages)

async def fails_on_q2(messages, *, role, **options):
    if "in dollars" in words(messages):
        raise ValueError("no weights")
    if role == "planner":
        yield '1. price("AAPL")\\n2. join()\\n'
    else:
        yield '{"action": "finish", "answer": "231.5"}'

async def flaky(messages, *, role, **options):
    if "in dollars" in words(messages) and not pathlib.Path("well").exists():
        raise ValueError("no weights")
    yield '1. compute("1")\\n' if role == "planner" else '{"action": "finish", "answer": "1"}'

async def slow(messages, *, role, **options):
    log = pathlib.Path("asked")
    asked = log.read_text().splitlines() if log.exists() else []
    log.write_text("\\n".join([*asked, role]) + "\\n")
    if len(asked) == 4 and not pathlib.Path("go").exists():
        pathlib.Path("started").touch()
        await asyncio.sleep(60)
    if role == "planner":
        yield '1. price("AAPL")\\n2. join()\\n'
    else:
        yield '{"action": "finish", "answer": "186.5 dollars"}'
"""

GOOD = ("--model", "python:models:good", "--tools", "tools.py")


@pytest.fixture(autouse=True)
def questions(heddle: Heddle) -> None:
    heddle.write("q.jsonl", QUESTIONS)
    heddle.write("chatty.py", CHATTY)


def results_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.results.jsonl"))


def test_a_table_goes_to_stdout_and_the_course_of_things_to_stderr(heddle: Heddle) -> None:
    done = heddle("compare", "q.jsonl", "--strategies", "llmcompiler,auto", *GOOD)
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0].split()[:3] == ["strategy", "runs", "accuracy"]
    assert lines[1].split()[:4] == ["llmcompiler", "3", "67", "%"]
    assert lines[2].split()[0] == "auto"
    assert "auto against llmcompiler, 3 questions of both" in done.out
    assert "no difference shown" in done.out
    assert "estimated" in done.out
    assert re.search(r"right +1/6 llmcompiler  q1", done.err)
    assert "results: q-" in done.err
    assert "\x1b" not in done.out + done.err


def test_one_object_with_every_run(heddle: Heddle) -> None:
    done = heddle("compare", "q.jsonl", "--strategies", "llmcompiler", *GOOD, "--json")
    assert done.status == 0
    assert (done.json["wanted"], done.json["finished"], done.json["failed"]) == (3, 3, 0)
    (own,) = done.json["strategies"]
    assert own["accuracy"]["value"] == pytest.approx(2 / 3)
    assert own["accuracy"]["low"] < 2 / 3 < own["accuracy"]["high"]
    assert (own["exact"], own["number"]) == (pytest.approx(1 / 3), 1.0)
    assert own["model_calls"] == 2.0
    assert own["estimated"] is True
    assert own["cost_usd"] is None
    runs = done.json["runs"]
    assert [run["right"] for run in runs] == [True, True, False]
    assert runs[2]["gold"] == ["Badr Hari"]
    assert runs[0]["answer"] == "186.5 dollars"
    assert Path(heddle.folder, done.json["results"]).exists()


def test_limit_repeats_and_tolerance(heddle: Heddle) -> None:
    heddle.write("n.jsonl", '{"question": "How much?", "answer": "190"}\n' * 1 + QUESTIONS)
    args = ("compare", "n.jsonl", "--strategies", "llmcompiler", *GOOD, "--json", "--limit", "1")
    strict = heddle(*args, "--repeats", "2").json
    assert [run["right"] for run in strict["runs"]] == [False, False]
    loose = heddle(*args, "--repeats", "2", "--tolerance", "0.05").json
    assert [run["right"] for run in loose["runs"]] == [True, True]
    assert loose["results"] == strict["results"]  # judged again, not run again
    assert loose["runs"][0]["timing"] == strict["runs"][0]["timing"]


def test_the_page_is_written(heddle: Heddle) -> None:
    done = heddle("compare", "q.jsonl", "--strategies", "llmcompiler", *GOOD, "--report", "r.html")
    assert done.status == 0
    page = (heddle.folder / "r.html").read_text()
    assert "Who is it?" in page
    assert "Badr Hari" in page


def test_some_runs_that_failed_are_rows_with_their_codes_and_exit_1(heddle: Heddle) -> None:
    done = heddle(
        *("compare", "q.jsonl", "--strategies", "llmcompiler", "--tools", "tools.py"),
        *("--model", "python:chatty:fails_on_q2"),
    )
    assert done.status == 1
    assert re.search(r"failed +2/3 llmcompiler  q2", done.err)
    assert "  1 model-function-failed  " in done.out.splitlines()[1]
    assert "1 failed; the same command with --retry-failed makes them again" in done.err


def test_failed_runs_are_made_again_on_demand(heddle: Heddle) -> None:
    args = ("compare", "q.jsonl", "--strategies", "llmcompiler", "--model", "python:chatty:flaky")
    assert heddle(*args).status == 1
    (heddle.folder / "well").touch()
    assert heddle(*args).status == 1  # it is a result like any other
    done = heddle(*args, "--retry-failed")
    assert done.status == 0
    assert "2 of them done before, 1 of them failed and made again" in done.err
    assert len(re.findall("^(right|wrong|failed)", done.err, re.MULTILINE)) == 1
    assert heddle(*args).status == 0


def test_what_auto_chose_is_told_in_the_table_the_lines_the_object_and_the_page(
    heddle: Heddle,
) -> None:
    args = ("compare", "q.jsonl", "--strategies", "auto", *GOOD)
    done = heddle(*args, "--report", "r.html")
    assert "auto chose llmcompiler in 3 of 3 runs" in done.out
    assert "1/3 auto → llmcompiler  q1" in done.err
    page = (heddle.folder / "r.html").read_text()
    assert "auto chose llmcompiler in 3 of 3 runs" in page
    assert "auto → llmcompiler" in page
    run = heddle(*args, "--json").json["runs"][0]
    assert run["chosen"]["strategy"] == "llmcompiler"
    assert run["chosen"]["reasons"]


def test_a_model_that_fails_from_the_start_ends_it_with_exit_4(heddle: Heddle) -> None:
    args = ("compare", "q.jsonl", "--strategies", "llmcompiler,auto", "--tools", "tools.py")
    done = heddle(*args, "--model", "openai:x", OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert (done.status, done.out) == (4, "")
    assert "cannot reach http://127.0.0.1:9" in done.err
    assert results_in(heddle.folder) == []


@pytest.mark.parametrize(
    ("questions", "said"),
    [
        ("", "none.jsonl holds no question"),
        ('{"question": "?", "answer": "x"}\n{oops}\n', "none.jsonl:2:2: it is not JSON"),
        ('{"question": "?"}\n', "none.jsonl:1: there is no `answer`"),
    ],
)
def test_questions_that_cannot_be_used(
    heddle: Heddle, capfd: pytest.CaptureFixture[str], questions: str, said: str
) -> None:
    heddle.write("none.jsonl", questions)
    done = heddle.inside(capfd, "compare", "none.jsonl", "--strategies", "llmcompiler", *GOOD)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert "hint:" in done.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("missing.jsonl", "--strategies", "auto", *GOOD), "cannot read the questions"),
        (("q.jsonl", "--strategies", "llmcompile", *GOOD), "did you mean 'llmcompiler'?"),
        (("q.jsonl", "--strategies", " , ", *GOOD), "--strategies names none"),
        (("q.jsonl", *GOOD), "Missing option '--strategies'"),
        (("q.jsonl", "--strategies", "auto"), "no model was given"),
        (("q.jsonl", "--strategies", "auto", *GOOD, "--paragraphs"), "holds no paragraphs"),
        (("q.jsonl", "--strategies", "auto", *GOOD, "--tolerance", "-1"), "below 0"),
        (("q.jsonl", "--strategies", "auto", *GOOD, "--tolerance", "nan"), "not a number"),
        (("q.jsonl", "--strategies", "auto", *GOOD, "--output", "q.jsonl"), "q.jsonl:1"),
        (("q.jsonl", "--strategies", "auto", *GOOD, "--report", "no/r.html"), "cannot write"),
    ],
)
def test_wrong_usage_is_exit_2_before_anything_runs(
    heddle: Heddle, capfd: pytest.CaptureFixture[str], args: tuple[str, ...], said: str
) -> None:
    done = heddle.inside(capfd, "compare", *args)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert results_in(heddle.folder) == []
    assert (heddle.folder / "q.jsonl").read_text() == QUESTIONS


def test_a_tool_that_declares_an_effect_is_not_called_in_every_run(
    heddle: Heddle, capfd: pytest.CaptureFixture[str]
) -> None:
    heddle.write("writer.py", "import heddle\n@heddle.tool(effect='write')\n"
                 'def pay(to: str) -> str:\n    "Pay."\n    return to\n')  # fmt: skip
    args = ("compare", "q.jsonl", "--strategies", "llmcompiler", *GOOD, "--tools", "writer.py")
    done = heddle.inside(capfd, *args)
    assert done.status == 2
    assert "pay would change the world each time" in done.err
    assert heddle(*args, "--yes").status == 0


def test_other_settings_for_one_file_are_refused_and_the_way_out_is_said(heddle: Heddle) -> None:
    args = ("compare", "q.jsonl", "--strategies", "llmcompiler", "--output", "mine.jsonl")
    assert heddle(*args, *GOOD).status == 0
    done = heddle(*args, "--model", "python:models:wrong", "--tools", "tools.py")
    assert (done.status, done.out) == (2, "")
    assert "model was python:models:good and is python:models:wrong" in done.err
    assert "anew" in done.err


def test_help_shows_examples(heddle: Heddle, capfd: pytest.CaptureFixture[str]) -> None:
    done = heddle.inside(capfd, "compare", "--help")
    assert done.status == 0
    assert "Examples:" in done.out
    assert "--report hotpotqa.html" in done.out


# -- stopped and gone on -------------------------------------------------------------------------


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(heddle: Heddle) -> None:
    slow = ("--model", "python:chatty:slow", "--tools", "tools.py", "--report", "r.html")
    args = ("compare", "q.jsonl", "--strategies", "llmcompiler", *slow)
    process = subprocess.Popen(
        [*heddle.command, *args],
        cwd=heddle.folder,
        env=heddle.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    latest = time.monotonic() + 30
    while not (heddle.folder / "started").exists() and time.monotonic() < latest:
        threading.Event().wait(0.02)
    second = heddle(*args)
    assert second.status == 2
    assert f"another heddle compare (process {process.pid}) is writing its results" in second.err
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "2 of 3 runs are kept in q-" in err
    assert list(heddle.folder.glob("*.lock")) == []
    assert "the same command goes on" in err
    assert out.splitlines()[1].split()[:2] == ["llmcompiler", "2"]
    assert "stopped before its end" in (heddle.folder / "r.html").read_text()
    (path,) = results_in(heddle.folder)
    kept = path.read_text()
    assert len(kept.splitlines()) == 3
    (heddle.folder / "go").touch()
    done = heddle(*args)
    assert done.status == 0
    assert "2 of them done before" in done.err
    assert path.read_text().startswith(kept)
    assert len(path.read_text().splitlines()) == 4
    asked = (heddle.folder / "asked").read_text().split()
    assert asked == ["planner", "joiner"] * 2 + ["planner"] + ["planner", "joiner"]
    again = heddle(*args)
    assert (again.status, again.out) == (0, done.out)
    assert (heddle.folder / "asked").read_text().split() == asked


def test_a_terminal_gets_a_bar_that_is_taken_away(heddle: Heddle) -> None:
    pty = pytest.importorskip("pty", reason="terminals are tested where there are some")
    child, terminal = pty.fork()
    args = ["compare", "q.jsonl", "--strategies", "llmcompiler,auto", *GOOD]
    if child == 0:
        os.chdir(heddle.folder)
        os.execve(heddle.command[0], [*heddle.command, *args], heddle.environment)
    screen = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        screen += piece
        if not piece:
            break
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    shown = screen.decode()
    assert os.waitstatus_to_exitcode(status) == 0
    assert "/6" in shown
    assert "ETA" in shown
    before, _, after = shown.rpartition("\r\x1b[K")
    assert "6/6" in before
    assert "ETA" not in after
    assert after.lstrip("\x1b[1m").startswith("strategy")


# -- the documented commands ---------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "compare.md"
HOTPOTQA = [
    {"id": "h1", "question": "Who was once considered the best kick boxer?", "answer": "Badr Hari",
     "context": [["Badr Hari", ["Badr Hari is a kickboxer.", " He was the best."]]]},
    {"id": "h2", "question": "In what state is Bisquick made?", "answer": "Minnesota",
     "context": [["General Mills", ["General Mills makes Bisquick in Minnesota."]]]},
]  # fmt: skip
PARALLELQA = [{"id": "1", "question": "Which trench is deeper?", "answer": "12.5", "branch": 2}]
MOVIE = [{"id": "0", "question": "Find a movie similar to Jaws\nOptions:\nPiranha\nHeidi\n",
          "answer": "Piranha"}]  # fmt: skip
SAMPLES: dict[str, list[dict[str, Any]]] = {
    "hotpotqa.jsonl": HOTPOTQA,
    "parallelqa.jsonl": PARALLELQA,
    "movie.jsonl": MOVIE,
}


def published(name: str) -> list[dict[str, Any]]:
    """The questions of a file: the published ones where they are, else our own of that form."""
    folder = whole("hotpotqa") if name == "hotpotqa.jsonl" else whole("llmcompiler")
    if folder is None:
        return SAMPLES[name]
    (path,) = folder.glob(f"{Path(name).stem}.*jsonl")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


GOLDS = {row["question"].strip(): row["answer"] for name in SAMPLES for row in published(name)}


def knowing(body: dict[str, Any]) -> str:
    """Plans one search, and knows every answer."""
    text = "\n".join(str(message.get("content")) for message in body["messages"])
    gold = next(gold for question, gold in GOLDS.items() if question in text)
    if "You plan tool calls" in text:
        return f'1. search("{gold}")\n2. join()\n'
    if "Decide:" in text:
        return json.dumps({"action": "finish", "answer": gold})
    return gold


def commands() -> list[str]:
    text = PAGE.read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [block for block in blocks if "heddle compare" in block]


@pytest.fixture
def wiki() -> Iterator[str]:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"query": {"pages": [{"title": "It", "extract": "It is 12.5 m."}]}}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("command", commands(), ids=lambda block: block.split()[2])
def test_a_documented_command_runs_end_to_end(heddle: Heddle, command: str, wiki: str) -> None:
    for name in SAMPLES:
        heddle.write(name, "\n".join(map(json.dumps, published(name))))
    assert "--limit 50" in command
    command = command.replace("--limit 50", "--limit 5")
    strategies = re.search(r"--strategies (\S+)", command)
    assert strategies is not None

    async def served() -> tuple[int, str, str]:
        async with SimulatedProvider(knowing) as provider:
            process = await asyncio.create_subprocess_shell(
                command.replace("heddle compare", '"$PYTHON" -m heddle.cli compare --json'),
                cwd=heddle.folder,
                env={
                    **heddle.environment,
                    "PYTHON": heddle.command[0],
                    "OPENAI_BASE_URL": provider.base_url,
                    "HEDDLE_WIKIPEDIA_URL": wiki,
                },
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await process.communicate()
            assert process.returncode is not None
            return process.returncode, out.decode(), err.decode()

    status, out, err = asyncio.run(served())
    assert status == 0, err + out
    given = json.loads(out)
    assert [own["strategy"] for own in given["strategies"]] == strategies[1].split(",")
    assert {own["accuracy"]["value"] for own in given["strategies"]} == {1.0}
    planned = next(own for own in given["strategies"] if own["strategy"] == "llmcompiler")
    assert planned["model_calls"] == 2.0
    assert planned["critical_path_s"] > 0
    assert planned["failed"] == {}
    report = re.search(r"--report (\S+)", command)
    assert report is not None
    assert (heddle.folder / report[1]).stat().st_size > 5000
