"""Whole runs, in processes that are killed, with their journal on a real PostgreSQL server."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager

import pytest

PROGRAM = '''
import asyncio, os, sys
from pathlib import Path
import heddle

_, what, place, effects, gate = sys.argv

def happened(line):
    with open(effects, "a") as file:
        file.write(line + "\\n")

@heddle.tool(effect="write")
def send(what: str) -> str:
    happened(f"send {what}")
    return f"sent {what}"

@heddle.tool(effect="idempotent")  # so it begins when all before it is kept
async def look(what: str) -> str:
    happened(f"look {what}")
    print("looking", flush=True)
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    return f"seen {what}"

PLAN = heddle.parse("""1. send("a")
2. send($1)
3. look($2)
4. send($3)
""", dialect="llmcompiler")

async def main():
    if what == "execute":
        return await heddle.execute(PLAN, [send, look], journal=place, run_id="r")
    return await heddle.resume("r", [send, look], journal=place)

try:
    print(asyncio.run(main()).status, flush=True)
except heddle.JournalError as error:
    print(error.code, flush=True)
'''

DONE = ["send a", "send sent a", "look sent sent a", "send seen sent sent a"]


class Runs:
    """Processes that run or resume one plan; what has happened outside is in `effects`."""

    def __init__(self, place, folder) -> None:
        self.place = place
        self.path = folder / "effects"
        self.gate = folder / "gate"
        self.processes = []

    def begin(self, what: str):
        """A process that goes on until its third step, and from there when the gate is open."""
        command = [sys.executable, "-c", PROGRAM, what, self.place, self.path, self.gate]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def says(self, what: str) -> str:
        """The last line of a process that comes to its end."""
        return self.begin(what).communicate(timeout=60)[0].splitlines()[-1]

    @property
    def effects(self) -> list[str]:
        return self.path.read_text().splitlines()


@contextmanager
def runs_on(place, folder):
    runs = Runs(place, folder)
    try:
        yield runs
    finally:
        for process in runs.processes:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("server", ["lives", "dies"])
def test_a_run_whose_process_was_killed_is_gone_on_with_at_once(postgres, tmp_path, server):
    with runs_on(postgres.database(), tmp_path) as runs:
        killed = runs.begin("execute")
        assert killed.stdout.readline() == "looking\n"
        killed.kill()
        if server == "dies":
            postgres.kill()
            postgres.start()
        runs.gate.touch()
        assert runs.says("resume") == "succeeded"
        assert runs.effects == [*DONE[:3], *DONE[2:]], "what was sent is not repeated"
        assert runs.says("resume") == "succeeded"
        assert len(runs.effects) == len(DONE) + 1, "a run that is over makes no call"


def test_of_two_processes_that_resume_a_run_one_is_told_who_has_it(postgres, tmp_path):
    with runs_on(postgres.database(), tmp_path) as runs:
        first = runs.begin("execute")
        assert first.stdout.readline() == "looking\n"
        assert runs.says("resume") == "run-leased"
        first.kill()
        second = runs.begin("resume")
        assert second.stdout.readline() == "looking\n"
        assert runs.says("resume") == "run-leased"
        assert [line for line in runs.effects if "send" in line] == DONE[:2]


def test_a_server_that_dies_under_a_run_is_waited_for(postgres, tmp_path):
    with runs_on(postgres.database(), tmp_path) as runs:
        process = runs.begin("execute")
        assert process.stdout.readline() == "looking\n"
        with postgres.away():
            runs.gate.touch()
            assert runs.says("resume") == "journal-lost", "one that never answered is not"
            assert runs.effects == DONE[:3], "no effect without its intent in the journal"
        assert process.communicate(timeout=60)[0] == "succeeded\n"
        assert runs.effects == DONE
