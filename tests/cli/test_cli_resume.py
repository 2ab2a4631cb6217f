"""`heddle resume`: runs that were stopped are finished, and nothing is done twice."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from heddle.cli.journals import caller_of
from heddle.cli.resume import resolutions
from heddle.engine.journal.places import default_place

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Heddle

TOOLS = """
import asyncio, os, pathlib
import heddle

async def _noted(word):
    with open("done.txt", "a") as file:
        file.write(word + "\\n")

@heddle.tool(effect="read")
async def look(name: str) -> str:
    await _noted("look " + name)
    return name + "@example.org"

@heddle.tool(effect="write")
async def send(to: str) -> str:
    await _noted("send " + to)
    if pathlib.Path("die").exists():
        os.kill(os.getpid(), 9)
    return "sent to " + to

@heddle.tool(effect="write")
async def hang(to: str) -> str:
    pathlib.Path("started").touch()
    await asyncio.sleep(60)
    return to
"""
PLAN = '1. look("bob")\n2. send($1)\n3. send("eve")\n4. join("$2, $3")\n'


@pytest.fixture
def shop(heddle: Heddle) -> Heddle:
    """The program where a plan with two writes can be killed in the middle of one."""
    heddle.write("post.py", TOOLS)
    heddle.write("post.txt", PLAN)
    return heddle


def run(heddle: Heddle, *more: str) -> subprocess.CompletedProcess[bytes]:
    """Run the plan, one step at a time; it may well be killed."""
    return subprocess.run(
        [*heddle.command, "run", "post.txt", "--tools", "post.py", "--concurrency", "1", *more],
        cwd=heddle.folder,
        env=heddle.environment,
        capture_output=True,
        timeout=60,
        check=False,
    )


def killed(heddle: Heddle) -> None:
    """A run that died within its first write, after it had happened."""
    heddle.write("die", "")
    assert run(heddle).returncode == -signal.SIGKILL
    (heddle.folder / "die").unlink()


def noted(heddle: Heddle) -> list[str]:
    return (heddle.folder / "done.txt").read_text().splitlines()


def test_a_write_in_doubt_is_not_repeated_and_somebody_is_asked(shop: Heddle) -> None:
    killed(shop)
    done = shop("resume", "last", "--json")
    assert done.status == 7
    assert done.json["status"] == "unresolved"
    by_id = {step["id"]: step["status"] for step in done.json["steps"]}
    assert sorted(by_id.values()) == ["done", "done", "unknown"]
    (unknown,) = (id for id, status in by_id.items() if status == "unknown")
    assert f"to go on: heddle resume {done.json['run_id']} --resolve {unknown}=" in done.err
    assert len(noted(shop)) == len(set(noted(shop))) == 3


def test_what_a_person_says_of_a_write_is_its_result(shop: Heddle) -> None:
    killed(shop)
    unknown = shop("resume", "last").err.split("--resolve ")[1].split("=")[0]
    done = shop("resume", "last", "--resolve", f'{unknown}=done:"they got it"')
    assert done.status == 0
    assert "they got it" in done.out
    assert len(noted(shop)) == len(set(noted(shop))) == 3
    assert shop("audit", "last").status == 0


def test_what_was_done_before_is_one_line(shop: Heddle) -> None:
    killed(shop)
    said = shop("resume", "last").err
    assert re.search(r"^[12] of 3 steps were done before$", said, re.MULTILINE)
    looks = [line for line in said.splitlines() if line.startswith("done") and " look " in line]
    assert len(looks) == 1  # in the table of what came out


def test_an_effect_that_was_about_to_begin_is_shown_as_cut_off(shop: Heddle) -> None:
    killed(shop)
    statuses = [step["status"] for step in shop("show", "last", "--json").json["steps"]]
    assert "running" in statuses
    assert "cut-off" in shop("show", "last").out


def test_a_write_that_did_not_happen_is_done_now(shop: Heddle) -> None:
    killed(shop)
    unknown = shop("resume", "last").err.split("--resolve ")[1].split("=")[0]
    done = shop("resume", "last", "--resolve", f"{unknown}=not-done", "--json")
    assert (done.status, done.json["status"]) == (0, "succeeded")
    assert len(noted(shop)) == 4
    assert shop("audit", "last").status == 0


def test_a_run_that_is_over_is_not_run_again(shop: Heddle) -> None:
    first = run(shop, "--json")
    assert first.returncode == 0
    done = shop("resume", "last", "--json")
    assert done.json == json.loads(first.stdout)
    assert len(noted(shop)) == 3
    (shop.folder / "post.py").unlink()  # nobody needs the tools any more
    again = shop("resume", "last")
    assert f"run {done.json['run_id']} is over, and is not run again: succeeded" in again.err
    assert (again.status, again.out) == (0, done.json["answer"] + "\n")
    wrong = shop("resume", "last", "--resolve", "1=done", "--json")
    assert (wrong.status, wrong.json["error"]["code"]) == (2, "not-unknown")
    assert wrong.json["run_id"] == done.json["run_id"]


def test_a_run_is_gone_on_with_from_any_folder(shop: Heddle, tmp_path: Path) -> None:
    killed(shop)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [*shop.command, "resume", "last"],
        cwd=elsewhere,
        env=shop.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 7, done.stderr


def test_tools_that_were_moved_are_asked_for(shop: Heddle) -> None:
    killed(shop)
    (shop.folder / "post.py").rename(shop.folder / "mail.py")
    done = shop("resume", "last")
    assert done.status == 2
    assert "the run was begun with it; --tools says where it is now" in done.err
    assert shop("resume", "last", "--tools", "mail.py").status == 7


def hanging(heddle: Heddle) -> subprocess.Popen[str]:
    """A run that is in the middle of a write which takes its time."""
    heddle.write("hang.txt", '1. look("bob")\n2. hang($1)\n')
    process = subprocess.Popen(
        [*heddle.command, "run", "hang.txt", "--tools", "post.py", "--json"],
        cwd=heddle.folder,
        env=heddle.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (heddle.folder / "started").exists():
        assert process.poll() is None
    return process


def test_an_interrupted_run_says_how_to_go_on(shop: Heddle) -> None:
    process = hanging(shop)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"to go on: heddle resume {json.loads(out)['run_id']}" in err
    hint = json.loads(out)["error"]["hint"]
    assert hint == "nobody saw the outcome of step 2: resume asks its probe, or you"
    asked = shop("resume", "last").err
    assert "--resolve 2=OUTCOME" in asked
    assert "not-done  it has not: do it now" in asked


def test_a_run_that_another_process_has_is_refused_and_then_taken_over(shop: Heddle) -> None:
    process = hanging(shop)
    assert shop("runs", "--json").json["runs"][0]["status"] == "running"
    done = shop("resume", "last", "--json")
    assert done.status == 2
    assert done.json["error"]["code"] == "run-leased"
    assert f"another process: process {process.pid} on " in done.json["error"]["message"]
    assert done.json["run_id"] == shop("runs", "--json").json["runs"][0]["run_id"]
    process.kill()
    process.communicate(timeout=30)
    assert shop("runs", "--json").json["runs"][0]["status"] == "stopped"
    assert shop("resume", "last").status == 7


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_takes_no_files_refuses_the_journal(shop: Heddle) -> None:
    (shop.folder / "shut").mkdir(mode=0o500)
    done = shop("run", "post.txt", "--tools", "post.py", "--journal", "shut/runs.db")
    assert done.status == 2
    assert "--no-journal" in done.err


def test_a_journal_that_cannot_be_written_is_exit_2_and_nothing_runs(shop: Heddle) -> None:
    shop.write("file", "")
    done = shop("run", "post.txt", "--tools", "post.py", "--journal", "file/runs.db")
    assert done.status == 2
    assert "--no-journal" in done.err
    assert not (shop.folder / "done.txt").exists()


def test_without_a_journal_nothing_is_kept(shop: Heddle) -> None:
    assert run(shop, "--no-journal").returncode == 0
    assert "no runs are kept" in shop("runs").err
    both = shop("run", "post.txt", "--no-journal", "--journal", "runs.db")
    assert (both.status, "give one" in both.err) == (2, True)


def test_the_default_place_is_a_file_of_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEDDLE_JOURNAL", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_place() == "/state/heddle/journal.db"
    monkeypatch.setenv("HEDDLE_JOURNAL", "elsewhere.db")
    assert default_place() == "elsewhere.db"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (["3"], "does not say what became of a step"),
        (["3=maybe"], "does not say what became of a step"),
        (["3=done:{"], "is not JSON"),
        (["3=not-done:1"], "has no value"),
        (["3=done", "3=failed"], "given twice"),
    ],
)
def test_a_resolution_that_says_nothing_is_wrong_usage(said: list[str], why: str) -> None:
    from heddle.errors import ConfigError

    with pytest.raises(ConfigError, match=why):
        resolutions(said)


MODELS = """
import json, os, pathlib

async def two_rounds(messages, *, role, round, **options):
    with open("asked.txt", "a") as file:
        file.write(f"{role} {round}\\n")
    if role == "joiner":
        if round == 1:
            return json.dumps({"action": "replan", "reason": "eve is missing"})
        return json.dumps({"action": "finish", "answer": "both know"})
    return '1. look("bob")\\n2. join()\\n' if round == 1 else '1. send("eve")\\n2. join()\\n'
"""


def test_a_question_is_gone_on_with_and_no_model_is_asked_again(shop: Heddle) -> None:
    shop.write("mods.py", MODELS)
    shop.write("die", "")
    options = ("--tools", "post.py", "--strategy", "llmcompiler")
    model = ("--model", "python:mods:two_rounds")
    died = subprocess.run(
        [*shop.command, "ask", "who knows?", *options, *model],
        cwd=shop.folder,
        env=shop.environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    (shop.folder / "die").unlink()
    assert shop("resume", "last").status == 7
    asked = (shop.folder / "asked.txt").read_text().split("\n")
    assert asked[:3] == ["planner 1", "joiner 1", "planner 2"]
    assert len(asked) == len(set(asked))


SHARED = """
import asyncio, os, pathlib, sqlite3
import heddle

@heddle.tool(effect="read", provider="p", fuse=False)
async def look(n: int) -> int:
    with open("done.txt", "a") as file:
        file.write(f"{n}\\n")
    if n == 2 and pathlib.Path("break").exists():
        os.remove("break")
        with sqlite3.connect(os.environ["HEDDLE_SHARED_LIMITS"]) as db:
            db.execute("DROP TABLE allowances")
        db.close()
        await asyncio.sleep(60)
    return n
"""


def test_shared_limits_that_break_in_mid_run_stop_it_and_are_shared_again(heddle: Heddle) -> None:
    heddle.write("shared.py", SHARED)
    heddle.write("shared.txt", "1. look(1)\n2. look(2)\n3. look(3)\n")
    heddle.write("break", "")
    place = heddle.folder / "limits.db"
    options = ("--tools", "shared.py", "--shared-limits", "--per-provider", "p=1")
    first = heddle("run", "shared.txt", *options, HEDDLE_SHARED_LIMITS=str(place))
    assert first.status == 2
    assert "shared limits cannot be kept" in first.err
    assert "to go on: heddle resume " in first.err
    place.unlink()
    done = heddle("resume", "last", "--json", HEDDLE_SHARED_LIMITS=str(place))
    assert done.status == 0
    assert [step["value"] for step in done.json["steps"]] == [1, 2, 3]
    assert noted(heddle) == ["1", "2", "2", "3"]
    assert place.exists()


def test_what_a_command_line_names_means_the_same_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tools.py").touch()
    found = caller_of(
        ["tools.py", "package.module"], yes=True, shared_limits=False,
        model="replay:said.jsonl", planner_model="openai:gpt-5-mini", joiner_model=None,
    )  # fmt: skip
    assert found == {
        "tools": [str(tmp_path / "tools.py"), "package.module"], "yes": True,
        "shared_limits": False,
        "model": f"replay:{tmp_path / 'said.jsonl'}", "planner_model": "openai:gpt-5-mini",
    }  # fmt: skip
