"""A process that has imported heddle already, and forks the ones that are to be killed.

A start costs a fork instead of half a second of imports, so that campaigns can afford thousands.
What is forked is a process as any other: it has its own id, runs the program's own `main`, and
SIGKILL ends it without asking. One at a time:

    harness ──{"args", "folder", "environment"}──▶ nursery ──fork──▶ heddle
            ◀──{"pid"}── ◀──{"status"}──
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path


class Nursery:
    """The harness's end of it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def start(self, args: list[str], folder: Path, environment: Mapping[str, str]) -> Child:
        """Start the program with these arguments; the child before must have ended."""
        for name in ("out", "err"):
            (folder / name).write_bytes(b"")
        request = {"args": args, "folder": str(folder), "environment": dict(environment)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        return Child(self, folder, (await self.told())["pid"])

    async def told(self) -> dict[str, int]:
        """The next thing that the nursery says."""
        assert self._process.stdout is not None
        return json.loads(await self._process.stdout.readline())


@asynccontextmanager
async def nursery(environment: Mapping[str, str]) -> AsyncIterator[Nursery]:
    """A nursery for a while."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, env=dict(environment),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Nursery(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


class Child:
    """A process that was forked; what is used of `asyncio.subprocess.Process`."""

    def __init__(self, home: Nursery, folder: Path, pid: int) -> None:
        self.returncode: int | None = None
        self.pid = pid
        self._home, self._folder = home, folder

    async def communicate(self) -> tuple[bytes, bytes]:
        """Wait for its end; what it wrote."""
        self.returncode = (await self._home.told())["status"]
        return tuple((self._folder / name).read_bytes() for name in ("out", "err"))  # type: ignore[return-value]


# -- the other end -------------------------------------------------------------------------------


def main() -> None:
    """Fork, wait, tell; until there is nothing more to do."""
    import heddle.cli.ask
    import heddle.cli.outcome
    import heddle.cli.resume
    import heddle.cli.run
    import heddle.engine.resuming
    import heddle.engine.workshop  # noqa: F401  # all of these for the children

    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            _be_the_program(request)
        print(json.dumps({"pid": pid}), flush=True)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps({"status": status}), flush=True)


def _be_the_program(request: dict[str, Any]) -> NoReturn:
    from heddle.cli import main as program

    status = 70
    try:
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        for fd, name, flags in ((0, os.devnull, os.O_RDONLY), (1, "out", _NEW), (2, "err", _NEW)):
            file = os.open(name, flags, 0o600)
            os.dup2(file, fd)
            os.close(file)
        program(request["args"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC

if __name__ == "__main__":
    main()
