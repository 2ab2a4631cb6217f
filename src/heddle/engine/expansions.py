"""Expansions in the scheduler: steps that run a nested plan, and hold no slot while they do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from heddle.engine.events import StepStarted
from heddle.errors import ToolFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from heddle.engine.attempts import Attempts
    from heddle.engine.gate import Gate
    from heddle.engine.log import EventLog
    from heddle.engine.lookup import Lookup
    from heddle.engine.map_run import Element
    from heddle.engine.node import Node
    from heddle.engine.outcomes import Outcomes
    from heddle.engine.past import Place

__all__ = ["Expand", "Expansions"]

Expand: TypeAlias = "Callable[[Place, Gate, dict[str, Any]], Awaitable[Any]]"
"""Given the place that expands it, its round's write gate and its arguments: the plan's output."""


class Expansions:
    """The expansions of one run that are under way.

    Attributes:
        expand: runs a nested plan; None where nobody can.
    """

    def __init__(
        self, outcomes: Outcomes, log: EventLog, lookup: Lookup, attempts: Attempts
    ) -> None:
        self.expand: Expand | None = None
        self._outcomes = outcomes
        self._log = log
        self._lookup = lookup
        self._attempts = attempts
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, node: Node) -> None:
        """Start a ready step. Only its own `timeout_s` bounds it: its steps have theirs."""
        started = self._log.now()
        node.status, node.begun = "running", True
        node.attempt += 1
        self._log.emit(StepStarted(started, node.id, node.attempt, node.element))
        assert node.step is not None
        if node.step.timeout_s is not None:
            at = started + node.step.timeout_s
            node.deadline = self._attempts.deadlines.add(at, self._expire, node)
        node.task = asyncio.get_running_loop().create_task(self._work(node, started))
        self._tasks.add(node.task)
        node.task.add_done_callback(self._tasks.discard)

    async def _work(self, node: Node, started: float) -> None:
        try:
            value = await self._expanded(node)
        except BaseException as error:  # the step's own failure, whatever it is
            if node.status == "running":
                self._drop_deadline(node)
                self._outcomes.failed(node, error)
        else:
            if node.status == "running":
                self._drop_deadline(node)
                self._outcomes.succeeded(node, value, started)
        self._attempts.pump()

    async def _expanded(self, node: Node) -> Any:
        step = node.step
        assert step is not None
        if self.expand is None:
            raise ToolFailed("plans cannot be expanded here", code="not-runnable")
        args = (
            self._lookup.fill(step)
            if node.element is None
            else self._lookup.fill_element(step, cast("Element", node).item)
        )
        return await self.expand((node.id, node.element), node.gate, args)

    def _drop_deadline(self, node: Node) -> None:
        if node.deadline is not None:
            self._attempts.deadlines.drop(node.deadline)
            node.deadline = None

    def _expire(self, node: Node) -> None:
        node.deadline = None
        self._attempts.give_up(node, "failed", "timed-out", "the nested plan ran out of time")

    async def close(self) -> None:
        """Wait for those that were given up; they stop at once."""
        if self._tasks:
            await asyncio.wait(self._tasks)
