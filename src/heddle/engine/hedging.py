"""Hedging: a second copy of a call that takes unusually long; whichever answers first counts.

Policy. `pure` and `read` calls only, and not those of batches or of tools that ask models, unless
limits say so. A copy is made of a call that is out longer than all but one in 67 of its tool's
calls, if a slot of the run and one at each gate is free, no ready step wants it, the provider's
breaker is closed, the run's budget pays, and calls have earned it: two copies for a hundred of
them, ten at most in advance. A copy that is slow as well gets one more.

The 95th percentile would be sooner, but one call in twenty lies beyond it, and the copies that are
earned would be spent on calls which end in a moment: `bench.reliability.hedging` shows it.

    call ──out too long──▶ call + copy ──one answers──▶ done, the other is stopped
                                       └──the call fails, or is given up──▶ the copy is stopped

The step has the attempt that it had, and what becomes of that attempt, unless a copy answers: a
copy that fails is forgotten. Each one is in the log as HedgeStarted and HedgeEnded.

Source: J. Dean, L. A. Barroso, "The Tail at Scale" (CACM 56(2), 2013).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from heddle.engine.endings import UNCALLED
from heddle.engine.events import HedgeEnded, HedgeStarted, LateResult
from heddle.tools.function import Metered

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from heddle.engine.attempts import Attempts
    from heddle.engine.budget import Reservation
    from heddle.engine.deadlines import Deadline
    from heddle.engine.estimates import Estimates
    from heddle.engine.executor import Executor
    from heddle.engine.log import EventLog
    from heddle.engine.lookup import Lookup
    from heddle.engine.map_run import Element
    from heddle.engine.node import Node
    from heddle.engine.queue import ReadyQueue
    from heddle.engine.slots import Lease
    from heddle.plan.ir import Step
    from heddle.plan.limits import Limits

__all__ = ["Hedging"]

LATE: Final = 0.985
"""The share of a tool's calls that are over before one is called late."""

SHARE: Final = 0.02
MOST_EARNED: Final = 10.0
MOST_COPIES: Final = 2  # of one call


class _Race:
    """A call that may get copies."""

    __slots__ = ("attempt", "began_s", "called", "copies", "timer")

    def __init__(self, attempt: int, began_s: float) -> None:
        self.attempt = attempt
        self.began_s = began_s
        self.copies: dict[int, asyncio.Task[None]] = {}
        self.called: set[int] = set()  # of them; until then a task is not to be cancelled
        self.timer: Deadline | None = None


class Hedging:
    """The copies of calls of one run.

    Args:
        log: takes the events.
        limits: whether calls of models count.
        queue: gives spare slots.
        lookup: fills a copy's arguments anew.
        attempts: whose calls they are.
        estimates: learns how long calls take, and knows what copies they have earned.
        executor: makes the copies.
        succeeded: told the value of a copy that answered first, and when its call began.

    Attributes:
        begun: copies that were made.

    Cost: of a call that ends in time, one deadline and one entry in a histogram.
    """

    def __init__(
        self,
        log: EventLog,
        limits: Limits,
        queue: ReadyQueue,
        lookup: Lookup,
        attempts: Attempts,
        estimates: Estimates,
        executor: Executor,
        succeeded: Callable[[Node, Any, float], None],
    ) -> None:
        self.begun = 0
        self._log = log
        self._limits = limits
        self._queue = queue
        self._lookup = lookup
        self._attempts = attempts
        self._estimates = estimates
        self._executor = executor
        self._succeeded = succeeded
        self._races: dict[Node, _Race] = {}

    def watch(self, node: Node, began_s: float) -> None:
        """An attempt begins."""
        spec = node.spec
        if spec is None or spec.effectful or spec.max_batch > 1:
            return
        if spec.asks_model and not self._limits.hedging_models:
            return
        self._estimates.earned = min(MOST_EARNED, self._estimates.earned + SHARE)
        race = self._races[node] = _Race(node.attempt, began_s)
        self._set_timer(node, race, began_s)

    def _set_timer(self, node: Node, race: _Race, began_s: float) -> None:
        step = cast("Step", node.step)
        late_s = self._estimates.quantile(step.tool, LATE)
        if late_s is not None:
            race.timer = self._attempts.deadlines.add(began_s + late_s, self._late, node)

    def over(self, node: Node, *, answered: bool) -> None:
        """A call has returned, or nobody waits for it any more; its copies are stopped.

        Args:
            node: whose call it is.
            answered: whether it gave a value.
        """
        race = self._races.pop(node, None)
        if race is None:
            return
        if answered:
            self._estimates.spread(cast("Step", node.step).tool, self._log.now() - race.began_s)
        self._stop(node, race)

    def _stop(self, node: Node, race: _Race, winner: int = 0) -> None:
        if race.timer is not None:
            self._attempts.deadlines.drop(race.timer)
        for copy, task in race.copies.items():
            if copy != winner and copy in race.called:
                task.cancel()
            at, won = self._log.now(), copy == winner
            self._log.emit(HedgeEnded(at, node.id, race.attempt, node.element, copy, won))

    # -- copies --------------------------------------------------------------------------------

    def _late(self, node: Node) -> None:
        """A call takes long: copy it, if there is room and the run has earned it."""
        race = self._races[node]
        race.timer = None
        if node.status != "running" or not self._has_room(node):
            return
        admission = self._attempts.admission
        reserved = None if admission is None else admission.reserve(node)
        if admission is not None and reserved is None:
            return
        leases = self._queue.spare_slots(node)
        if leases is None:
            if reserved is not None:
                reserved.drop()
            return
        self._begin(node, race, leases, reserved)

    def _begin(
        self, node: Node, race: _Race, leases: list[Lease], reserved: Reservation | None
    ) -> None:
        self._estimates.earned -= 1.0
        self.begun += 1
        copy, now = len(race.copies) + 1, self._log.now()
        self._log.emit(
            HedgeStarted(now, node.id, race.attempt, node.element, copy, now - race.began_s)
        )
        race.copies[copy] = self._attempts.lend(self._call(node, race, copy, leases, reserved))
        if copy < MOST_COPIES:
            self._set_timer(node, race, now)

    def _has_room(self, node: Node) -> bool:
        attempts = self._attempts
        if self._estimates.earned < 1.0 or self._queue.ready or not attempts.has_room:
            return False
        return not self._queue.wanted(node.gates) and not self._queue.breaker_open(node)

    async def _call(
        self,
        node: Node,
        race: _Race,
        copy: int,
        leases: list[Lease],
        reserved: Reservation | None,
    ) -> None:
        if self._races.get(node) is not race:  # within one turn of the loop
            self._attempts.give_back(leases, UNCALLED)
            if reserved is not None:
                reserved.drop()
            return
        race.called.add(copy)
        step, value, error = cast("Step", node.step), None, None
        try:
            value = await self._executor.call(step.tool, self._args(node, step), race.attempt)
        except BaseException as caught:  # whatever a tool raises is its own failure
            error = caught
        if reserved is not None:
            reserved.settle()
        self._attempts.give_back(leases, value if error is None else error)
        if error is not None:
            return
        if self._races.get(node) is race and node.status == "running":
            self._win(node, race, copy, value)
        elif type(value) is Metered:  # nobody sees its value, but it was paid for
            _, usage, cost = value
            self._log.emit(
                LateResult(self._log.now(), node.id, race.attempt, None, node.element, usage, cost)
            )

    def _args(self, node: Node, step: Step) -> dict[str, Any]:
        if node.element is None:
            return self._lookup.fill(step)
        return self._lookup.fill_element(step, cast("Element", node).item)

    def _win(self, node: Node, race: _Race, copy: int, value: Any) -> None:
        del self._races[node]
        self._estimates.spread(cast("Step", node.step).tool, self._log.now() - race.began_s)
        self._stop(node, race, copy)
        self._attempts.outrun(node)
        self._succeeded(node, value, race.began_s)
        self._attempts.pump_soon()
