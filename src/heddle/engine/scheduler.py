"""The scheduler: a step starts when its last input is there and a slot is free.

Policy. Counters and wake-ups, no polling and no waves. Steps may be added while others run. A
failure is a value: it skips the step's dependents and nobody else. On an open plan only pure and
read steps start; effects wait for `release`.

State. Every step has a `Node` with a count of inputs it still waits for:

    waiting ──last input──▶ ready ──slot──▶ running ──▶ done | failed | cancelled | unknown
       │ ▲─────────── another attempt follows ──┘ │
       └──────── an input ended otherwise: skipped ──┘   (and denied, from ready)

This file counts inputs and ends steps. `queue` says which ready step goes next, `attempts` calls
its tool, `outcomes` says what came of that, `retrying` has it called again, `lookup` fills its
arguments, `maps` runs the elements of a map; `parts` makes them all.

Source: list scheduling by critical path (Coffman and Graham 1972); LLMCompiler's task fetching unit
(SqueezeAILab/LLMCompiler, src/llm_compiler/task_fetching_unit.py) for dispatch while planning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heddle.engine.elements import INTERRUPTED
from heddle.engine.events import (
    ENDED,
    READY,
    TERMINAL,
    CancelRequested,
    StepError,
    StepResult,
    StepUnknown,
)
from heddle.engine.gate import Gate
from heddle.engine.map_run import MapRun, follows, streams_over
from heddle.engine.node import Ending, Node, edges, has_value, upstream
from heddle.engine.parts import Parts, Terms
from heddle.engine.recall import recall
from heddle.engine.resources import Resources
from heddle.engine.waiters import Waiters
from heddle.errors import ToolFailed
from heddle.plan.ir import MISSING, Item
from heddle.tools.builtin.expand import EXPAND_SPEC

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from heddle.engine.deadlines import Deadline
    from heddle.engine.events import Status
    from heddle.engine.executor import Executor
    from heddle.engine.expansions import Expand
    from heddle.engine.gate import Origins
    from heddle.engine.log import EventLog
    from heddle.plan.ir import Step, Value, When
    from heddle.plan.spec import ToolSpec

__all__ = ["Scheduler"]


class Scheduler:
    """Runs the steps of one run, over all its rounds.

    Args:
        specs: the tools that steps may name.
        executor: calls them.
        log: takes the events.
        terms: on what terms the steps are run.

    Attributes:
        abandoned: after `close`, how many tools were left behind because they did not stop.

    Invariant: `add` may only refer to steps that were added or reserved before, so the graph is
    acyclic by construction.
    """

    def __init__(
        self,
        specs: Mapping[str, ToolSpec],
        executor: Executor,
        log: EventLog,
        terms: Terms | None = None,
    ) -> None:
        terms = terms or Terms()
        self.limits = terms.limits
        self.abandoned = 0
        self._specs = specs
        self._expand_spec = specs.get(EXPAND_SPEC.name)
        self._log = log
        self._now = log.now
        self._past = terms.past
        self._nodes: dict[str, Node] = {}
        self._resources = Resources()
        self._gate = Gate(self._resources)  # that of the round which arrives
        self._waiters = Waiters(self._nodes)
        self._awaited = self._waiters.some
        self._unfinished = 0
        self._endings: list[Ending] = []
        self._at = 0.0  # when what is happening now happened: one reading for all its events
        self._over: tuple[str, str] | None = None  # code and reason, once no step may start
        parts = Parts(self, self._nodes, specs, executor, log, terms)
        self._lookup = parts.lookup
        self._sharing = parts.sharing
        self._admission = parts.admission
        self._queue = parts.queue
        self._retrying = parts.retrying
        self._outcomes = parts.outcomes
        self._attempts = parts.attempts
        self._speculation = parts.speculation
        self._guesses = parts.speculation.guesses
        self._expansions = parts.expansions
        self._doubts = parts.doubts
        self._beginnings = parts.beginnings
        self._begin = parts.beginnings.begin
        self._maps = parts.maps

    # -- growing the plan ----------------------------------------------------------------------

    def reserve(self, id: str, gate: Gate | None = None) -> None:
        """Hold the place of a step that is not known yet (a hole); its dependents wait.

        Args:
            id: the step's id.
            gate: the write gate of its round; that of the round which arrives by default.

        Raises:
            ValueError: the id is taken.
        """
        node = self._new_node(id, gate)
        node.gate.resources.reserve(id)
        if self._past is not None and recall(node, self._past):
            self._unfinished -= 1

    def add(self, step: Step, gate: Gate | None = None) -> None:
        """Accept a step, or fill the place reserved for it; start it as soon as it may start.

        Args:
            step: the step, its arguments named.
            gate: the write gate of its round; that of the round which arrives by default.

        Cost: O(size of its arguments + number of its references).

        Raises:
            KeyError: it refers to a step that was neither added nor reserved, or to no tool.
            ValueError: its id is taken.
        """
        if self._over is not None and not self._remembered(step.id):
            self._skip(step, *self._over)
            return
        node = self._nodes.get(step.id)
        order: dict[str, None] = {}
        if node is not None:
            if node.step is not None or node.status != "waiting":
                raise ValueError(f"step {step.id} was added before")
            order = node.gate.resources.filled(step)
        else:
            node = self._new_node(step.id, gate)
            if step.reads or step.writes:
                order = node.gate.resources.used(step)
        node.spec = self._specs[step.tool]
        if node.spec is self._expand_spec:  # its plan may use anything
            node.gate.resources.reserve(step.id)
        node.step = step
        node.gates = self._queue.gates[step.tool]
        self._at = self._now()
        if self._past is not None and recall(node, self._past):
            self._unfinished -= 1
            if node.status == "done" and node.spec.effect == "pure":
                self._sharing.recall(node)
            return
        self._connect(node, step, order)

    def _remembered(self, id: str) -> bool:
        """Whether a step that comes too late is not new: it has ended before, or is in doubt."""
        if self._past is None or self._doubts is None:
            return False
        return self._past.ended(id) is not None or self._doubts.about(id)

    def _skip(self, step: Step, code: str, reason: str) -> None:
        """A step that came too late ends without having started; a hole may have ended before."""
        node = self._nodes.get(step.id) or self._new_node(step.id)
        node.step, node.spec = step, self._specs[step.tool]
        self._at = self._now()
        self.settle(Ending(node, "skipped", code, reason))

    def _new_node(self, id: str, gate: Gate | None = None) -> Node:
        if id in self._nodes:
            raise ValueError(f"step {id} was added before")
        node = self._nodes[id] = Node(id, len(self._nodes), gate or self._gate)
        self._unfinished += 1
        return node

    def _connect(self, node: Node, step: Step, order: dict[str, None]) -> None:
        """Count the inputs that are still to come; skip if one will never come.

        Args:
            node: what stands for the step.
            step: the step.
            order: ids that must have ended, in whatever way, because of named resources.
        """
        doomed: Node | None = None
        strict, tolerant = edges(step)
        if tolerant or order:
            tolerant.update(order)
            node.tolerant = frozenset(tolerant.keys() - strict.keys())
            strict = {**strict, **tolerant}
        if step.over is not MISSING:
            source, at_once = streams_over(step, order)
            node.map = MapRun(node, source, at_once=at_once)
            if self._maps.known(node.map):
                del strict[node.map.source]  # its elements come one by one, or have come
        for id in strict:
            source = self._nodes[id]
            if source.status not in TERMINAL:
                node.waiting += 1
                if source.dependents is None:
                    source.dependents = [node]
                else:
                    source.dependents.append(node)
            elif not (has_value(source) or id in node.tolerant or follows(node, source)):
                doomed = source
        if doomed is not None:
            self._settle_in_turn(upstream(node, doomed))
        elif not node.waiting:
            self._make_ready(node)
            self._attempts.pump()
        elif node.waiting == 1 and self.limits.speculation:
            self._speculation.consider(node)

    # -- the write gate ------------------------------------------------------------------------

    def release(self, origins: Origins, gate: Gate | None = None) -> None:
        """The plan so far is closed, clean and approved: its effects may start.

        Args:
            origins: (round, n, h(n)) of an effectful step, by its id.
            gate: that of the plan's round; the one that arrived last by default.
        """
        gate = gate or self._gate
        gate.origins = origins
        gated, gate.waiting = gate.waiting, []
        for node in gated:
            if node.status == "ready":
                self._start(node)
        gate.decide(True)
        self._attempts.pump()

    def hold(self) -> Gate:
        """Another plan begins to arrive: its effects wait for a `release` of this gate."""
        self._gate = Gate(self._resources)
        self._outcomes.learn_late()
        self._sharing.world_changed()
        self._queue.unrank()
        return self._gate

    def nest(self, id: str) -> Gate:
        """A plan that this step expands begins to arrive; named resources order it by that place.

        Raises:
            KeyError: no such step, or none that expands plans.
        """
        outer = self._nodes[id].gate
        gate = Gate(outer.resources.within(id))
        if self._admission is not None:
            self._admission.nest(id, outer, gate)
        return gate

    def withhold(self, status: Status, code: str, gate: Gate | None = None) -> None:
        """The plan's effects will not happen: its effectful steps end without having started."""
        gate = gate or self._gate
        self._at = self._now()
        for node in list(self._nodes.values()):
            waits = node.gate is gate and node.status in ("waiting", "ready")
            if waits and node.spec is not None and node.spec.effectful:
                self._settle_in_turn(Ending(node, status, code))
        gate.decide(False)
        self._attempts.pump()

    def fail_hole(self, id: str, code: str, message: str) -> None:
        """Nothing will fill this hole: it fails like a step.

        What was started in its place before the line turned out to be bad is stopped.
        """
        node = self._nodes[id]
        if node.status == "running":
            if node.begun or node.map is not None:
                self._speculation.contradicted(id)
            self._give_up(node, "failed", code, message)
        elif node.status not in TERMINAL:
            self._at = self._now()
            self.settle(Ending(node, "failed", code, message))
            self._attempts.pump()

    def rank(self, gate: Gate | None = None) -> None:
        """The plan has closed: from now on the longest remaining path goes first.

        A nested plan changes that only where the plan around it has closed.
        """
        if gate is None or gate is self._gate or self._queue.ranked:
            self._queue.rank()

    # -- becoming ready ------------------------------------------------------------------------

    def _make_ready(self, node: Node) -> None:
        """All inputs are there: queue the step, unless its guard or its turn ends it."""
        step = node.step
        if step is None:  # a hole: whatever fills it will be asked again
            return
        ending = node.ending
        if ending is None and step.when is not None and type(step.when.subject) is not Item:
            ending = self._guarded(node, step.when)
        if ending is not None:
            self.settle(ending)
            return
        node.status = "ready"
        self._log.emit((READY, self._at, node.id))
        if node.gate.origins is None and node.spec.effectful:  # type: ignore[union-attr]
            node.gate.waiting.append(node)
        elif node.map is None:
            self._begin(node)
        else:
            self._maps.open(node)

    def make_ready_by_map(self, node: Node) -> None:
        """See `MapOwner`."""
        self._at = self._now()
        self._make_ready(node)

    def _start(self, node: Node) -> None:
        """A ready step may start: it stands in the queue, or its elements do."""
        if node.map is None:
            self._begin(node)
        else:
            self._maps.open(node)

    def begin_again(self, node: Node) -> None:
        """See `Owner`: the step is as ready as ever, unless it is too late."""
        if self._over is None:
            self._begin(node)
        else:
            self._outcomes.unserved(node, "skipped", *self._over)

    def _guarded(self, node: Node, when: When) -> Ending | None:
        """How a guard ends a step; None where it lets it run."""
        try:
            value = self._lookup.look(when.subject)
        except ToolFailed as error:
            return Ending(node, "failed", error.code, error.message)
        if value is not True and value is not False:
            message = f"`when` must be true or false, got {value!r:.60}"
            return Ending(node, "failed", "bad-guard", message)
        return Ending(node, "skipped", "guard-false") if value is when.negated else None

    # -- endings -------------------------------------------------------------------------------

    def moment(self) -> float:
        """Read the clock, once for all events of what is happening now."""
        self._at = now = self._now()
        return now

    def broken(self, error: BaseException) -> None:
        """A worker failed: whoever waits is told."""
        self._waiters.fail(error)

    def end(self, node: Node, status: Status, code: str) -> None:
        """One terminal event, then the dependents: those that can start, and those that cannot.

        Cost: O(dependents), without recursion.
        """
        node.status = status
        good = status == "done"
        if status == "failed" and has_value(node):
            good = True
            if node.map is None:
                node.value = node.step.default  # type: ignore[union-attr]
        self._unfinished -= 1
        self._log.emit((ENDED, self._at, node.id, status, code))
        if self._awaited or not self._unfinished:
            self._waiters.tell(node, self._unfinished)
        if self._sharing.followers:
            self._beginnings.tell_followers(node)
        if self._guesses:
            self._speculation.drop(node)
        dependents, node.dependents = node.dependents, None
        if node.map is not None and node.map.opened:  # those that follow it do not count on it
            dependents = [item for item in dependents or () if not _told(item, node)]
        for dependent in dependents or ():
            if dependent.status != "waiting":
                continue
            dependent.waiting -= 1
            if not (good or node.id in dependent.tolerant or follows(dependent, node)):
                self._settle_in_turn(upstream(dependent, node))
            elif not dependent.waiting:
                self._make_ready(dependent)
            elif dependent.waiting == 1 and self.limits.speculation:
                self._speculation.consider(dependent)

    def _settle_in_turn(self, ending: Ending) -> None:
        """End a step that will not run; one that uses named resources waits for its turn first.

        Otherwise whoever waits for it because of a resource would overtake those before it.
        """
        node = ending.node
        if node.ending is None:
            node.ending = ending  # were it only in line, its last input could still make it ready
        step = node.step
        if not (node.waiting and step is not None and (step.reads or step.writes)):
            self.settle(node.ending)

    def settle_map(self, ending: Ending) -> None:
        """See `MapOwner`."""
        self._at = self._now()
        if ending.status == "cancelled":
            self._log.emit(StepError(self._at, ending.node.id, 0, ending.code, ending.message))
        self.settle(ending)

    def _give_up(self, node: Node, status: Status, code: str, message: str) -> None:
        """End a running step, or a map whose elements run, from outside."""
        if node.map is None:
            self._attempts.give_up(node, status, code, message)
        else:
            self._maps.stop(node, status, code, message)

    def settle(self, ending: Ending) -> None:
        """End steps that never start; one that ends others only adds to the list."""
        self._endings.append(ending)
        if len(self._endings) > 1:
            return
        for node, status, code, message in self._endings:  # grows while it is read
            if node.status in TERMINAL:
                continue
            if self._doubts is not None and self._doubts.about(node.id):
                self._log.emit(StepUnknown(self._at, node.id, node.attempt, code))
                status = "unknown"
            if status == "failed":
                self._log.emit(StepError(self._at, node.id, node.attempt, code, message))
            elif status == "done" and node.map is None:  # by the value of an equal call
                self._log.emit(StepResult(self._at, node.id, node.attempt, node.value))
            self.end(node, status, code)
        self._endings.clear()

    # -- waiting and stopping ------------------------------------------------------------------

    async def wait(self, ids: Collection[str] | None = None, done: int | None = None) -> None:
        """Return when the steps have ended.

        Args:
            ids: which steps; None for all that there are.
            done: return as soon as so many of them are done; None to wait for all to end.

        Raises:
            BaseException: the scheduler itself failed; a bug.
        """
        if ids is None and done is None:
            await self._waiters.for_all(self._unfinished)
        else:
            await self._waiters.for_some(self._nodes.keys() if ids is None else ids, done)

    def at(self, seconds: float, act: Callable[[], None]) -> Deadline:
        """Do something at a time counted from now."""
        return self._attempts.deadlines.add(self._now() + seconds, lambda _: act())

    def end_in(self, seconds: float) -> None:
        """End every step, and whatever comes later, so many seconds from now."""
        self._retrying.until_s = self._now() + seconds
        self.at(seconds, lambda: self.cancel("the run's time is up", code="deadline", final=True))

    def cancel(self, reason: str, *, code: str = "cancelled", final: bool = False) -> None:
        """End every step: as cancelled if its tool has been called, as skipped if it has not.

        A write that is in flight ends as unknown.

        Args:
            reason: why, in words.
            code: why, for programs.
            final: whether steps that are still to come end in the same way.
        """
        if final:
            self._over = code, reason
        self._at = self._now()
        self._log.emit(CancelRequested(self._at, "", reason))
        self._end_all(self._nodes.values(), code, reason)
        self._queue.clear()

    def stop(self, ids: Collection[str], reason: str) -> None:
        """End these steps, as `cancel` ends all of them."""
        self._at = self._now()
        self._end_all([self._nodes[id] for id in ids], "not-needed", reason)
        self._attempts.pump()

    def _end_all(self, nodes: Iterable[Node], code: str, reason: str) -> None:
        """First what has not begun, then maps, those that follow others before them, then calls."""
        open_nodes = [node for node in nodes if node.status not in TERMINAL]
        for node in open_nodes:
            if node.status != "running":
                status: Status = "cancelled" if node.attempt else "skipped"  # between two attempts
                self.settle(Ending(node, status, code, reason))
        for node in reversed(open_nodes):
            if node.status == "running" and node.map is not None:
                self._maps.stop(node, "cancelled", code, reason)
        for node in open_nodes:
            if node.status == "running":
                self._give_up(node, "cancelled", code, reason)

    def own(self, token: int) -> None:
        """Effects carry this token from here on: that of the run's lease."""
        self._attempts.lease = token

    def expand_with(self, expand: Expand) -> None:
        """Say who runs the plans that `expand` steps give."""
        self._expansions.expand = expand

    async def close(self, *, interrupted: bool = False) -> None:
        """Stop for good: nothing is left running but tools that do not stop within `grace_s`.

        Those are counted in `abandoned`; their slots stay taken.

        Args:
            interrupted: whether somebody may go on with the run: what ends now has not ended then.
        """
        if self._unfinished and interrupted:
            self.cancel("the run was interrupted", code=INTERRUPTED)
        elif self._unfinished:
            self.cancel("the run is over")
        self._retrying.close()
        await self._expansions.close()
        if self._doubts is not None:
            await self._doubts.close()
        self.abandoned = await self._attempts.close()

    # -- looking -------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether every step has ended."""
        return not self._unfinished

    @property
    def in_flight(self) -> int:
        """Steps that hold a slot of the run now."""
        return self._attempts.in_flight

    @property
    def peak_in_flight(self) -> int:
        """The most steps that held one at once."""
        return self._attempts.peak

    def effectful(self, tool: str) -> bool:
        """Whether a tool's calls may change the world."""
        return self._specs[tool].effectful

    def status(self, id: str) -> Status:
        """The status of a step.

        Raises:
            KeyError: no such step.
        """
        return self._nodes[id].status

    def excused(self, id: str) -> bool:
        """Whether an ended step has a value, or was skipped because a guard said so.

        Raises:
            KeyError: no such step.
        """
        return has_value(self._nodes[id]) or self._nodes[id].status == "skipped"

    def render(self, value: Value) -> Any:
        """A value with its references replaced, as a fresh copy.

        Raises:
            KeyError: a step it refers to does not exist, or has no value.
            ToolFailed: a path that leads nowhere.
        """
        return self._lookup.render(value)


def _told(node: Node, source: Node) -> bool:
    """Whether a map has not waited for the end of the one that it follows."""
    return follows(node, source) and node.map is not None and node.map.at_once
