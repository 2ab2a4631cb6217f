"""All deadlines of a run in one heap, under one timer of the loop.

An entry that is no longer wanted is dropped where it lies; when such entries are the majority, the
heap is built anew, so that memory stays in proportion to what is still wanted.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Deadline", "Deadlines"]

_RESOLUTION_S = 1e-6  # timers may ring early by a rounding error

Deadline: TypeAlias = "list[Any]"
"""[time, number, act, subject]: a list, so that the heap compares without calling Python."""


class Deadlines:
    """A heap of deadlines. Cost: O(log n) to add, O(1) amortised to drop.

    Args:
        now: the run's clock, in seconds.
    """

    __slots__ = ("_added", "_dropped", "_heap", "_loop", "_now", "_timer", "_timer_at")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._heap: list[Deadline] = []
        self._added = 0
        self._dropped = 0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")

    def add(self, at: float, act: Callable[[Any], None], subject: object = None) -> Deadline:
        """Call `act(subject)` at the clock's `at`, unless dropped before."""
        self._added += 1
        deadline = [at, self._added, act, subject]
        heapq.heappush(self._heap, deadline)
        if at < self._timer_at:
            self._set_timer()
        return deadline

    def drop(self, deadline: Deadline) -> None:
        """The deadline is met: it will not act."""
        if deadline[2] is None:
            return
        deadline[2] = deadline[3] = None
        self._dropped += 1
        if self._dropped > 64 and self._dropped * 2 > len(self._heap):
            self._heap = [item for item in self._heap if item[2] is not None]
            heapq.heapify(self._heap)
            self._dropped = 0

    def close(self) -> None:
        """Forget all deadlines."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._heap[0][0]
        self._timer = self._loop.call_later(self._timer_at - self._now(), self._ring)

    def _ring(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        now = self._now() + _RESOLUTION_S
        while self._heap and (self._heap[0][2] is None or self._heap[0][0] <= now):
            deadline = heapq.heappop(self._heap)
            _, _, act, subject = deadline
            if act is None:
                self._dropped -= 1
            else:
                deadline[2] = None
                act(subject)
        if self._heap and self._timer is None:
            self._set_timer()
