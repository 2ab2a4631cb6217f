"""A life of a program: from its start until it has ended, or died.

A process that dies does not tidy up. Here it cannot be stopped in the middle of its own code, so it
is cut off from the world instead: from that moment its store and its tools do nothing any more,
whatever it goes on to do, and nobody outside hears of it again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from heddle.testing.simulation.loop import SeededLoop

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["Died", "Life"]

T = TypeVar("T")

_MOST_S = 7_200.0
"""Virtual seconds that a life may take; one that only renews its lease would go on for ever."""

_LAST_TURNS = 100
"""Rounds of cancellation that what is left behind gets."""


class Died(Exception):
    """The program did not come to its end."""


class Life:
    """One life of a program, with a loop of its own.

    Args:
        seed: chooses the order in which things happen.
        changes: see `SeededLoop`.

    Attributes:
        dead: whether the program has died.
        leaked: names of tasks that were still there when the program had ended.
        complaints: errors that nobody has seen, while it lived.
    """

    def __init__(self, seed: int, *, changes: int | None = None) -> None:
        self._loop = SeededLoop(seed, changes=changes)
        self._death: asyncio.Future[None] = self._loop.create_future()
        self.dead = False
        self.leaked: list[str] = []
        self.complaints: list[str] = []

    def twin(self) -> Life:
        """Another process at the same time: it lives and dies by itself, on the same loop."""
        twin = object.__new__(Life)
        twin.__dict__ |= {**self.__dict__, "_death": self._loop.create_future(), "dead": False}
        return twin

    def time(self) -> float:
        """Seconds since it began."""
        return self._loop.time()

    def die(self) -> None:
        """Cut the program off from the world."""
        self.dead = True
        if not self._death.done():
            self._death.set_result(None)

    async def pause(self, seconds: float = 0.0) -> None:
        """Let time pass; a dead program never comes back from here."""
        if seconds:
            await asyncio.sleep(seconds)
        await self.alive()

    async def alive(self) -> None:
        """Return if the program lives; if it does not, wait for ever."""
        if self.dead:
            await self._loop.create_future()

    def run(self, main: Coroutine[Any, Any, T], *, dies_at: float | None = None) -> T:
        """Run a program to its end.

        Args:
            main: the program.
            dies_at: the moment of its death, if that is known.

        Raises:
            Died: it did not come to it.
            RuntimeError: it goes on for ever, or waits for what never comes.
            BaseException: whatever the program raises.
        """
        loop = self._loop
        asyncio.set_event_loop(loop)
        try:
            if dies_at is not None:
                loop.call_at(dies_at, self.die)
            task = loop.create_task(main)
            loop.run_until_complete(self._until_over(task))
            if self.dead:
                raise Died
            return task.result()
        finally:
            self._end()

    async def _until_over(self, task: asyncio.Task[Any]) -> None:
        over, _ = await asyncio.wait(
            (task, self._death), timeout=_MOST_S, return_when=asyncio.FIRST_COMPLETED
        )
        if not over:
            raise RuntimeError(f"the program has not come to its end in {_MOST_S:g} s of its time")
        if not self.dead:
            await asyncio.sleep(0)  # callbacks of what has just ended
            left = self._loop.at_work() - {asyncio.current_task(), task}
            if task.cancelled():  # in its grace too: it leaves, whatever does not hear that it ends
                left = {each for each in left if not each.cancelling()}
            self.leaked = sorted(map(repr, left))

    def _end(self) -> None:
        """Let go of what is left; none of it can be seen from outside."""
        loop = self._loop
        self.complaints = list(loop.complaints)
        self.dead = True
        for _ in range(_LAST_TURNS):
            left = loop.at_work()
            if not left:
                break
            for task in left:
                task.cancel()
            loop.run_until_complete(_a_moment(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()


async def _a_moment(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks, timeout=1.0)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # nobody else will look at it
