"""Attempts: workers take ready steps, call tools, and say what came of it.

A worker is a task that runs one step after another while there are any; there are never more of
them than steps in flight. A worker whose step was cancelled or timed out ends with it. The slot
stays taken until the tool has really returned, so that a tool that ignores cancellation never makes
room for one call too many.

Workers are not in a TaskGroup, because a group would wait for such a tool for ever: `close` gives
them `grace_s` seconds and then counts what it leaves behind.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from heddle.engine.batches import Batch, Batches
from heddle.engine.calls import CurrentCall, calling
from heddle.engine.endings import UNCALLED, ending_of
from heddle.engine.events import STARTED, CallAbandoned, EffectOrigin, LateResult, StepIntent
from heddle.plan.canonical import hash_of
from heddle.tools.function import Metered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping

    from heddle.engine.admission import Admission
    from heddle.engine.budget import Reservation
    from heddle.engine.deadlines import Deadlines
    from heddle.engine.events import Status
    from heddle.engine.executor import Executor
    from heddle.engine.hedging import Hedging
    from heddle.engine.log import EventLog
    from heddle.engine.lookup import Lookup
    from heddle.engine.map_run import Element
    from heddle.engine.node import Node
    from heddle.engine.outcomes import Outcomes
    from heddle.engine.queue import ReadyQueue
    from heddle.engine.sharing import Sharing
    from heddle.engine.slots import Lease
    from heddle.plan.ir import Step
    from heddle.plan.limits import Limits
    from heddle.plan.spec import ToolSpec

__all__ = ["Attempts"]

CallMany: TypeAlias = "Callable[[str, list[dict[str, Any]]], Awaitable[list[Any]]]"

_TURN = 64
"""Steps that a worker may run without giving the loop a turn, when none of them waits."""


class Attempts:
    """The calls of one run that are in flight.

    Args:
        specs: the tools.
        executor: calls them.
        log: takes the events.
        limits: bounds on concurrency and time.
        queue: gives ready steps with their slots.
        lookup: fills their arguments.
        sharing: learns when the world may have changed.
        outcomes: takes what came of attempts.
        deadlines: the run's; `close` closes them.
        left_s: seconds that a step has left of its time for all attempts; asked if there is such.
        admission: books what calls take; None where nothing bounds it.
        run_id: the run's id, for the origin of effects.

    Attributes:
        in_flight: steps that hold a slot of the run, those included whose tool ignores that
            nobody waits for it any more.
        peak: the most that were in flight at once.
        calls: attempts that have begun.
        deadlines: the run's deadlines.
        admission: what books calls.
        lease: the token of the run's lease, which effects carry.
        hedging: makes copies of calls that take long; None where nobody asked for them.
        spare: called when every ready step that finds a slot has one, while `speculating`.
    """

    def __init__(
        self,
        specs: Mapping[str, ToolSpec],
        executor: Executor,
        log: EventLog,
        limits: Limits,
        queue: ReadyQueue,
        lookup: Lookup,
        sharing: Sharing,
        outcomes: Outcomes,
        deadlines: Deadlines,
        left_s: Callable[[Node, float], float],
        admission: Admission | None,
        run_id: str,
    ) -> None:
        self.in_flight = 0
        self.peak = 0
        self.calls = 0
        self.hedging: Hedging | None = None
        self.spare: Callable[[], None] | None = None
        self.speculating = False
        self._wary = False
        self._most = limits.concurrency
        self.lease = 0
        self.admission = admission
        self.deadlines = deadlines
        self._left_s = left_s
        self._call = executor.call
        self._call_many: CallMany | None = getattr(executor, "call_many", None)
        self.batches = Batches(queue, self.pump_soon, admission)
        self._taken: dict[Node, list[Node]] = {}  # by the first, until its worker begins
        self._together: dict[Node, Batch] = {}
        self._overdue: set[Node] = set()  # out of time, and their tools have not returned
        self._log = log
        self._run_id = run_id
        self._now = log.now
        self._limits = limits
        self._queue = queue
        self._fill = lookup.fill
        self._fill_element = lookup.fill_element
        self._sharing = sharing
        self._outcomes = outcomes
        self._timeouts = {
            name: spec.timeout_s or limits.step_timeout_s for name, spec in specs.items()
        }
        self._loop = asyncio.get_running_loop()
        self._workers: set[asyncio.Task[None]] = set()
        self._cancelled: dict[asyncio.Task[None], Node] = {}  # that have not ended yet
        self._pumping = False

    def go_warily(self) -> None:
        """Make one call at a time, each written down before, until one has come to something.

        Process after process has died without bringing the run further. Whoever kills the next one
        is to be known, and nobody beside is to be blamed.
        """
        self._wary, self._most = True, 1

    def _relax(self) -> None:
        self._wary, self._most = False, self._limits.concurrency
        self.pump_soon()

    def pump(self) -> None:
        """Give every ready step that finds a slot a worker."""
        self._pumping = False
        ready, most = self._queue.ready, self._most
        try:
            while ready and self.in_flight < most and (node := self._next()) is not None:
                worker = self._loop.create_task(self._work(node))
                node.task = worker
                self._workers.add(worker)
                worker.add_done_callback(self._worker_ended)
        except Exception as error:  # a bug of ours: nobody would be woken again
            self._outcomes.broken(error)
        if self._queue.called and self.in_flight >= most:
            self._queue.give_turns_back()
        if self.speculating and self.spare is not None:
            self.spare()

    def pump_soon(self) -> None:
        """Pump in the loop's next turn: the caller may be in the midst of taking slots."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self.pump)

    def _next(self) -> Node | None:
        if self.in_flight >= self._most:
            return None
        node = self._queue.take()
        if node is not None:
            self.in_flight += 1
            if self.in_flight > self.peak:
                self.peak = self.in_flight
            node.status = "running"
            if self.admission is not None:
                self.admission.take(node)
            if node.spec.max_batch > 1 and self._call_many is not None:  # type: ignore[union-attr]
                self._taken[node] = self.batches.take(node)
        return node

    async def _work(self, node: Node | None) -> None:
        """Run a step, then the next, until none finds a slot or this worker's step was given up."""
        assert node is not None
        assert node.task is not None
        task, turns, kept = node.task, 0, True
        queue, outcomes = self._queue, self._outcomes
        while kept and node is not None:
            node.task = task
            if self._taken and node in self._taken and self._call_many is not None:
                await self._work_together(node, task, self._call_many)
                kept = not task.cancelling()
                node = self._next() if kept and queue.ready else None
                if queue.ready or self.speculating:
                    self.pump_soon()
                continue
            node.attempt += 1
            step: Step = node.step  # type: ignore[assignment]  # only steps become ready
            started = None
            try:
                args = self._fill(step) if node.element is None else self._args(node, step)
                if node.spec.effectful:  # type: ignore[union-attr]  # only steps become ready
                    await self._intend(node, args)
                started = self._begin(node, step)
                if self._wary and not node.spec.effectful:  # type: ignore[union-attr]
                    await self._log.durable(len(self._log.events) - 1)
                value = await self._call(step.tool, args, node.attempt)
            except BaseException as error:  # whatever a tool raises is its own failure
                kept = node.status == "running"
                self._let_go(node, error)
                if kept:
                    outcomes.failed(node, error, started)
                else:
                    outcomes.has_returned(node)
            else:
                kept = node.status == "running"
                self._let_go(node, value)
                if kept:
                    outcomes.succeeded(node, value, started)
                else:
                    self._tell_late(node, value)
            turns += 1
            kept = kept and not task.cancelling()  # a tool may have cancelled its own task
            if kept and turns % _TURN == 0:
                await asyncio.sleep(0)
            node = self._next() if kept and queue.ready else None
            if self.speculating or (queue.ready and self.in_flight < self._most):
                self.pump_soon()  # not at once: this worker may get to them before the loop does

    def _args(self, node: Node, step: Step) -> dict[str, Any]:
        if node.element is None:
            return self._fill(step)
        return self._fill_element(step, cast("Element", node).item)

    async def _work_together(self, first: Node, task: asyncio.Task[None], call: CallMany) -> None:
        """Make a call and those that wait beside it as one; only the first holds slots."""
        args: dict[Node, dict[str, Any]] = {}
        for node in self._taken.pop(first):
            if node.status != "running":
                self._settle(node, UNCALLED)
                continue
            node.attempt += 1
            try:
                args[node] = self._args(node, node.step)  # type: ignore[arg-type]
            except Exception as error:  # its own fault, and not that of the others
                self._settle(node, error)
                self._outcomes.failed(node, error)
        if not args:
            self._let_go(first, UNCALLED)
            return
        batch = Batch(list(args), task)
        self._together.update(dict.fromkeys(args, batch))
        started = [self._begin(node, node.step) for node in args]  # type: ignore[arg-type]
        tool = first.step.tool  # type: ignore[union-attr]  # only steps become ready
        try:
            if self._wary:
                await self._log.durable(len(self._log.events) - 1)
            values = await call(tool, list(args.values()))
        except BaseException as error:  # whatever a tool raises is its own failure
            values = [error] * len(args)
        for node, value in zip(args, values, strict=True):
            self._settle(node, value)
        self._let_go(first, values[0])
        for node, value, began in zip(args, values, started, strict=True):
            del self._together[node]
            self._tell(node, value, began)

    def _tell(self, node: Node, value: Any, started: float) -> None:
        """What came of one call of a batch."""
        if node.deadline is not None:
            self.deadlines.drop(node.deadline)
            node.deadline = None
        failed = isinstance(value, BaseException)
        if node.status != "running":
            if failed:
                self._outcomes.has_returned(node)
            else:
                self._tell_late(node, value)
        elif failed:
            self._outcomes.failed(node, value, started)
        else:
            self._outcomes.succeeded(node, value, started)

    def _tell_late(self, node: Node, value: Any) -> None:
        """Nobody waits for this value any more; what its models cost is counted all the same."""
        usage = cost = None
        if type(value) is Metered:
            value, usage, cost = value
        self._log.emit(
            LateResult(self._now(), node.id, node.attempt, value, node.element, usage, cost)
        )  # fmt: skip
        self._outcomes.late(node, value)
        self._outcomes.has_returned(node)

    def _begin(self, node: Node, step: Step) -> float:
        """The attempt begins: say so, and set its deadline."""
        started = self._now()
        self.calls += 1
        node.begun = True
        self._log.emit((STARTED, started, node.id, node.attempt, node.element))
        seconds = step.timeout_s or self._timeouts[step.tool]
        if self._limits.step_total_s is not None:
            seconds = min(seconds or math.inf, self._left_s(node, started))
        if seconds is not None:
            node.deadline = self.deadlines.add(started + seconds, self._expire, node)
        if self.hedging is not None:
            self.hedging.watch(node, started)
        return started

    async def _intend(self, node: Node, args: Mapping[str, Any]) -> None:
        """Write down an effect before it happens."""
        step, spec = node.step, node.spec
        assert step is not None
        assert spec is not None
        self._sharing.world_changed()
        assert node.gate.origins is not None  # without it no effect leaves its gate
        origin = EffectOrigin(self._run_id, *node.gate.origins(node.id), node.element)
        key = hash_of([origin.run, origin.round, node.id, node.element])
        now, seconds = self._now(), step.timeout_s or self._timeouts[step.tool]
        deadline = None if seconds is None else now + seconds
        self._log.emit(
            StepIntent(
                now, node.id, node.element, node.attempt, spec.effect, hash_of(args), key, deadline,
                origin, self.lease,
            )
        )  # fmt: skip
        calling.set(CurrentCall(key, origin.run, node.id, node.element, node.attempt, deadline))
        await self._log.durable(len(self._log.events) - 1)
        if node.status != "running":
            raise asyncio.CancelledError

    def _settle(self, node: Node, ended: Any) -> None:
        """A call is over: what it took is booked."""
        if self.admission is not None:
            self.admission.settle(node, ended, called=ended is not UNCALLED)

    def _let_go(self, node: Node, ended: Any) -> None:
        """The tool has returned, or will not be called: its slots and its deadline are free.

        Args:
            node: the step.
            ended: its value, or what it raised, or UNCALLED.
        """
        if node.task is None:
            return
        if self.admission is not None:
            self._settle(node, ended)
        if node.spec.effectful:  # type: ignore[union-attr]  # only steps hold slots
            self._sharing.world_changed()
            self._log.hurry()  # with what is said of it in this turn of the loop
            calling.set(None)
        if self.hedging is not None:
            self.hedging.over(node, answered=not isinstance(ended, BaseException))
        if self._wary and ended is not UNCALLED:
            self._relax()
        node.task = None
        self.in_flight -= 1
        if node.deadline is not None:
            self.deadlines.drop(node.deadline)
            node.deadline = None
        if node.leases is not None:
            if node in self._overdue and isinstance(ended, asyncio.CancelledError):
                ended = TimeoutError()  # its provider did not answer in time
            outcome = ending_of(ended)
            for lease in node.leases:
                lease.release(outcome)
            node.leases = None
        if self._overdue:
            self._overdue.discard(node)

    def _expire(self, node: Node) -> None:
        """An attempt's time is up; the step ends now, whatever its tool does."""
        code, message = "timed-out", "the attempt ran out of time"
        self._overdue.add(node)
        began_s = self._now() - (self.seconds(node.step) or 0.0)  # type: ignore[arg-type]
        node.deadline = None
        if not self._outcomes.expired(node, code, message, began_s):
            self.give_up(node, "failed", code, message)
            return
        self._stop(node, node.task)
        self.pump()

    def give_up(self, node: Node, status: Status, code: str, message: str) -> None:
        """End a running step from outside, and ask its tool to stop."""
        task = node.task
        if node.deadline is not None:  # its tool may take its time, but the step has ended
            self.deadlines.drop(node.deadline)
            node.deadline = None
        if not node.begun:  # it holds slots, and its tool was not called yet
            if node.attempt <= 1:
                status = "skipped"
            if node in self._taken:  # its slots are for the others of its batch as well
                task = None
            else:
                self._let_go(node, UNCALLED)
        self._outcomes.given_up(node, status, code, message)
        self._stop(node, task)
        self.pump()

    def _stop(self, node: Node, task: asyncio.Task[None] | None) -> None:
        """Ask the tool of an attempt that nobody waits for to stop, unless others wait for it."""
        if self.hedging is not None:
            self.hedging.over(node, answered=False)
        if (batch := self._together.get(node)) is not None:
            task = None if batch.wanted else batch.task
        if task is not None:
            self._cancelled[task] = node
            task.cancel()
            held = None if self.admission is None else self.admission.reserved_for(node)
            if held is not None:  # its tool may never stop
                self.deadlines.add(self._now() + self._limits.grace_s, _write_off, held)

    # -- calls that no step has asked for yet --------------------------------------------------

    def seconds(self, step: Step) -> float | None:
        """The time that one attempt has; None for any."""
        return step.timeout_s or self._timeouts[step.tool]

    @property
    def has_room(self) -> bool:
        """Whether the run has a slot left."""
        return self.in_flight < self._most

    def outrun(self, node: Node) -> None:
        """Another call has answered in the place of a step's own, which is stopped."""
        if node.deadline is not None:
            self.deadlines.drop(node.deadline)
            node.deadline = None
        self._stop(node, node.task)

    def lend(self, call: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that holds a slot of the run until `give_back`, or `returned`."""
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        task = self._loop.create_task(call)
        self._workers.add(task)
        task.add_done_callback(self._worker_ended)
        return task

    def give_back(self, leases: Iterable[Lease], ended: Any) -> None:
        """A call that was lent its slots has returned, or raised, or was UNCALLED."""
        self.in_flight -= 1
        outcome = ending_of(ended)
        for lease in leases:
            lease.release(outcome)
        self.pump_soon()

    def take_over(
        self, node: Node, task: asyncio.Task[None], leases: list[Lease], started: float
    ) -> None:
        """A call in flight that was lent its slots is now the attempt of a step."""
        node.task, node.leases = task, leases
        seconds = self.seconds(node.step)  # type: ignore[arg-type]  # only steps are started
        if seconds is not None:
            node.deadline = self.deadlines.add(started + seconds, self._expire, node)

    def returned(self, node: Node, value: Any, error: BaseException | None, started: float) -> None:
        """What came of a call that was taken over."""
        kept = node.status == "running"
        self._let_go(node, value if error is None else error)
        if kept and error is not None:
            self._outcomes.failed(node, error, started)
        elif kept:
            self._outcomes.succeeded(node, value, started)
        elif error is None:
            self._tell_late(node, value)
        else:
            self._outcomes.has_returned(node)
        self.pump_soon()

    async def close(self) -> int:
        """Wait for the workers, but no longer than `grace_s`; how many are left behind."""
        try:
            if self._workers:
                await asyncio.wait(self._workers, timeout=self._limits.grace_s)
        finally:  # also where somebody does not want to wait
            for task, node in self._cancelled.items():
                if task in self._workers:
                    self._tell_abandoned(node)
            self.deadlines.close()
            self.batches.close()
        return len(self._workers)

    def _tell_abandoned(self, node: Node) -> None:
        """A tool ignores that its call was cancelled; nobody waits for it any longer."""
        tool = node.step.tool  # type: ignore[union-attr]  # only steps are started
        self._log.emit(CallAbandoned(self._now(), node.id, tool, node.attempt, node.element))

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        self._cancelled.pop(worker, None)
        failure = None if worker.cancelled() else worker.exception()
        if failure is not None:
            self._outcomes.broken(failure)


def _write_off(held: Reservation) -> None:
    held.write_off()
