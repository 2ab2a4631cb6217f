"""A bound on silence that costs next to nothing while somebody speaks.

`asyncio.timeout` sets a timer anew for every piece of a stream, which is a good part of what a
piece costs. Here there is one timer: when it rings, it looks whether anything was heard meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Silence"]


class Silence:
    """Cancels the task that waits in it when the time is up, as `asyncio.timeout_at` does.

    Args:
        until: loop time at which whoever waits is cancelled.

    Invariant: `wait` is never given an earlier time than before; while the reader has a piece
        (`heard`), nobody is cancelled.

    Raises:
        TimeoutError: on leaving, in the place of the cancellation that it has caused.
    """

    def __init__(self, until: float) -> None:
        self._until: float | None = until
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._arm()
        return self

    def wait(self, until: float) -> None:
        """From now on somebody waits, until then."""
        self._until = until
        if self._timer is None:
            self._arm()

    async def heard(self) -> None:
        """Nobody waits any more; if the time was just up, it still is."""
        self._until = None
        if self._expired:
            await asyncio.sleep(0)  # the cancellation that is on its way arrives here

    def _arm(self) -> None:
        if self._until is not None and self._until < float("inf"):
            self._timer = self._loop.call_at(self._until, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._until is None:
            return
        if self._until > self._loop.time():
            self._arm()
            return
        self._expired = True
        self._task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        ours = self._expired and self._task.uncancel() <= self._cancelling
        if ours and kind is asyncio.CancelledError:
            raise TimeoutError from error
