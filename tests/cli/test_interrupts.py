"""A real `heddle run` that is told to stop: in order, with its journal, and to be gone on with."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Heddle

PATIENCE_S = 60.0

TOOLS = """
import asyncio, pathlib, time
import heddle

@heddle.tool(effect="read")
async def nap(after: str = "") -> int:
    pathlib.Path("started").touch()
    if pathlib.Path("go").exists():
        return 1
    await asyncio.sleep(120)

@heddle.tool(effect="write")
async def note(text: int) -> str:
    with open("notes", "a") as notes:
        notes.write(f"{text}\\n")
    return "noted"

@heddle.tool(effect="read")
async def deaf() -> int:
    pathlib.Path("started").touch()
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            await asyncio.sleep(end - time.monotonic())
        except asyncio.CancelledError:
            pass

@heddle.tool(effect="read")
def block() -> int:
    pathlib.Path("started").touch()
    time.sleep(120)
"""


def begun(heddle: Heddle, plan: str, *args: str, ignored: int = 0) -> subprocess.Popen[str]:
    """A run that is in the midst of a tool's call, begun where a signal was to be ignored."""
    heddle.write("tools.py", TOOLS)
    heddle.write("plan.txt", plan)
    process = subprocess.Popen(
        [*heddle.command, "run", "plan.txt", "--tools", "tools.py", "--yes", "--json", *args],
        cwd=heddle.folder,
        env=heddle.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=(lambda: signal.signal(ignored, signal.SIG_IGN)) if ignored else None,
    )
    latest = time.monotonic() + PATIENCE_S
    while not (heddle.folder / "started").exists():
        assert process.poll() is None
        assert time.monotonic() < latest
        select.select([], [], [], 0.02)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_says_so_and_goes_on_where_it_was(heddle: Heddle, number: int) -> None:
    process = begun(heddle, "1. note(1)\n2. nap($1)\n3. note($2)")
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)
    stopped = json.loads(out)
    assert (process.returncode, stopped["status"]) == (130, "cancelled")
    assert f"heddle resume {stopped['run_id']}" in err
    heddle.write("go", "")
    done = heddle("resume", stopped["run_id"], "--yes", "--json")
    assert (done.status, done.json["status"]) == (0, "succeeded")
    assert (heddle.folder / "notes").read_text() == "1\n1\n"  # each note once


def test_a_job_in_the_background_ignores_ctrl_c_but_not_sigterm(heddle: Heddle) -> None:
    process = begun(heddle, "1. nap()", ignored=signal.SIGINT)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, json.loads(out)["status"]) == (130, "cancelled")


def test_a_closed_terminal_of_which_two_tell_stops_a_run_in_order(heddle: Heddle) -> None:
    process = begun(heddle, "1. nap()")
    process.send_signal(signal.SIGHUP)
    while process.poll() is None:
        process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, json.loads(out)["status"]) == (130, "cancelled")


def test_what_nohup_keeps_away_does_not_stop_a_run(heddle: Heddle) -> None:
    process = begun(heddle, "1. nap()", ignored=signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130


def test_a_second_interrupt_ends_at_once(heddle: Heddle) -> None:
    process = begun(heddle, "1. deaf()")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    select.select([], [], [], 0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert time.monotonic() - began < 20


def test_a_tool_that_does_not_stop_is_left_behind_by_name(heddle: Heddle) -> None:
    process = begun(heddle, "1. block()")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "left behind: block" in err
