"""Batches: ready calls of a tool that has a batch form are made as one.

Policy. A call that has become ready waits for the end of the loop's turn, or for the tool's
`batch_wait_s`; then it stands in the queue. When one of them gets its slots, the others that stand
there go with it, up to the tool's `max_batch`: one worker, one slot, one request of the provider's
allowance. Each call keeps its own step, deadline, events and outcome.

A plan that is still arriving is batched by what has arrived: nine lines in one piece are one batch,
nine pieces are as many batches as there are free slots, unless `batch_wait_s` says to wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.engine.admission import Admission
    from heddle.engine.node import Node
    from heddle.engine.queue import ReadyQueue
    from heddle.plan.spec import ToolSpec

__all__ = ["Batch", "Batches"]


class Batch:
    """Calls that are in flight together; `task` makes them."""

    __slots__ = ("members", "task")

    def __init__(self, members: list[Node], task: asyncio.Task[None]) -> None:
        self.members = members
        self.task = task

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for an outcome."""
        return any(node.status == "running" for node in self.members)


class Batches:
    """The ready calls of tools with a batch form.

    Args:
        queue: takes those that have waited.
        wake: called when the queue has got some.
        admission: says what the run's budget can pay for; None where nothing bounds it.
    """

    def __init__(
        self, queue: ReadyQueue, wake: Callable[[], None], admission: Admission | None
    ) -> None:
        self._admission = admission
        self._queue = queue
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._gathering: dict[str, list[Node]] = {}
        self._timers: dict[str, asyncio.Handle] = {}
        self._queued: dict[str, deque[Node]] = {}

    def gather(self, node: Node) -> None:
        """A call is ready; others may come."""
        spec: ToolSpec = node.spec  # type: ignore[assignment]  # only steps become ready
        waiting = self._gathering.setdefault(spec.name, [])
        waiting.append(node)
        if len(waiting) >= spec.max_batch:
            self._release(spec.name)
        elif len(waiting) == 1:
            self._timers[spec.name] = (
                self._loop.call_later(spec.batch_wait_s, self._release, spec.name)
                if spec.batch_wait_s
                else self._loop.call_soon(self._release, spec.name)
            )

    def _release(self, tool: str) -> None:
        self._timers.pop(tool).cancel()
        queued = self._queued.setdefault(tool, deque())
        for node in self._gathering.pop(tool):
            if node.status == "ready":
                queued.append(node)
                self._queue.push(node)
        self._wake()

    def take(self, first: Node) -> list[Node]:
        """The calls that go with one that has its slots, itself first. Cost: O(1) each, amortised.

        The others need no slots; their places in the queue are void.
        """
        spec: ToolSpec = first.spec  # type: ignore[assignment]  # only steps become ready
        queued = self._queued.get(spec.name, ())
        members = [first]
        while queued and len(members) < spec.max_batch:
            node = queued.popleft()  # type: ignore[union-attr]  # a tuple is empty
            if node.status == "ready" and (self._admission is None or self._admission.take(node)):
                node.status = "running"
                members.append(node)
        return members

    def close(self) -> None:
        """Nothing is gathered any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._gathering.clear()
        self._queued.clear()
