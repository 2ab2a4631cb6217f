"""`heddle runs`, `show` and `audit`: what a journal keeps, read by its user."""

from __future__ import annotations

import shlex
import sqlite3
from typing import TYPE_CHECKING

import pytest
from kept_runs import events_of, intent_at, keep

from heddle.cli.journals import go_on
from heddle.engine.events import RunFinished, StepEnded, StepUnknown

if TYPE_CHECKING:
    from conftest import Done, Heddle

PLACE = ("--journal", "runs.db")


@pytest.fixture
def call(heddle: Heddle, capfd: pytest.CaptureFixture[str]) -> object:
    return lambda *args: heddle.inside(capfd, *args, *PLACE)


@pytest.fixture
def finished(heddle: Heddle) -> str:
    """The id of a run that is over."""
    run, events = events_of()
    keep(heddle.folder / "runs.db", run, events, title="send word to Bob")
    return run


def stopped(heddle: Heddle, *, held: bool = False) -> str:
    """The id of a run that was cut off in the middle of its write."""
    run, events = events_of()
    cut = events[: intent_at(events) + 2]
    keep(heddle.folder / "runs.db", run, cut, title="cut off", held=held)
    return run


# -- runs ----------------------------------------------------------------------------------------


def test_a_journal_that_is_not_there_has_no_runs_and_is_not_made(heddle: Heddle, call) -> None:
    done: Done = call("runs")
    assert (done.status, done.out) == (0, "")
    assert "no runs are kept at runs.db" in done.err
    assert call("runs", "--json").json["runs"] == []
    assert not (heddle.folder / "runs.db").exists()


def test_runs_say_what_became_of_them_and_how_to_go_on(heddle: Heddle, call, finished: str) -> None:
    cut, live = stopped(heddle), stopped(heddle, held=True)
    done: Done = call("runs", "--json")
    rows = {row["run_id"]: row for row in done.json["runs"]}
    assert list(rows) == [live, cut, finished]
    assert {id: row["status"] for id, row in rows.items()} == {
        finished: "succeeded", cut: "stopped", live: "running",
    }  # fmt: skip
    assert rows[finished]["steps"] == {"done": 2, "total": 2}
    assert rows[cut]["steps"] == {"done": 1, "total": 2}
    assert rows[cut]["next"] == f"heddle resume {cut} --journal runs.db"
    assert rows[live]["next"] == rows[finished]["next"] == ""
    text = call("runs").out
    assert f"heddle resume {cut}" in text
    assert "send word to Bob" in text


def test_a_run_with_an_unknown_write_says_what_there_is_to_resolve(heddle: Heddle, call) -> None:
    run, events = events_of()
    cut = [
        *events[: intent_at(events) + 2],
        StepUnknown(1.0, "2", 1, "process-lost"),
        StepEnded(1.0, "2", "unknown", "process-lost"),
        RunFinished(1.0, "unresolved", None, "process-lost", "step 2 (send) unknown"),
    ]
    keep(heddle.folder / "runs.db", run, cut)
    (row,) = call("runs", "--json").json["runs"]
    assert (row["status"], row["unknown"]) == ("unresolved", ["2"])
    assert row["next"].endswith("--resolve 2=OUTCOME --journal runs.db")


def test_the_list_reads_no_journal(heddle: Heddle, call, finished: str) -> None:
    """So a damaged one costs no other its place, and is found by who looks into it."""
    damage(heddle, finished)
    (row,) = call("runs", "--json").json["runs"]
    assert (row["status"], row["steps"]) == ("succeeded", {"done": 2, "total": 2})
    assert call("show", finished).status == 2


def test_a_run_of_which_nothing_is_known_has_no_steps(heddle: Heddle, call) -> None:
    keep(heddle.folder / "runs.db", "ab01", [])
    assert call("runs", "--json").json["runs"][0]["steps"] is None
    assert "ab01" in call("runs").out


def damage(heddle: Heddle, run: str) -> None:
    """Change a byte in the middle of a run's first frame."""
    with sqlite3.connect(heddle.folder / "runs.db") as file:
        ((body,),) = file.execute("SELECT body FROM frames WHERE run = ? AND number = 0", (run,))
        changed = body[:100] + bytes([body[100] ^ 1]) + body[101:]
        file.execute("UPDATE frames SET body = ? WHERE run = ? AND number = 0", (changed, run))
    file.close()


def test_the_command_that_goes_on_may_be_given_to_a_shell_as_it_is() -> None:
    command = go_on("ab01", "unresolved", ["3[7]"], "my runs.db")
    words = ["heddle", "resume", "ab01", "--resolve", "3[7]=OUTCOME", "--journal", "my runs.db"]
    assert shlex.split(command) == words
    assert "'3[7]=OUTCOME'" in command  # a shell would look for files of that name


# -- which run -----------------------------------------------------------------------------------


def test_a_run_is_named_by_its_id_by_the_beginning_of_it_and_by_last(
    heddle: Heddle, call, finished: str
) -> None:
    for name in (finished, finished[:5], "last"):
        assert call("show", name, "--json").json["run_id"] == finished


def test_the_beginning_of_two_ids_is_refused_with_both(heddle: Heddle, call) -> None:
    for run in ("ab01", "ab02"):
        keep(heddle.folder / "runs.db", run, [])
    done: Done = call("show", "ab")
    assert done.status == 2
    assert "ab01" in done.err
    assert "ab02" in done.err
    assert "write more of its id" in done.err


@pytest.mark.parametrize("command", ["show", "audit"])
def test_an_unknown_run_is_wrong_usage(heddle: Heddle, call, finished: str, command: str) -> None:
    done: Done = call(command, "nobody")
    assert done.status == 2
    assert "there is no run 'nobody'" in done.err
    assert "heddle runs" in done.err
    assert call(command, "nobody", "--json").json["error"]["code"] == "run-unknown"


# -- show ----------------------------------------------------------------------------------------


def test_show_has_plan_steps_and_answer(heddle: Heddle, call, finished: str) -> None:
    out = call("show", finished).out
    assert "2  send($1)" in out
    assert "done  2" in out
    assert out.endswith("sent: sent to bob@example.org\n")


def test_show_as_json_is_the_object_of_the_run(heddle: Heddle, call, finished: str) -> None:
    found = call("show", finished, "--json").json
    assert found["status"] == "succeeded"
    assert found["answer"] == "sent: sent to bob@example.org"
    assert [step["status"] for step in found["steps"]] == ["done", "done"]


def test_show_tells_what_there_is_of_a_run_that_is_not_over(heddle: Heddle, call) -> None:
    run = stopped(heddle)
    found = call("show", run, "--json").json
    assert found["status"] == "stopped"
    assert [step["status"] for step in found["steps"]] == ["done", "running"]
    assert f"to go on: heddle resume {run}" in call("show", run).out


def test_what_was_under_way_in_a_dead_process_is_not_said_to_be_running(
    heddle: Heddle, call
) -> None:
    assert "cut-off  2" in call("show", stopped(heddle)).out
    assert "running  2" in call("show", stopped(heddle, held=True)).out


def test_show_writes_the_page(heddle: Heddle, call, finished: str) -> None:
    assert call("show", finished, "--report", "page.html").status == 0
    assert finished in (heddle.folder / "page.html").read_text("utf-8")


# -- audit ---------------------------------------------------------------------------------------


def test_a_sound_run_passes_its_audit(heddle: Heddle, call, finished: str) -> None:
    done: Done = call("audit", finished)
    assert done.status == 0
    assert "1 effect in 1 attempt, 0 orphans, 0 unresolved" in done.out
    assert "no promise was broken" in done.out


def test_a_broken_promise_is_exit_status_1_and_is_named(heddle: Heddle, call) -> None:
    run, events = events_of()
    at = intent_at(events)
    again = events[at]._replace(attempt=2)  # type: ignore[union-attr]
    keep(heddle.folder / "runs.db", run, [*events[: at + 1], again, *events[at + 1 :]])
    done: Done = call("audit", run)
    assert done.status == 1
    assert "repeated-write" in done.out
    rows = call("audit", run, "--json").json["violations"]
    assert [(row["rule"], row["step"], row["seq"]) for row in rows] == [
        ("repeated-write", "2", at + 1)
    ]


def test_a_damaged_journal_is_exit_status_2(heddle: Heddle, call, finished: str) -> None:
    damage(heddle, finished)
    done: Done = call("audit", finished)
    assert done.status == 2
    assert "frame 0" in done.err
