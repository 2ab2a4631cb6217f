"""On a terminal: the live table, questions, Ctrl-C; and Ctrl-C without one."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

pty = pytest.importorskip("pty", reason="terminals are tested where there are pseudo-terminals")

if TYPE_CHECKING:
    from conftest import Heddle

PATIENCE_S = 30
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def on_terminal(heddle: Heddle, *args: str, until: str = "", press: str = "") -> tuple[int, str]:
    """Run on a pseudo-terminal; when a text has come, press keys. Its status and its screen."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(heddle.folder)
        os.execve(heddle.command[0], [*heddle.command, *args], heddle.environment)
    screen = b""
    latest = time.monotonic() + PATIENCE_S
    while select.select([terminal], [], [], max(0.0, latest - time.monotonic()))[0]:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        screen += piece
        if press and until.encode() in screen:
            os.write(terminal, press.encode())
            press = ""
    os.close(terminal)
    if time.monotonic() >= latest:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), screen.decode()


def test_the_table_shows_the_run_and_leaves_the_terminal_clean(heddle: Heddle) -> None:
    heddle.write("naps.txt", "1. nap(0.6)\n2. nap($1)\n3. nap(0.6)\n")
    args = ("run", "naps.txt", "--tools", "slow.py", "--concurrency", "1")
    status, screen = on_terminal(heddle, *args)
    assert status == 0
    assert HIDE in screen
    assert screen.rindex(SHOW) > screen.rindex(HIDE)
    assert "waits for 1" in screen
    assert "waits for slot" in screen
    assert "in flight 1/1" in screen
    assert "1: " not in screen.rpartition(SHOW)[0]  # no result while the table stands
    assert "2: 0.6" in screen.rpartition(SHOW)[2]


def test_a_dumb_terminal_gets_lines(heddle: Heddle) -> None:
    heddle.environment["TERM"] = "dumb"
    status, screen = on_terminal(heddle, "run", "plan.txt", "--tools", "tools.py")
    assert status == 0
    assert "\x1b" not in screen
    assert "done" in screen


def test_nothing_from_a_tool_reaches_the_terminal_unwashed(heddle: Heddle) -> None:
    heddle.write("shout.txt", '1. shout("hello")\n')
    status, screen = on_terminal(heddle, "run", "shout.txt", "--tools", "tools.py")
    assert status == 0
    assert "\x1b[31m" not in screen
    assert "\x07" not in screen
    assert "\u202e" not in screen
    assert screen.endswith("hello\r\n")


def test_ctrl_c_stops_the_run_and_gives_the_cursor_back(heddle: Heddle) -> None:
    heddle.write("nap.txt", "1. nap(60)\n")
    args = ("run", "nap.txt", "--tools", "slow.py")
    status, screen = on_terminal(heddle, *args, until="running", press="\x03")
    assert status == 130
    assert screen.rindex(SHOW) > screen.rindex(HIDE)
    assert "cancelled" in screen
    said = screen.splitlines()[-2:]
    assert said[0] == "interrupted"
    assert "heddle resume" in said[1]
    assert "Traceback" not in screen


@pytest.mark.parametrize(("key", "status"), [("y\n", 0), ("n\n", 6), ("\n", 6), ("\x03", 130)])
def test_a_declared_effect_is_asked_about(heddle: Heddle, key: str, status: int) -> None:
    heddle.write("declared.py", TRANSFER)
    heddle.write("pay.txt", '1. pay("bob")\n')
    args = ("run", "pay.txt", "--tools", "declared.py")
    found, screen = on_terminal(heddle, *args, until="[y/N]", press=key)
    assert found == status
    assert ("paid bob" in screen) == (status == 0)
    assert screen.rindex(SHOW) > screen.rindex(HIDE)


TRANSFER = '''
import heddle

@heddle.tool(effect="write")
def pay(to: str) -> str:
    """Pay somebody."""
    return "paid " + to
'''


def test_yes_asks_nobody(heddle: Heddle) -> None:
    heddle.write("declared.py", TRANSFER)
    heddle.write("pay.txt", '1. pay("bob")\n')
    status, screen = on_terminal(heddle, "run", "pay.txt", "--tools", "declared.py", "--yes")
    assert status == 0
    assert "[y/N]" not in screen


# -- without a terminal --------------------------------------------------------------------------


def interrupted(heddle: Heddle, *args: str, times: int = 1) -> tuple[int, str, str, float]:
    """Run until a tool is at work, then interrupt; status, stdout, stderr, seconds it took."""
    process = subprocess.Popen(
        [*heddle.command, *args],
        cwd=heddle.folder,
        env=heddle.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started = heddle.folder / "started"
    latest = time.monotonic() + PATIENCE_S
    while not started.exists() and time.monotonic() < latest:
        select.select([], [], [], 0.02)
    begin = time.monotonic()
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        select.select([], [], [], 0.3)
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err, time.monotonic() - begin


MARKING = """
import asyncio, pathlib, time
import heddle

@heddle.tool(effect="read")
async def nap(after: int = 0) -> int:
    pathlib.Path("started").touch()
    try:
        await asyncio.sleep(60)
    finally:
        pathlib.Path("stopped").touch()
    return 1

@heddle.tool(effect="read")
def block() -> int:
    pathlib.Path("started").touch()
    time.sleep(20)
    return 1

@heddle.tool(effect="write")
async def transfer() -> int:
    pathlib.Path("started").touch()
    await asyncio.sleep(60)
    return 1
"""


def test_an_interrupted_run_gives_its_object_and_cancels_its_tools(heddle: Heddle) -> None:
    heddle.write("marking.py", MARKING)
    heddle.write("nap.txt", "1. nap()\n2. nap($1)\n")
    status, out, err, _ = interrupted(heddle, "run", "nap.txt", "--tools", "marking.py", "--json")
    assert status == 130
    result = json.loads(out)
    assert result["status"] == "cancelled"
    assert result["error"]["code"] == "interrupted"
    assert [step["status"] for step in result["steps"]] == ["cancelled", "skipped"]
    assert (heddle.folder / "stopped").exists()
    assert "Traceback" not in err


def test_a_write_in_flight_is_named_when_a_run_is_interrupted(heddle: Heddle) -> None:
    heddle.write("marking.py", MARKING)
    heddle.write("pay.txt", "1. transfer()\n")
    status, _, err, _ = interrupted(heddle, "run", "pay.txt", "--tools", "marking.py")
    assert status == 130
    assert "nobody saw the outcome of step 1" in err


@pytest.mark.parametrize("times", [1, 2])
def test_a_thread_that_sleeps_on_does_not_hold_the_process(heddle: Heddle, times: int) -> None:
    heddle.write("marking.py", MARKING)
    heddle.write("block.txt", "1. block()\n")
    args = ("run", "block.txt", "--tools", "marking.py", "--json")
    status, out, err, took = interrupted(heddle, *args, times=times)
    assert status == 130
    assert json.loads(out)["status"] == "cancelled"
    assert took < 10
    assert "Traceback" not in err
