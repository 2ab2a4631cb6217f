"""An event loop in virtual time whose order is chosen by a seed.

asyncio runs what is ready in the order in which it became ready. Real programs see other orders,
because sockets, threads and other machines answer when they like. Here the seed chooses what runs
next, timers of one moment included, so that a race that a machine shows once a year shows itself in
some seed, and in the same seed again.

>>> import asyncio
>>> async def race() -> str:
...     seen = []
...     async def say(name: str) -> None:
...         seen.append(name)
...     async with asyncio.TaskGroup() as group:
...         for name in "abc":
...             group.create_task(say(name))
...     return "".join(seen)
>>> orders = {run_seeded(race(), seed) for seed in range(50)}
>>> len(orders), run_seeded(race(), 7) == run_seeded(race(), 7)
(6, True)

Source: "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs" (Burckhardt, Kothari,
Musuvathi and Nagarakatte 2010) for the priorities.
"""

from __future__ import annotations

import asyncio
import heapq
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakKeyDictionary, WeakSet

from heddle.testing.clock import VirtualClockLoop

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Coroutine

__all__ = ["SeededLoop", "run_seeded"]

T = TypeVar("T")

_MOST_TURNS = 200_000
"""Callbacks that may run without any time passing."""


class SeededLoop(VirtualClockLoop):
    """A virtual-time loop that runs what is ready in an order that its seed chooses.

    Args:
        seed: chooses the order.
        changes: None to choose anew each time; a number for random priorities of tasks that change
            so often in a run, which finds bugs that need a long lead of one task over another.

    Attributes:
        turns: callbacks that have run.
        complaints: what was told to the loop's exception handler: errors that nobody has seen.
        tasks: those that it has made; asyncio's own list has those of all loops that ever were.

    Cost: about that of asyncio's own loop.
    """

    def __init__(self, seed: int, *, changes: int | None = None) -> None:
        super().__init__()
        self.turns = 0
        self.complaints: list[str] = []
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self.set_task_factory(SeededLoop._make_task)
        self._queue: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]
        self._timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        self._random = Random(seed)
        self._moment, self._moment_turns = -1.0, 0
        self._priorities: WeakKeyDictionary[Any, float] | None = None
        if changes is not None:
            self._priorities = WeakKeyDictionary()
        self._change_at = {self._random.randrange(2_000) for _ in range(changes or 0)}
        self.set_exception_handler(SeededLoop._complain)

    def _complain(self: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.complaints.append(f"{context['message']}: {error!r}" if error else context["message"])

    def _make_task(self: Any, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, **options)
        self.tasks.add(task)
        return task

    def at_work(self) -> set[asyncio.Task[Any]]:
        """The tasks that are not done."""
        return {task for task in self.tasks if not task.done()}

    def _run_once(self) -> None:
        """Run one callback, or let time pass until there is one.

        It takes the place of asyncio's own, whose queue and heap it reads.
        """
        ready = self._queue
        if not ready or self.threads:
            self._wait(ready)
        self._ring(ready)
        if not ready:
            return
        self._refuse_to_spin()
        place = self._choose(ready)
        ready[place], ready[0] = ready[0], ready[place]
        handle = ready.popleft()
        if not handle._cancelled:  # type: ignore[attr-defined]
            self.turns += 1
            handle._run()

    def _refuse_to_spin(self) -> None:
        """Raise if so much happens in one moment that it will never be over."""
        if self.time() != self._moment:
            self._moment, self._moment_turns = self.time(), self.turns
        elif self.turns - self._moment_turns > _MOST_TURNS:
            raise RuntimeError(
                f"virtual time stands still at {self.time():g} s: {_MOST_TURNS} callbacks have run "
                "in that moment, and there are always more"
            )

    def _wait(self, ready: deque[asyncio.Handle]) -> None:
        """Let time pass until the next timer; where a thread works, wait for it in real time."""
        scheduled = self._timers
        while scheduled and scheduled[0]._cancelled:  # type: ignore[attr-defined]
            heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]
            self._timer_cancelled_count -= 1
        timeout: float | None = 0.0 if ready else None
        if scheduled and not ready:
            timeout = max(0.0, scheduled[0].when() - self.time())
            if not self.threads:
                self.advance(timeout)
                return
        self._process_events(self._selector.select(timeout))  # type: ignore[attr-defined]

    def _ring(self, ready: deque[asyncio.Handle]) -> None:
        """Move the timers that are due among what is ready."""
        scheduled = self._timers
        due = self.time() + self._clock_resolution
        while scheduled and scheduled[0].when() < due:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False  # type: ignore[attr-defined]
            if handle._cancelled:  # type: ignore[attr-defined]
                self._timer_cancelled_count -= 1
            else:
                ready.append(handle)

    def _choose(self, ready: deque[asyncio.Handle]) -> int:
        """The place of what runs next."""
        count = len(ready)
        if count == 1:
            return 0
        if self._priorities is None:
            return int(self._random.random() * count)
        ranks = [self._priority(handle) for handle in ready]
        place = ranks.index(max(ranks))
        if self.turns in self._change_at and (whose := _owner(ready[place])) is not None:
            self._priorities[whose] = -self._random.random()
        return place

    def _priority(self, handle: asyncio.Handle) -> float:
        whose = _owner(handle)
        if whose is None:
            return 1.0  # plain callbacks go first, in their order
        assert self._priorities is not None
        found = self._priorities.get(whose)
        if found is None:
            found = self._priorities[whose] = self._random.random()
        return found


def _owner(handle: asyncio.Handle) -> asyncio.Task[Any] | None:
    """The task that a callback is a step of, if it is one."""
    whose = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
    return cast("asyncio.Task[Any]", whose) if isinstance(whose, asyncio.Task) else None


def run_seeded(main: Coroutine[Any, Any, T], seed: int, *, changes: int | None = None) -> T:
    """Run a coroutine to its end in virtual time, in the order of a seed.

    Raises:
        RuntimeError: all tasks wait and no timer is left: a dead end, found at once.
    """
    with asyncio.Runner(loop_factory=lambda: SeededLoop(seed, changes=changes)) as runner:
        return runner.run(main)
