"""Tools for worker processes, which import this file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import heddle
from heddle.models.protocol import Usage
from heddle.tools.function import Metered


@heddle.tool(effect="read", isolate=True, fuse=False)
def where(x: int = 0) -> int:
    """The process that makes the call."""
    print("this is no answer")
    return os.getpid()


@heddle.tool(effect="pure", isolate=True)
async def twice(items: list[float]) -> list[float]:
    """Twice each number."""
    return [2 * item for item in items]


@heddle.tool(effect="read", isolate=True)
def spin(marker: str) -> int:
    """Hold the interpreter, and never return."""
    Path(marker).write_text(str(os.getpid()))
    while True:
        time.sleep(0.001)


@heddle.tool(effect="read", isolate=True)
def spawn(marker: str, hang: bool = True) -> int:
    """Start a program, and wait for its end, or leave it to itself."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(marker).write_text(str(child.pid))
    return child.wait() if hang else child.pid


@heddle.tool(effect="write", isolate=True)
def change() -> int:
    """An effect; the process that makes it."""
    return os.getpid()


@heddle.tool(effect="write", isolate=True)
def spin_and_write(marker: str) -> int:
    """As `spin`, but it might change the world."""
    Path(marker).write_text(str(os.getpid()))
    while True:
        time.sleep(0.001)


@heddle.tool(effect="pure", isolate=True, fuse=False)
def end(status: int) -> int:
    """End the process: by a signal, if negative."""
    if status < 0:
        os.kill(os.getpid(), -status)
        signal.pause()
    os._exit(status)


@heddle.tool(effect="write", isolate=True)
def end_and_write(status: int) -> int:
    """As `end`, but it might change the world."""
    os._exit(status)


@heddle.tool(effect="pure", isolate=True, fuse=False)
def fail(kind: str) -> int:
    """Raise something."""
    if kind == "own":
        raise heddle.ToolFailed("sold out", code="sold-out", hint="ask tomorrow")
    if kind == "exit":
        raise SystemExit(3)
    raise KeyError(kind)


@heddle.tool(effect="write", isolate=True)
def key() -> str:
    """The key of the call."""
    return heddle.current_call().key


@heddle.tool(effect="pure", isolate=True)
def metered() -> int:
    """A value with what it cost."""
    return Metered(7, Usage(10, 0, 5), 0.25)  # type: ignore[return-value]
