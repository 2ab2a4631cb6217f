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
    from collections.abc import Coroutine, Generator, Mapping

    Given = TypeVar("Given")

__all__ = ["leave", "results_only", "run_loop"]

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # of which Windows has no SIGHUP
_ENDINGS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))

_left: list[asyncio.Runner] = []  # loops with stragglers, kept so that nobody destroys their tasks


def run_loop(main: Coroutine[Any, Any, Given]) -> Given:
    """What the coroutine gives.

    Raises:
        KeyboardInterrupt: Ctrl-C, SIGTERM, or the terminal was closed. The first cancels the
            coroutine and waits for it, the second does not wait. What the process was told to
            ignore (nohup, a job in the background) is ignored.
        BaseException: what the coroutine raised.
    """
    import asyncio

    runner = asyncio.Runner()
    before = {number: signal.getsignal(number) for number in _ENDINGS}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # or the runner would not handle it
    try:
        return runner.run(_stoppable(main, before))
    finally:
        for number, answer in before.items():
            signal.signal(number, answer)
        if asyncio.all_tasks(runner.get_loop()) or _foreign_threads():
            _left.append(runner)
        else:
            runner.close()


async def _stoppable(main: Coroutine[Any, Any, Given], before: Mapping[int, Any]) -> Given:
    """The coroutine, with the runner's answer to Ctrl-C for all that ask the process to end."""
    stop = signal.getsignal(signal.SIGINT)
    for number, answer in before.items():
        signal.signal(number, signal.SIG_IGN if answer == signal.SIG_IGN else stop)
    return await main


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
