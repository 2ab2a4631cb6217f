"""The real program, in a process of its own, in a folder with tools, plans and models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heddle.cli import main

SRC = Path(__file__).parents[2] / "src"

TOOLS = '''
import asyncio
import heddle

@heddle.tool(effect="read", provider="quotes")
async def price(ticker: str) -> float:
    """Latest price in USD."""
    print("noise from a tool")
    return {"AAPL": 231.5, "MSFT": 418.0}[ticker]

@heddle.tool(effect="pure")
def difference(a: float, b: float) -> float:
    """a minus b."""
    return a - b

@heddle.tool
def send(to: str) -> str:
    """Send a message."""
    return "sent to " + to

@heddle.tool(effect="pure", timeout_s=5, concurrency=2)
def shout(text: str) -> str:
    """The text with a terminal's red in it."""
    return "\\x1b[31m" + text + "\\u202e\\x07"
'''

SLOW = """
import asyncio, time
import heddle

@heddle.tool(effect="read")
async def nap(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds

@heddle.tool(effect="read")
def block(seconds: float) -> float:
    time.sleep(seconds)
    return seconds

@heddle.tool(effect="read")
async def stubborn() -> int:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

@heddle.tool(effect="write")
async def transfer(amount: int) -> int:
    await asyncio.sleep(60)
    return amount
"""

MODELS = """
async def good(messages, *, role, **options):
    if role == "planner":
        for line in ('1. price("AAPL")', '2. price("MSFT")', "3. difference($2, $1)", "4. join()"):
            yield line + "\\n"
    else:
        yield '{"action": "finish", "answer": "186.5 dollars"}'

async def wrong(messages, **options):
    yield '1. prise("AAPL")\\n2. join()\\n'

async def huge(messages, *, role, **options):
    if role == "planner":
        yield "".join(f'{n}. difference({n}, 1)\\n' for n in range(1, 10_001))
    else:
        yield '{"action": "finish", "answer": "too much"}'

async def deep(messages, **options):
    yield "1. difference(" + "[" * 100_000 + "]" * 100_000 + ", 1)\\n2. join()\\n"

async def fails(messages, **options):
    raise ValueError("no weights")
    yield ""
"""

PLAN = '1. price("AAPL")\n2. price("MSFT")\n3. difference($2, $1)\n4. join()\n'


@dataclass
class Done:
    """What a process gave."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        return json.loads(self.out)


class Heddle:
    """Runs `python -m heddle.cli` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "xterm-256color"}
        self.environment = {**kept, "PYTHONPATH": str(SRC)}
        self.command = [sys.executable, "-m", "heddle.cli"]

    def __call__(self, *args: str, stdin: str | bytes = "", **environment: str) -> Done:
        """Run it to its end; a traceback is never right."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [*self.command, *args],
            cwd=self.folder,
            env={**self.environment, **environment},
            input=data,
            capture_output=True,
            timeout=60,
        )
        result = Done(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in result.err + result.out, result.err
        return result

    def inside(self, capfd: pytest.CaptureFixture[str], *args: str) -> Done:
        """The same without a process of its own: for what ends before anything runs."""
        capfd.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setattr(os, "environ", {**self.environment})
            patch.setattr(sys, "path", list(sys.path))
            with pytest.raises(SystemExit) as ending:
                main(args)
        assert isinstance(ending.value.code, int)
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return Done(ending.value.code, said.out, said.err)

    def write(self, name: str, text: str | bytes) -> str:
        """Put a file into the folder; its name."""
        data = text.encode() if isinstance(text, str) else text
        (self.folder / name).write_bytes(data)
        return name


@pytest.fixture(scope="session")
def heddle_in() -> type[Heddle]:
    """The program in a folder of one's own, for what several tests share."""
    return Heddle


@pytest.fixture
def heddle(tmp_path: Path) -> Heddle:
    """The program in a folder with `tools.py`, `slow.py`, `models.py` and `plan.txt`."""
    program = Heddle(tmp_path)
    program.write("tools.py", TOOLS)
    program.write("slow.py", SLOW)
    program.write("models.py", MODELS)
    program.write("plan.txt", PLAN)
    return program
