"""The event loop of a command, and leaving it although something in it never ends.

A tool that ignores cancellation, or a thread that never returns, must not hold up the result nor
the process: what is still there when the work is done is left behind, and ends with the process.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Generator
    from types import FrameType

    Given = TypeVar("Given")

__all__ = ["leave", "results_only", "run_loop"]

_left: list[asyncio.Runner] = []  # loops with stragglers, kept so that nobody destroys their tasks


def run_loop(main: Coroutine[Any, Any, Given]) -> Given:
    """What the coroutine gives.

    Raises:
        KeyboardInterrupt: Ctrl-C, or SIGTERM. The first cancels the coroutine and waits for it, the
            second does not wait.
        BaseException: what the coroutine raised.
    """
    import asyncio

    runner = asyncio.Runner()
    before = signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        return runner.run(main)
    finally:
        signal.signal(signal.SIGTERM, before)
        if asyncio.all_tasks(runner.get_loop()) or _foreign_threads():
            _left.append(runner)
        else:
            runner.close()


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    """Whoever asks the process to end is answered as Ctrl-C is, whatever that does now."""
    interrupt = signal.getsignal(signal.SIGINT)
    if callable(interrupt):
        interrupt(signal.SIGINT, frame)


@contextlib.contextmanager
def results_only() -> Generator[None]:
    """Lead what tools and their subprocesses write to stdout to stderr, for a while."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def leave(status: int) -> NoReturn:
    """End the process with this exit status, whatever was left behind.

    Raises:
        SystemExit: if nothing was.
    """
    if _left:
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]  # what an ordinary exit would do, but for joining threads
        os._exit(status)
    sys.exit(status)


def _foreign_threads() -> bool:
    """Whether there are threads that an ordinary exit would wait for."""
    return any(
        not thread.daemon and thread is not threading.main_thread()
        for thread in threading.enumerate()
    )
