"""Speculation: calls that are begun before the guard of their step is known.

Policy. A step with `when` whose other inputs are all there waits for its guard only. Where a slot
is idle and nothing ready waits, its call may be begun at once, if nobody could tell afterwards:

- its tool is `pure`; or `read`, and the arguments that steer it (its selectors; all, if it declares
  none) are literals, the caller's inputs, or computed from these by pure steps alone. What a tool
  has returned never chooses what is looked at before a guard has allowed it.
- it asks no model, has no batch form, is no map, and names no resource; its provider does not
  count requests by the minute; no call that looks the same has been made.
- at most max(1, 2 % of the run's calls) are begun. A start that the plan's text takes back later is
  none of them.

State. A guess is invisible: no value, no event of its step, no dependent started. Then it is

    adopted    the guard says yes: the step starts with this call, ended or in flight, and has its
               value or its failure
    discarded  the guard says no, or the step ends in another way
    stale      it read, and an effect ran or a round began since: the step makes its own call
    preempted  a ready step needs the slot it holds
    timed-out  its time was up before the guard was known

Every guess is in the log as SpeculationStarted and SpeculationEnded.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from heddle.engine.endings import UNCALLED
from heddle.engine.events import (
    STARTED,
    TERMINAL,
    LateResult,
    SpeculationEnded,
    SpeculationStarted,
)
from heddle.engine.lookup import NothingChosen
from heddle.errors import ToolFailed
from heddle.plan.canonical import hash_of
from heddle.plan.ir import MISSING, Choose, Item, Ref, nodes_of
from heddle.tools.function import Metered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from heddle.engine.attempts import Attempts
    from heddle.engine.budget import Reservation
    from heddle.engine.deadlines import Deadline
    from heddle.engine.executor import Executor
    from heddle.engine.log import EventLog
    from heddle.engine.lookup import Lookup
    from heddle.engine.node import Node
    from heddle.engine.outcomes import Outcomes
    from heddle.engine.queue import ReadyQueue
    from heddle.engine.sharing import Sharing
    from heddle.engine.slots import Lease
    from heddle.plan.ir import Step, Value
    from heddle.plan.limits import Limits

__all__ = ["Guess", "Speculation"]

_CALLS_FOR_ONE = 50
"""So many calls of the run allow one guess: 2 %."""

_FAR = 256
"""Steps that are looked at to see where an argument comes from; what comes from further is data."""

_TRIES = 4
"""Hopes that are tried at a time: the gates of many may be shut for long."""


class Guess:
    """One call that no step has asked for yet.

    Attributes:
        called: whether its tool was called; before that it holds slots, and nobody knows of it.
        fate: "" until it is known.
        reserved: what is booked for it, where there are budgets.
        outcome: value and error, once the call has returned.
    """

    __slots__ = (
        "called", "deadline", "ended", "fate", "key", "leases", "node", "outcome", "reserved",
        "started", "task", "world",
    )  # fmt: skip

    def __init__(
        self, node: Node, key: str, leases: list[Lease], started: float, world: int
    ) -> None:
        self.node = node
        self.key = key
        self.leases = leases
        self.started = started
        self.ended = started
        self.world = world
        self.called = False
        self.fate = ""
        self.outcome: tuple[Any, BaseException | None] | None = None
        self.task: asyncio.Task[None] | None = None
        self.deadline: Deadline | None = None
        self.reserved: Reservation | None = None

    @property
    def decided(self) -> bool:
        """Whether its fate is known."""
        return self.fate != ""


class Speculation:
    """The guesses of one run.

    Attributes:
        guesses: by step, the calls that its guard will decide about.
        begun: how many were ever begun.
    """

    def __init__(
        self,
        nodes: Mapping[str, Node],
        executor: Executor,
        log: EventLog,
        limits: Limits,
        queue: ReadyQueue,
        lookup: Lookup,
        sharing: Sharing,
        attempts: Attempts,
        outcomes: Outcomes,
        run_id: str,
    ) -> None:
        self.guesses: dict[Node, Guess] = {}
        self.begun = 0
        self._hopes: dict[Node, None] = {}
        self._in_flight: dict[Guess, None] = {}
        self._nodes = nodes
        self._executor = executor
        self._log = log
        self._limits = limits
        self._queue = queue
        self._lookup = lookup
        self._sharing = sharing
        self._attempts = attempts
        self._outcomes = outcomes
        self._run_id = run_id
        attempts.spare = self._use_spare_slots

    # -- which steps ---------------------------------------------------------------------------

    def consider(self, node: Node) -> None:
        """A step waits for one input only: hope for a free slot, if that one is its guard."""
        if self._waits_for_guard(node) and self._is_harmless(node):
            self._hopes[node] = None
            self._attempts.speculating = True
            self._attempts.pump_soon()

    def _waits_for_guard(self, node: Node) -> bool:
        step = node.step
        if step is None or step.when is None or type(step.when.subject) is not Ref:
            return False
        guard = step.when.subject.step
        return self._nodes[guard].status not in TERMINAL and guard not in _needs(step)

    def _is_harmless(self, node: Node) -> bool:
        """Whether nobody could tell afterwards that its call was made."""
        step, spec = node.step, node.spec
        assert step is not None
        assert spec is not None
        if spec.effectful or spec.asks_model or spec.max_batch > 1 or step.over is not MISSING:
            return False
        if step.reads or step.writes or self._limits.rated(spec.provider):
            return False
        return spec.effect == "pure" or self._is_steered_by_the_user(node, step)

    def _is_steered_by_the_user(self, node: Node, step: Step) -> bool:
        """Whether nothing that a tool has read chooses what this call looks at.

        Cost: linear in the arguments of at most `_FAR` steps.
        """
        names = node.spec.selectors or step.args  # type: ignore[union-attr]
        sources = [step.args[name] for name in names if name in step.args]
        seen: set[str] = set()
        for value in sources:  # grows while it is read
            for found in nodes_of(value):
                if isinstance(found, (Item, Choose)):
                    return False
                if isinstance(found, Ref) and found.step not in seen:
                    seen.add(found.step)
                    args = self._pure_args(found.step)
                    if args is None or len(seen) > _FAR:
                        return False
                    sources.extend(args)
        return True

    def _pure_args(self, id: str) -> list[Value] | None:
        """The arguments of a plain step of a pure tool; None for any other step."""
        source = self._nodes[id]
        step, spec = source.step, source.spec
        if step is None or spec is None or spec.effect != "pure":
            return None
        return None if step.when is not None or step.over is not MISSING else [*step.args.values()]

    # -- when ----------------------------------------------------------------------------------

    def _use_spare_slots(self) -> None:
        """Every ready step that finds a slot has one: give way to others, or use what is left."""
        for guess in self._in_the_way():
            self._discard(guess, "preempted")
        for node in list(self._hopes)[:_TRIES]:
            if not self._has_room():
                break
            del self._hopes[node]
            if node.status == "waiting" and node.ending is None:
                self._try(node)
        self._look_alive()

    def _in_the_way(self) -> Iterator[Guess]:
        """The guesses that hold a slot which a ready step needs."""
        guesses = list(self._in_flight)
        if guesses and self._queue.ready:  # the run's own slots are all taken
            yield guesses.pop()
        for guess in guesses:
            if self._queue.wanted(guess.node.gates):
                yield guess

    def _has_room(self) -> bool:
        if self._queue.ready or self._attempts.in_flight >= self._limits.concurrency:
            return False
        return self.begun < max(1, self._attempts.calls // _CALLS_FOR_ONE)

    def _look_alive(self) -> None:
        self._attempts.speculating = bool(self._hopes or self._in_flight)

    # -- calls ---------------------------------------------------------------------------------

    def _try(self, node: Node) -> None:
        """Begin a step's call, if there is a slot for it at each of its gates."""
        step = node.step
        assert step is not None
        try:
            if self._sharing.was_made(node):
                return
            args = self._lookup.fill(step)
        except (ToolFailed, NothingChosen):  # the step says so itself
            return
        admission = self._attempts.admission
        reserved = None if admission is None else admission.reserve(node)
        if admission is not None and reserved is None:
            return
        leases = self._queue.spare_slots(node)
        if leases is None:
            self._hopes[node] = None
            if reserved is not None:
                reserved.drop()
            return
        self._begin(node, step, args, leases).reserved = reserved

    def _begin(self, node: Node, step: Step, args: dict[str, Any], leases: list[Lease]) -> Guess:
        self.begun += 1
        key = hash_of(["speculation", self._run_id, node.id])
        world = self._sharing.world
        guess = self.guesses[node] = Guess(node, key, leases, self._log.now(), world)
        self._in_flight[guess] = None
        guess.task = self._attempts.lend(self._call(guess, step, args))
        return guess

    async def _call(self, guess: Guess, step: Step, args: dict[str, Any]) -> None:
        """Make the call, and keep what came of it until its fate is known."""
        if guess.decided:  # within one turn of the loop
            self._attempts.give_back(guess.leases, UNCALLED)
            if guess.reserved is not None:
                guess.reserved.drop()
            return
        self._say_begun(guess, step, args)
        value, error = None, None
        try:
            value = await self._executor.call(step.tool, args, 1)
        except BaseException as caught:  # whatever a tool raises is its own failure
            error = caught
        if guess.fate == "adopted":
            self._attempts.returned(guess.node, value, error, guess.started)
            return
        guess.outcome, guess.ended = (value, error), self._log.now()
        self._forget_call(guess)
        if guess.reserved is not None:
            guess.reserved.settle()
        self._attempts.give_back(guess.leases, value if error is None else error)
        if guess.decided:
            self._tell_cost(guess)

    def _say_begun(self, guess: Guess, step: Step, args: dict[str, Any]) -> None:
        now = guess.started = self._log.now()
        guess.called = True
        self._log.emit(SpeculationStarted(now, guess.key, step.tool, hash_of(args)))
        seconds = self._attempts.seconds(step)
        if seconds is not None:
            guess.deadline = self._attempts.deadlines.add(now + seconds, self._expire, guess)

    def _forget_call(self, guess: Guess) -> None:
        """A guess is not in flight any more, or not a guess any more."""
        self._in_flight.pop(guess, None)
        if guess.deadline is not None:
            self._attempts.deadlines.drop(guess.deadline)
            guess.deadline = None
        self._look_alive()

    def _expire(self, guess: Guess) -> None:
        guess.deadline = None
        self._discard(guess, "timed-out")

    # -- fates ---------------------------------------------------------------------------------

    def adopt(self, node: Node) -> bool:
        """The guard says yes: the step starts with its guess; False if that is of no use."""
        guess = self.guesses[node]
        stale = node.spec.effect != "pure" and guess.world != self._sharing.world  # type: ignore[union-attr]
        if stale or not guess.called:
            self._discard(guess, "stale")
            return False
        self._seal(guess, "adopted", node.id)
        node.status = "running"
        if guess.outcome is None:
            assert guess.task is not None
            if guess.reserved is not None and self._attempts.admission is not None:
                self._attempts.admission.hand_over(node, guess.reserved)
            self._attempts.take_over(node, guess.task, guess.leases, guess.started)
            self._say_started(node)
        else:  # not at once: its end may lead to the next adoption
            asyncio.get_running_loop().call_soon(self._deliver, guess)
        return True

    def _say_started(self, node: Node) -> None:
        node.attempt, node.begun = 1, True
        self._log.emit((STARTED, self._log.now(), node.id, 1, None))

    def _deliver(self, guess: Guess) -> None:
        """The step has what came of its guess, unless it has been ended meanwhile."""
        assert guess.outcome is not None
        value, error = guess.outcome
        if guess.node.status != "running":
            self._tell_cost(guess)
            return
        self._say_started(guess.node)
        if error is not None:
            self._outcomes.failed(guess.node, error)
        else:
            took = guess.ended - guess.started
            self._outcomes.succeeded(guess.node, value, self._log.now() - took)
        self._attempts.pump_soon()

    def drop(self, node: Node) -> None:
        """A step has ended without its guess."""
        guess = self.guesses.get(node)
        if guess is not None:
            self._discard(guess, "discarded")

    def _discard(self, guess: Guess, fate: str) -> None:
        self._seal(guess, fate, "")
        if guess.outcome is not None:
            self._tell_cost(guess)
        elif guess.called and guess.task is not None:
            guess.task.cancel()

    def _seal(self, guess: Guess, fate: str, step: str) -> None:
        del self.guesses[guess.node]
        guess.fate = fate
        self._forget_call(guess)
        if guess.called:
            self._log.emit(SpeculationEnded(self._log.now(), guess.key, fate, step))
        else:
            self.begun -= 1

    def contradicted(self, id: str) -> None:
        """A step that had been started is taken back: a guess about the text, which costs none."""
        key = hash_of(["speculation", self._run_id, id])
        self._log.emit(SpeculationEnded(self._log.now(), key, "contradicted", ""))

    def _tell_cost(self, guess: Guess) -> None:
        """What the models cost that a discarded call has asked; nobody sees its value."""
        assert guess.outcome is not None
        value = guess.outcome[0]
        if type(value) is Metered:
            _, usage, cost = value
            self._log.emit(LateResult(self._log.now(), guess.node.id, 0, None, None, usage, cost))


def _needs(step: Step) -> set[str]:
    """The ids that a step needs for anything else than its guard. Cost: linear."""
    return {node.step for node in nodes_of(step.args) if isinstance(node, Ref)} | set(step.after)
