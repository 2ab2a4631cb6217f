"""Waiters: who waits until steps have ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from heddle.engine.events import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from heddle.engine.node import Node

__all__ = ["Waiters"]


class _Waiter:
    """Somebody who waits for all of some steps to end, or for `wanted` more of them to be done."""

    __slots__ = ("future", "ids", "wanted")

    def __init__(self, ids: set[str], wanted: int) -> None:
        self.ids = ids
        self.wanted = wanted
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Waiters:
    """All who wait for steps of one run.

    Args:
        nodes: the scheduler's nodes, by id.

    Attributes:
        some: those who wait for steps by name; for a quick look whether there is anybody.
    """

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.some: list[_Waiter] = []
        self._nodes = nodes
        self._all_ended: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None

    async def for_all(self, unfinished: int) -> None:
        """Return when every step has ended, of which so many have not.

        Raises:
            BaseException: the scheduler itself failed; a bug.
        """
        self._refuse_after_failure()
        if unfinished:
            if self._all_ended is None:
                self._all_ended = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._all_ended)

    async def for_some(self, ids: Collection[str], done: int | None) -> None:
        """Return when these steps have ended, or as soon as so many of them are done.

        Raises:
            BaseException: the scheduler itself failed; a bug.
        """
        self._refuse_after_failure()
        open_ids = {id for id in ids if self._nodes[id].status not in TERMINAL}
        wanted = len(ids) + 1 if done is None else done
        wanted -= sum(self._nodes[id].status == "done" for id in ids)
        if not open_ids or wanted <= 0:
            return
        waiter = _Waiter(open_ids, wanted)
        self.some.append(waiter)
        try:
            await waiter.future
        finally:
            self.some.remove(waiter)

    def tell(self, node: Node, unfinished: int) -> None:
        """A step has ended. Cost: O(those who wait)."""
        if not unfinished and self._all_ended is not None:
            _resolve(self._all_ended)
            self._all_ended = None
        for waiter in self.some:
            if node.id in waiter.ids:
                waiter.ids.discard(node.id)
                waiter.wanted -= node.status == "done"
                if not waiter.ids or waiter.wanted <= 0:
                    _resolve(waiter.future)

    def fail(self, error: BaseException) -> None:
        """The scheduler has failed: whoever waits is told, and whoever will."""
        self._failure = error
        futures = [waiter.future for waiter in self.some]
        for future in (*futures, *filter(None, [self._all_ended])):
            if not future.done():
                future.set_exception(error)

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
