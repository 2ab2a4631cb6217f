"""Virtual time: hours of waiting pass in a moment, and always in the same order.

>>> import asyncio
>>> async def nap() -> float:
...     await asyncio.sleep(3600)
...     return asyncio.get_running_loop().time()
>>> run_virtual(nap())
3600.0
"""

from __future__ import annotations

import asyncio
import math
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["VirtualClockLoop", "run_virtual"]

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that never waits for time: the clock jumps to the next timer instead."""

    loop: VirtualClockLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        loop = self.loop
        if timeout is None and not loop.threads:
            events = super().select(0)
            if not events:
                raise RuntimeError(
                    "virtual time stands still: every task waits for something that no timer "
                    "will bring (real sockets need real time)"
                )
            return events
        if loop.threads:  # a thread runs in real time; time stands still until it reports
            return super().select(None if timeout is None or timeout > 0 else 0)
        events = super().select(0)
        if not events and timeout:
            loop.advance(timeout)
        return events


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock starts at 0 and jumps to the next timer when nothing is ready.

    For in-memory transports only: it never waits for a socket.

    Attributes:
        threads: calls in threads that will report with `call_soon_threadsafe`; while there are
            any, the clock stands still.
    """

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self._virtual_s = 0.0
        self.threads = 0
        super().__init__(selector)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._virtual_s += seconds
        # asyncio rings what lies before now + resolution, which must differ from now, or a timer
        # at a large time would never ring
        self._clock_resolution = max(1e-9, math.ulp(self._virtual_s))

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        """Run in a thread, in real time, while the virtual clock stands still."""
        self.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_ended)
        return future

    async def shutdown_default_executor(self, *options: Any) -> None:
        """Wait for the threads of the default executor, in real time."""
        self.threads += 1
        try:
            await super().shutdown_default_executor(*options)
        finally:
            self.threads -= 1

    def _thread_ended(self, _: object) -> None:
        self.threads -= 1


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time.

    Raises:
        RuntimeError: all tasks wait and no timer is left: a dead end, found at once.
    """
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(main)
