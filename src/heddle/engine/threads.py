"""A bounded pool of daemon threads for synchronous tools.

Our own, because the loop's default pool is sized by the processor count (nine calls that block
need nine threads, whatever the cores), and because the standard executor joins its threads when
the interpreter exits: one tool that never returns would hold the process for ever.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Threads"]

_Outcome = tuple[Any, BaseException | None]


class Threads(Executor):
    """Runs blocking calls, at most `size` at once; the others queue.

    Attributes:
        busy: calls in a thread now, those included that nobody waits for any more.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.busy = 0
        self._lock = threading.Lock()
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]
        self._calls = queue.SimpleQueue()
        self._threads = 0
        self._idle = 0
        self._shut = False

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """The function's value, from a thread, in a copy of the caller's context.

        A thread cannot be stopped. A caller that is cancelled waits until the thread has returned,
        so that whoever holds a slot for the call goes on holding it, and then gets what it gave,
        so that nothing that happened is lost. A call that no thread has begun is dropped at once.
        After `shutdown` nobody waits, so that a thread that hangs cannot hold the loop.

        Raises:
            CancelledError: the caller was cancelled and the call gave no value.
            BaseException: what the function raised.
        """
        context = contextvars.copy_context()
        claim = threading.Lock()  # whoever gets it decides: the thread begins, or nobody does
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self, lambda: _outcome(claim, context, function, args))
        cancelled: asyncio.CancelledError | None = None
        while not done.done():
            try:
                await asyncio.wait([done])
            except asyncio.CancelledError as error:
                cancelled = error
                if claim.acquire(blocking=False) or self._shut:
                    done.cancel()
                    raise
        value, failure = done.result()
        if failure is not None:
            raise cancelled or failure
        return value

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call; a new thread takes it if none is idle and there are fewer than `size`."""
        future: Future[Any] = Future()
        with self._lock:
            self._calls.put((future, lambda: fn(*args, **kwargs)))
            if self._idle:
                self._idle -= 1
            elif self._threads < self.size:
                self._threads += 1
                name = f"heddle-tool-{self._threads}"
                threading.Thread(target=self._serve, name=name, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let idle threads end now, and busy ones when their call does; never waits."""
        self._shut = True
        with self._lock:
            for _ in range(self._threads):
                self._calls.put(None)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            with self._lock:
                self.busy += 1
            wanted = future.set_running_or_notify_cancel()
            value = function() if wanted else None
            with self._lock:  # before the caller is told, who may come back at once
                self.busy -= 1
                self._idle += 1
            if wanted:
                future.set_result(value)


def _outcome(
    claim: threading.Lock,
    context: contextvars.Context,
    function: Callable[..., Any],
    args: tuple[Any, ...],
) -> _Outcome:
    """A call's value or exception as data: no future can carry StopIteration or SystemExit."""
    if not claim.acquire(blocking=False):
        return None, asyncio.CancelledError()  # its caller has given up
    try:
        return context.run(function, *args), None
    except BaseException as error:  # also SystemExit: a tool must not end a thread of ours
        return None, error
