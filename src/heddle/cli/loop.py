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
    from types import FrameType

    Given = TypeVar("Given")

__all__ = ["leave", "results_only", "run_loop"]

_CLOSED = getattr(signal, "SIGHUP", None)  # which Windows does not have
_ENDINGS = tuple(filter(None, (signal.SIGINT, signal.SIGTERM, _CLOSED)))

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
    before: dict[int, Any] = {number: signal.getsignal(number) for number in _ENDINGS}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # or the runner would not handle it
    try:
        return runner.run(_stoppable(main, before))
    finally:
        for number, answer in before.items():
            if signal.getsignal(number) != signal.SIG_IGN:  # a closed terminal stays closed
                signal.signal(number, answer)
        if asyncio.all_tasks(runner.get_loop()) or _foreign_threads():
            _left.append(runner)
        else:
            runner.close()


async def _stoppable(main: Coroutine[Any, Any, Given], before: Mapping[int, Any]) -> Given:
    """The coroutine, with the runner's answer to Ctrl-C for all that ask the process to end."""
    stop: Any = signal.getsignal(signal.SIGINT)

    def closed(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # a shell and the system both tell of one terminal
        stop(number, frame)

    for number, answer in before.items():
        ours = closed if number == _CLOSED else stop
        signal.signal(number, signal.SIG_IGN if answer == signal.SIG_IGN else ours)
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
