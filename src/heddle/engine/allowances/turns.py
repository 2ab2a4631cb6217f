"""Who goes next among runs that share an allowance: each by its weight.

Runs are served by start tags: each call moves its run on by 1/weight, and the run that is least far
goes next, so that a run with a thousand waiting calls cannot keep out one with a single call. A run
that was idle begins where the others are, not where it once stopped.

Source: start-time fair queueing (Goyal, Vin, Cheng, 1996).
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from heddle.engine.costs import Cost

__all__ = ["Turns", "Waiter"]


class Waiter(NamedTuple):
    """A caller that waits.

    Attributes:
        wake: called when it may try; gives whether it will.
        cost: what it will ask for.
    """

    wake: Callable[[], bool]
    cost: Cost


class Turns:
    """Callers that wait at one gate; within a run, first come, first served.

    Attributes:
        called: how many were woken and have not tried yet.
    """

    __slots__ = ("_called", "_heap", "_order", "_tags", "_time", "_waiting", "called")

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[Waiter]] = {}
        self._tags: dict[Hashable, float] = {}  # of runs that wait, or have gone of late
        self._heap: list[tuple[float, int, Hashable]] = []  # one entry a run that waits
        self._time = 0.0
        self._order = 0
        self.called = 0
        self._called: dict[Hashable, int] = {}  # of them, by run

    def __bool__(self) -> bool:
        return bool(self._heap)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, run: Hashable, waiter: Waiter) -> None:
        """A caller of a run waits. Cost: O(log runs)."""
        waiting = self._waiting.setdefault(run, deque())
        if not waiting:
            self._enter(run)
        waiting.append(waiter)

    def costs(self) -> list[Cost]:
        """What those would ask for who are next in each run."""
        return [waiting[0].cost for waiting in self._waiting.values()]

    def peek(self) -> Waiter:
        """The caller whose turn it is; there must be one."""
        return self._waiting[self._heap[0][2]][0]

    def pop(self) -> Waiter:
        """The caller whose turn it is; there must be one. Cost: O(log runs)."""
        tag, _, run = heappop(self._heap)
        self._time = max(self._time, tag)
        waiting = self._waiting[run]
        waiter = waiting.popleft()
        if waiting:
            self._enter(run)
        else:
            del self._waiting[run]
        return waiter

    def call(self) -> bool:
        """Wake the caller whose turn it is, there must be one; whether it will try."""
        run = self._heap[0][2]
        if not self.pop().wake():
            return False
        self.called += 1
        self._called[run] = self._called.get(run, 0) + 1
        return True

    def answer(self, run: Hashable) -> bool:
        """A caller of a run tries, or passes its turn on; whether one of that run was called."""
        count = self._called.pop(run, 0)
        if count:
            self.called -= 1
        if count > 1:
            self._called[run] = count - 1
        return count > 0

    def forget_called(self) -> None:
        """Who was called and has not tried has lost its turn."""
        self.called = 0
        self._called.clear()

    def went(self, run: Hashable, weight: float) -> None:
        """A call of a run begins, whether it has waited or not."""
        start = max(self._tags.get(run, 0.0), self._time)
        self._tags[run] = start + 1.0 / weight
        if not self._waiting:  # what nobody wanted puts nobody back
            self._time = start
        if len(self._tags) > 64 + 4 * len(self._waiting):
            self._forget()

    def _enter(self, run: Hashable) -> None:
        self._order += 1
        tag = max(self._tags.get(run, 0.0), self._time)
        heappush(self._heap, (tag, self._order, run))

    def _forget(self) -> None:
        """Runs that are not ahead of the others are as good as new."""
        self._tags = {run: tag for run, tag in self._tags.items() if tag > self._time}
