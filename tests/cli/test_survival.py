"""As a user would: a long run in a terminal, the terminal goes away, the run is gone on with."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import TYPE_CHECKING

import pytest

pty = pytest.importorskip("pty", reason="terminals are tested where there are pseudo-terminals")

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Heddle

PATIENCE_S = 30
STEPS = 12

TOOLS = """
import asyncio, os
import heddle

async def was_posted(letter: int):
    lines = open("posted.txt").read().split() if os.path.exists("posted.txt") else []
    return heddle.Done(letter) if str(letter) in lines else heddle.NotDone()

@heddle.tool(effect="write", probe=was_posted)
async def post(letter: int) -> int:
    await asyncio.sleep(0.05)
    line = os.open("posted.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(line, f"{letter}\\n".encode())
    os.close(line)
    await asyncio.sleep(0.05)
    return letter

@heddle.tool(effect="read")
async def mailbox(name: str) -> str:
    return name
"""


def posted(heddle: Heddle) -> list[str]:
    file = heddle.folder / "posted.txt"
    return file.read_text().split() if file.exists() else []


def hang_up(child: int, terminal: int) -> None:
    """Close the window: the system tells the programs in it."""
    os.close(terminal)


def kill(child: int, terminal: int) -> None:
    """Kill the program, then close the window."""
    os.kill(child, signal.SIGKILL)
    os.close(terminal)


@pytest.mark.parametrize("end", [hang_up, kill])
def test_a_run_whose_terminal_is_gone_is_finished_and_nothing_is_done_twice(
    heddle: Heddle, end: Callable[[int, int], None]
) -> None:
    lines = ['0. mailbox("red")', *(f"{n}. post({n})" for n in range(1, STEPS + 1))]
    heddle.write("letters.txt", "\n".join([*lines, 'join("all posted: $12")', ""]))
    heddle.write("mail.py", TOOLS)
    in_terminal(heddle, end, "run", "letters.txt", "--tools", "mail.py", "--concurrency", "1", "-y")
    assert 3 <= len(posted(heddle)) < STEPS

    (row,) = heddle("runs", "--json").json["runs"]
    assert row["status"] == "stopped"
    assert row["next"] == f"heddle resume {row['run_id']}"
    assert "stopped" in heddle("runs").out

    done = heddle(*row["next"].split()[1:])
    assert (done.status, done.out) == (0, "all posted: 12\n"), done.err
    assert sorted(posted(heddle), key=int) == [str(n) for n in range(1, STEPS + 1)]
    assert heddle("audit", "last").status == 0
    assert heddle("runs", "--json").json["runs"][0]["status"] == "succeeded"


def in_terminal(heddle: Heddle, end: Callable[[int, int], None], *args: str) -> None:
    """Run in a terminal of its own, until some of its work is done; then that ends."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(heddle.folder)
        os.execve(heddle.command[0], [*heddle.command, *args], heddle.environment)
    latest = time.monotonic() + PATIENCE_S
    while len(posted(heddle)) < 3:
        assert time.monotonic() < latest
        if select.select([terminal], [], [], 0.02)[0]:
            os.read(terminal, 65536)
    end(child, terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == (130 if end is hang_up else -signal.SIGKILL)
