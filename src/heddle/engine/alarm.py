"""One timer that goes with whatever loop is running.

What lives longer than a loop (allowances that one run after another uses) must not wait for a timer
of a loop that has been closed: it would never ring.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Alarm"]

_TICK_S = 2e-9
"""A loop rings up to a nanosecond early. Who finds then that it is not yet time, and asks for the
rest, must not be rung in the same moment again, for ever where time stands still meanwhile."""


class Alarm:
    """Calls somebody at the earliest of the times that were asked for.

    Args:
        act: called once; it may ask for another time.
    """

    __slots__ = ("_act", "_loop", "_rung", "_timer")

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rung = -1.0  # the time for which it has rung last

    def at(self, when: float) -> None:
        """Ring at that loop time, unless it rings before."""
        loop = asyncio.get_running_loop()
        if self._timer is not None and self._loop is loop and self._timer.when() <= when:
            return
        self.stop()
        late_s = _TICK_S if when == self._rung else 0.0
        self._loop, self._timer = loop, loop.call_at(when + late_s, self._ring)

    def stop(self) -> None:
        """Do not ring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        assert self._timer is not None
        self._rung, self._timer = self._timer.when(), None
        self._act()
