"""Process isolation: calls in worker processes, which can be killed.

A thread cannot be stopped, a process can. A call that is cancelled or out of time is killed with
its worker and with what that has started, and its slot is free at once; one that takes its worker
with it (a crash in C, `os._exit`, the kernel out of memory) is a failed call, and nobody else's.
Workers are started afresh, never forked, are kept for further calls, and end with the process that
started them.

Arguments and values go through pipes as JSON; the function is found by its module and name. That is
why this is our own: anyio.to_process, loky and concurrent.futures pickle both and import the
caller's `__main__`, and only the first can kill one worker; pebble can, but looks every 0.1 s
whether it should.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

from heddle.engine.calls import calling
from heddle.engine.faults import Fault, Reported
from heddle.engine.isolated import read_frame, write_frame
from heddle.engine.threads import Threads
from heddle.errors import ToolFailed
from heddle.models.protocol import Usage
from heddle.tools.function import Metered

if TYPE_CHECKING:
    from heddle.tools.home import Home

__all__ = ["Workers"]

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from heddle.engine.isolated import serve; serve()"
)


_GROUPS = hasattr(os, "killpg")


class Workers:
    """Runs calls in worker processes, at most `size` at once; the others queue.

    Args:
        size: processes, started when they are needed.
    """

    def __init__(self, size: int) -> None:
        self._threads = Threads(size)  # one waits for each call in flight
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        self._shut = False

    async def call(self, home: Home, args: dict[str, Any]) -> Any:
        """The value of a tool's function, made in a worker.

        A caller that is cancelled kills the worker; when this raises, nothing of the call is left.

        Raises:
            ToolFailed: what the function raised, or `tool-crashed`.
            CancelledError: the caller was cancelled.
        """
        now = calling.get()
        text = json.dumps([*home, args, None if now is None else list(now)])
        made = _Call(text.encode())
        done = asyncio.get_running_loop().run_in_executor(self._threads, self._make, made)
        cancelled: asyncio.CancelledError | None = None
        while not done.done():
            try:
                await asyncio.wait([done])
            except asyncio.CancelledError as error:
                cancelled = error
                if made.kill():
                    done.cancel()
        if cancelled is not None:
            raise cancelled
        return _value_of(done.result())

    def _make(self, call: _Call) -> Any:
        """Make a call, in a thread: its answer, or why there is none."""
        try:
            worker = self._take()
        except OSError as error:
            return ToolFailed(f"no process could be started: {error}", code="no-process")
        answer = worker.ask(call.text) if call.given_to(worker) else None
        if call.taken_back() and answer is not None:
            self._give(worker)
            return json.loads(answer)
        return _crashed(worker.end(_LAST_WORDS_S))

    def _take(self) -> _Worker:
        """One that lives: an idle one may have been killed, and no call is lost with it."""
        while True:
            with self._lock:
                worker = self._idle.pop() if self._idle else None
            if worker is None:
                return _Worker()
            if worker.alive:
                return worker
            worker.end()

    def _give(self, worker: _Worker) -> None:
        with self._lock:
            if not self._shut:
                self._idle.append(worker)
                return
        worker.end()

    def close(self) -> None:
        """End the workers; those in the midst of a call end with it."""
        with self._lock:
            self._shut = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()
        self._threads.shutdown()


class _Call:
    """One call, and the worker that makes it: who comes first decides what becomes of it."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._killed = False

    def given_to(self, worker: _Worker) -> bool:
        """Whether it may be made, by this worker."""
        with self._lock:
            self._worker = None if self._killed else worker
            return not self._killed

    def taken_back(self) -> bool:
        """The worker has answered or ended; whether nobody has killed it."""
        with self._lock:
            self._worker = None
            return not self._killed

    def kill(self) -> bool:
        """Nobody wants the call any more; whether it has not begun."""
        with self._lock:
            self._killed = True
            if self._worker is not None:
                self._worker.kill()
            return self._worker is None


class _Worker:
    """A process that makes one call after another, and leads a group: its children end with it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-c", _BOOT, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0 if _GROUPS else None,
        )

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def ask(self, text: bytes) -> bytes | None:
        """Its answer; None if it has ended instead."""
        try:
            write_frame(self._pipe(self._process.stdin), text)
            return read_frame(self._pipe(self._process.stdout))
        except OSError:
            return None

    def kill(self) -> None:
        """End it now, whatever it does, and what it has started."""
        if _GROUPS:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # all of it has ended
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def end(self, patience_s: float = 0.0) -> int:
        """Leave nothing of it: its exit status, or minus the signal that ended it.

        Args:
            patience_s: seconds that it has to end by itself.
        """
        try:
            if patience_s:
                self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            pass
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # a request that it did not read
                self._pipe(pipe).close()
        return self._process.wait()

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None  # all of them were asked for
        return pipe


_LAST_WORDS_S = 0.5
"""Seconds that a worker whose pipes are closed has to end by itself."""


def _crashed(status: int) -> ToolFailed:
    how = f"exit status {status}"
    if status < 0:
        how = signal.Signals(-status).name
    return Reported(
        f"the call ended its worker process ({how})",
        code="tool-crashed",
        fault=Fault("lost"),
        hint="look at what the tool wrote to stderr; was there enough memory?",
    )


def _value_of(answer: Any) -> Any:
    """What a call gave.

    Raises:
        ToolFailed: it failed.
    """
    if isinstance(answer, ToolFailed):
        raise answer
    if "code" in answer:
        kind, not_sent, wait_s = answer["fault"]
        raise Reported(
            answer["message"], code=answer["code"], fault=Fault(kind, not_sent, wait_s),
            hint=answer["hint"],
        )  # fmt: skip
    if answer["usage"] is None:
        return answer["value"]
    return Metered(answer["value"], Usage(*answer["usage"]), answer["cost_usd"])
