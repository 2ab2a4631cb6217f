"""The command line with its journal on a real PostgreSQL server, or on one that cannot be had."""

from __future__ import annotations

import subprocess

TOOLS = """
import os, pathlib
import heddle

def noted(word):
    with open("done.txt", "a") as file:
        file.write(word + "\\n")

@heddle.tool(effect="write")
def send(to: str) -> str:
    noted("send " + to)
    return "sent to " + to

@heddle.tool(effect="idempotent")
def file(what: str) -> str:
    if pathlib.Path("die").exists():
        os.kill(os.getpid(), 9)
    noted("file " + what)
    return "filed " + what
"""
PLAN = '1. send("bob")\n2. file($1)\n3. send($2)\n'
SENT = ["send bob", "file sent to bob", "send filed sent to bob"]


def test_a_killed_run_is_listed_and_finished_and_nothing_is_done_twice(postgres, heddle):
    place = postgres.database()
    heddle.write("post.py", TOOLS)
    heddle.write("post.txt", PLAN)
    heddle.write("die", "")
    command = [*heddle.command, "run", "post.txt", "--tools", "post.py", "--yes"]
    killed = subprocess.run(
        [*command, "--journal", place],
        cwd=heddle.folder,
        env=heddle.environment,
        capture_output=True,
    )
    assert killed.returncode == -9
    (heddle.folder / "die").unlink()

    listed = heddle("runs", "--journal", place, "--json").json
    assert [run["status"] for run in listed["runs"]] == ["stopped"]
    assert listed["runs"][0]["steps"] == {"done": 1, "total": 3}

    resumed = heddle("resume", "last", "--journal", place, "--yes")
    assert resumed.status == 0, resumed.err
    assert (heddle.folder / "done.txt").read_text().splitlines() == SENT
    for more in (["show", "last"], ["audit", "last"], ["resume", "last"], ["runs"]):
        done = heddle(*more, HEDDLE_JOURNAL=place)
        assert done.status == 0, done.err
        assert postgres.password not in done.out + done.err
    assert len((heddle.folder / "done.txt").read_text().splitlines()) == 3


def test_what_is_said_has_no_password_and_no_traceback(postgres, heddle):
    secret = "s3same"
    for place, says in (
        (postgres.dsn(password=secret), "password authentication failed"),
        (postgres.dsn("nowhere"), "there is no such database"),
        (f"postgresql://me:{secret}@127.0.0.1:1/runs", "no connection to the server"),
        (f"postgresql://me:{secret}@no-such-host.invalid/runs", "no connection to the server"),
        (f"postgresql://me:{secret}/x@h:1/runs", "not a URL"),
    ):
        for command in (["run", "plan.txt", "--tools", "tools.py", "--yes"], ["runs"]):
            done = heddle(*command, "--journal", place)
            assert done.status == 2, done.err
            assert says in done.err
            assert "hint" in done.err.lower() or "→" in done.err
            for hidden in (secret, postgres.password):
                assert hidden not in done.out + done.err


def test_limits_are_shared_where_the_environment_says(postgres, heddle):
    place = postgres.database()
    command = ["run", "plan.txt", "--tools", "tools.py", "--shared-limits", "--no-journal"]
    done = heddle(*command, "--rpm", "quotes=600", HEDDLE_SHARED_LIMITS=place)
    assert done.status == 0, done.err
    names = [name for [name] in postgres.sql("SELECT name FROM heddle.allowances")]
    assert "quotes" in names
    away = heddle(*command, HEDDLE_SHARED_LIMITS=postgres.dsn(password="s3same"))
    assert away.status == 2, away.err
    assert "shared limits cannot be kept" in away.err
    assert "s3same" not in away.err + away.out
