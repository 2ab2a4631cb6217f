"""The scheduler: a step starts when its last input is there and a slot is free.

Policy. Counters and wake-ups, no polling and no waves. Steps may be added while others run. Among
ready steps the one with the longest remaining estimated path goes first once the plan has closed;
until then, the one that came first. A failure is a value: it skips the step's dependents and
nobody else. On an open plan only pure and read steps start; effects wait for `release`.

State. Every step has a `Node` with a count of inputs it still waits for:

    waiting ──last input──▶ ready ──slot──▶ running ──▶ done | failed | cancelled | unknown
       └──────── an input ended otherwise: skipped ──┘   (and denied, from ready)

Workers. A worker is a task that runs one step after another while there are any; there are never
more of them than steps in flight. A worker whose step was cancelled or timed out ends with it. Its
slot stays taken until the tool has really returned, so that a tool that ignores cancellation never
makes room for one call too many. Workers are not in a TaskGroup, because a group would wait for
such a tool for ever: `close` gives them `grace_s` seconds and then counts what it leaves behind.

Source: list scheduling by critical path (Coffman and Graham 1972); LLMCompiler's task fetching unit
(SqueezeAILab/LLMCompiler, src/llm_compiler/task_fetching_unit.py) for dispatch while planning.
"""

from __future__ import annotations

import asyncio
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any

from heddle.engine.deadlines import Deadlines
from heddle.engine.estimates import Estimates
from heddle.engine.events import (
    TERMINAL,
    CancelRequested,
    EffectOrigin,
    LateResult,
    StepEnded,
    StepError,
    StepIntent,
    StepReady,
    StepResult,
    StepStarted,
    StepUnknown,
)
from heddle.engine.fill import ATOMS, fill, fresh, part
from heddle.engine.resources import Resources
from heddle.engine.slots import LocalSlots
from heddle.errors import HeddleError, ToolFailed
from heddle.plan.canonical import hash_of
from heddle.plan.ir import MISSING, Choose, Input, Item, Ref, Step, Template
from heddle.plan.limits import Limits
from heddle.tools.function import Metered

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from heddle.engine.deadlines import Deadline
    from heddle.engine.events import Status
    from heddle.engine.executor import Executor
    from heddle.engine.log import EventLog
    from heddle.engine.slots import Lease, Slots
    from heddle.plan.ir import Value, When
    from heddle.plan.spec import ToolSpec

__all__ = ["Scheduler"]

_TURN = 64
"""Steps that a worker may run without giving the loop a turn, when none of them waits."""


_NOTICEABLE_S = 0.001
"""A mean that moves by less than this changes no order worth the ranking."""


class Node:
    """What the scheduler knows of a step; `step` is None while its place is a hole."""

    __slots__ = (
        "attempt", "begun", "deadline", "dependents", "ending", "gates", "id", "leases", "n",
        "rank", "spec", "status", "step", "task", "tolerant", "value", "waiting",
    )  # fmt: skip

    def __init__(self, id: str, n: int) -> None:
        self.id = id
        self.n = n
        self.step: Step | None = None
        self.spec: ToolSpec | None = None
        self.status: Status = "waiting"
        self.value: Any = None
        self.waiting = 0
        self.dependents: list[Node] | None = None
        self.tolerant: Collection[str] = ()  # inputs that may end in any way
        self.ending: _Ending | None = None  # how it will be skipped when its turn comes
        self.gates: tuple[str, ...] = ()
        self.leases: list[Lease] | None = None
        self.rank = 0.0
        self.attempt = 0
        self.begun = False  # whether its tool was ever called
        self.task: asyncio.Task[None] | None = None
        self.deadline: Deadline | None = None


_Ending = tuple[Node, "Status", str, str]
"""A step that ends without running: its status, code and message."""


class Scheduler:
    """Runs the steps of one run, over all its rounds.

    Args:
        specs: the tools that steps may name.
        executor: calls them.
        log: takes the events.
        limits: bounds on concurrency and time.
        slots: allowances by provider, shared with other runs.
        inputs: the caller's data, by name.
        estimates: learned durations by tool, shared with other runs.
        run_id: the run's id, for the origin of effects.

    Invariant: `add` may only refer to steps that were added or reserved before, so the graph is
    acyclic by construction.
    """

    def __init__(
        self,
        specs: Mapping[str, ToolSpec],
        executor: Executor,
        log: EventLog,
        *,
        limits: Limits | None = None,
        slots: Slots | None = None,
        inputs: Mapping[str, Any] | None = None,
        estimates: Estimates | None = None,
        run_id: str = "",
    ) -> None:
        self._specs = specs
        self._call = executor.call
        self._log = log
        self._now = log.now
        self.limits = limits or Limits()
        self._slots = slots or LocalSlots(self.limits.per_provider, self.limits.requests_per_minute)
        self._tool_slots = LocalSlots(
            {
                name: bound
                for name, spec in specs.items()
                if (bound := self.limits.per_tool.get(name, spec.concurrency)) is not None
            }
        )
        self._gates_of = {name: self._gates(name, spec) for name, spec in specs.items()}
        self._inputs = inputs or {}
        self._estimates = estimates or Estimates()
        self._run_id = run_id
        self._timeouts = {
            name: spec.timeout_s or self.limits.step_timeout_s for name, spec in specs.items()
        }
        self._deadlines = Deadlines(log.now)
        self._loop = asyncio.get_running_loop()
        self._nodes: dict[str, Node] = {}
        self._ready: list[tuple[float, int, Node]] = []
        self._parked: dict[str, list[tuple[float, int, Node]]] = {}
        self._gated: list[Node] = []
        self._origins: Callable[[str], tuple[int, int, str]] | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._unfinished = 0
        self._resources = Resources()
        self._ranked = False
        self._ranked_at: dict[str, float] = {}
        self._rankings_left: dict[str, int] = {}
        self._endings: list[_Ending] = []
        self._shut: set[str] = set()  # gates that will wake us
        self._pumping = False
        self._at = 0.0  # when what is happening now happened: one reading for all its events
        self._all_ended: asyncio.Future[None] | None = None
        self._waiters: list[list[Any]] = []  # [ids still open, how many must be done, future]
        self._failure: BaseException | None = None
        self.peak_in_flight = 0
        self.abandoned = 0

    # -- growing the plan ----------------------------------------------------------------------

    def reserve(self, id: str) -> None:
        """Hold the place of a step that is not known yet (a hole); its dependents wait.

        Raises:
            ValueError: the id is taken.
        """
        self._new_node(id)
        self._resources.reserve(id)

    def add(self, step: Step) -> None:
        """Accept a step, or fill the place reserved for it; start it as soon as it may start.

        Cost: O(size of its arguments + number of its references).

        Raises:
            KeyError: it refers to a step that was neither added nor reserved, or to no tool.
            ValueError: its id is taken.
        """
        node = self._nodes.get(step.id)
        order: dict[str, None] = {}
        if node is not None:
            if node.step is not None or node.status != "waiting":
                raise ValueError(f"step {step.id} was added before")
            order = self._resources.filled(step)
        else:
            node = self._new_node(step.id)
            if step.reads or step.writes:
                order = self._resources.used(step)
        node.spec = self._specs[step.tool]
        self._at = self._now()
        node.step = step
        node.gates = self._gates_of[step.tool]
        self._connect(node, step, order)

    def _new_node(self, id: str) -> Node:
        if id in self._nodes:
            raise ValueError(f"step {id} was added before")
        node = self._nodes[id] = Node(id, len(self._nodes))
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
        strict, tolerant = _edges(step)
        tolerant.update(order)
        if tolerant:
            node.tolerant = frozenset(tolerant.keys() - strict.keys())
            strict = {**strict, **tolerant}
        for id in strict:
            source = self._nodes[id]
            if source.status not in TERMINAL:
                node.waiting += 1
                if source.dependents is None:
                    source.dependents = [node]
                else:
                    source.dependents.append(node)
            elif not (source.status == "done" or id in node.tolerant or _feeds_default(source)):
                doomed = source
        if doomed is not None:
            self._settle_in_turn(_upstream(node, doomed))
        elif not node.waiting:
            ending = self._make_ready(node)
            if ending is not None:
                self._settle(ending)
            self._pump()

    def _gates(self, name: str, spec: ToolSpec) -> tuple[str, ...]:
        gates = ("tool:" + name,) if self._tool_slots.bounds(name) else ()
        return (*gates, "provider:" + spec.provider) if spec.provider else gates

    # -- the write gate and priorities ---------------------------------------------------------

    def release(self, origins: Callable[[str], tuple[int, int, str]]) -> None:
        """The plan so far is closed, clean and approved: its effects may start.

        Args:
            origins: (round, n, h(n)) of an effectful step, by its id.
        """
        self._origins = origins
        gated, self._gated = self._gated, []
        for node in gated:
            if node.status == "ready":
                self._queue(node)
        self._pump()

    def hold(self) -> None:
        """Another plan begins to arrive: its effects wait for the next `release`."""
        self._origins = None
        self._ranked = False

    def withhold(self, status: Status, code: str) -> None:
        """The plan's effects will not happen: its effectful steps end without having started."""
        self._at = self._now()
        for node in list(self._nodes.values()):
            waits = node.status in ("waiting", "ready")
            if waits and node.spec is not None and node.spec.effectful:
                self._settle_in_turn((node, status, code, ""))
        self._pump()

    def fail_hole(self, id: str, code: str, message: str) -> None:
        """Nothing will fill this hole: it fails like a step."""
        node = self._nodes[id]
        if node.status not in TERMINAL:
            self._at = self._now()
            self._settle((node, "failed", code, message))
            self._pump()

    def rank(self) -> None:
        """The plan has closed: from now on the longest remaining path goes first.

        Cost: O(steps + edges), here and at most log2(steps) times later for each tool.
        """
        self._ranked = True
        self._rankings_left = dict.fromkeys(self._specs, len(self._nodes).bit_length())
        self._rank()

    def _rank(self) -> None:
        """One reverse pass over the steps that have not ended."""
        mean = self._estimates.mean
        self._ranked_at = {}
        for node in reversed(self._nodes.values()):
            if node.status in TERMINAL or node.step is None:
                continue
            tool = node.step.tool
            if tool not in self._ranked_at:
                self._ranked_at[tool] = mean(tool)
            longest = 0.0
            for dependent in node.dependents or ():
                longest = max(longest, dependent.rank)
            node.rank = longest + self._ranked_at[tool]
        for queue in (self._ready, *self._parked.values()):
            queue[:] = [(-node.rank, n, node) for _, n, node in queue]
            heapify(queue)

    def _reconsider(self, tool: str, mean: float) -> None:
        """Rank again when a tool's mean has moved by a quarter since the last ranking."""
        assumed = self._ranked_at.get(tool)
        if assumed is None or abs(mean - assumed) < max(0.25 * assumed, _NOTICEABLE_S):
            return
        if self._rankings_left[tool]:
            self._rankings_left[tool] -= 1
            self._rank()

    # -- from ready to running -----------------------------------------------------------------

    def _make_ready(self, node: Node) -> _Ending | None:
        """All inputs are there: queue the step, or say how its guard ends it."""
        step = node.step
        if step is None:  # a hole: whatever fills it will be asked again
            return None
        if node.ending is not None:
            return node.ending
        if step.when is not None and (ending := self._guarded(node, step.when)) is not None:
            return ending
        node.status = "ready"
        self._log.emit(StepReady(self._at, node.id))
        if self._origins is None and node.spec.effectful:  # type: ignore[union-attr]
            self._gated.append(node)
        else:
            self._queue(node)
        return None

    def _queue(self, node: Node) -> None:
        heappush(self._ready, (-node.rank if self._ranked else 0.0, node.n, node))

    def _guarded(self, node: Node, when: When) -> _Ending | None:
        """How a guard ends a step; None where it lets it run."""
        try:
            value = self._look(when.subject)
        except ToolFailed as error:
            return (node, "failed", error.code, error.message)
        if value is not True and value is not False:
            message = f"`when` must be true or false, got {value!r:.60}"
            return (node, "failed", "bad-guard", message)
        return (node, "skipped", "guard-false", "") if value is when.negated else None

    def _pump(self) -> None:
        """Give every ready step that finds a slot a worker."""
        self._pumping = False
        while self._ready and (node := self._next()) is not None:
            worker = self._loop.create_task(self._work(node))
            node.task = worker
            self._workers.add(worker)
            worker.add_done_callback(self._worker_ended)

    def _next(self) -> Node | None:
        """The first ready step that finds its slots, with them; None if there is none."""
        ready = self._ready
        while ready and self._in_flight < self.limits.concurrency:
            node = heappop(ready)[2]
            if node.status != "ready":
                self._pass_on(node)
                continue
            if node.gates and not self._take_slots(node):
                continue
            self._in_flight += 1
            if self._in_flight > self.peak_in_flight:
                self.peak_in_flight = self._in_flight
            node.status = "running"
            return node
        return None

    def _take_slots(self, node: Node) -> bool:
        """Take a slot at each of the step's gates, or park it at the first that is shut."""
        leases: list[Lease] = []
        for place, gate in enumerate(node.gates):
            slots, name = self._slots_of(gate)
            lease = slots.try_acquire(name)
            if lease is None:
                self._park(node, gate)
                for held in leases:
                    held.release()
                for untried in node.gates[place + 1 :]:  # it may have been its turn there
                    self._unpark(untried)
                return False
            leases.append(lease)
        node.leases = leases
        for gate in node.gates:  # there may be room for one more
            self._unpark(gate)
        return True

    def _slots_of(self, gate: str) -> tuple[Slots, str]:
        kind, _, name = gate.partition(":")
        return (self._tool_slots if kind == "tool" else self._slots), name

    def _pass_on(self, node: Node) -> None:
        """It was the step's turn to try its gates, and it has ended: let the next one try.

        That may be a step of another run.
        """
        for gate in node.gates:
            if not self._unpark(gate):
                slots, name = self._slots_of(gate)
                slots.pass_on(name)

    def _park(self, node: Node, gate: str) -> None:
        if gate not in self._shut:
            self._shut.add(gate)
            slots, name = self._slots_of(gate)
            slots.when_free(name, lambda: self._gate_opened(gate))
        parked = self._parked.setdefault(gate, [])
        heappush(parked, (-node.rank if self._ranked else 0.0, node.n, node))

    def _gate_opened(self, gate: str) -> bool:
        """A slot may be free; whether there is a step that will try to take it."""
        self._shut.discard(gate)
        if not self._unpark(gate):
            return False
        if not self._pumping:  # not at once: the caller may be in the midst of taking slots
            self._pumping = True
            self._loop.call_soon(self._pump)
        return True

    def _unpark(self, gate: str) -> bool:
        """Move the best step parked at a gate back among the ready ones, if the gate is open."""
        parked = self._parked.get(gate)
        while parked and gate not in self._shut:
            entry = heappop(parked)
            if entry[2].status == "ready":
                heappush(self._ready, entry)
                return True
        return False

    # -- running -------------------------------------------------------------------------------

    async def _work(self, node: Node | None) -> None:
        """Run a step, then the next, until none finds a slot or this worker's step was given up."""
        assert node is not None
        assert node.task is not None
        task, turns, kept = node.task, 0, True
        while kept and node is not None:
            node.task = task
            node.attempt += 1
            step: Step = node.step  # type: ignore[assignment]  # only steps become ready
            try:
                args = self._fill(step)
                if node.spec.effectful:  # type: ignore[union-attr]
                    await self._intend(node, args)
                started = self._begin(node)
                value = await self._call(step.tool, args, node.attempt)
            except BaseException as error:  # whatever a tool raises is its own failure
                kept = self._raised(node, error)
            else:
                kept = self._returned(node, value, started)
            turns += 1
            kept = kept and not task.cancelling()  # a tool may have cancelled its own task
            if kept and turns % _TURN == 0:
                await asyncio.sleep(0)
            node = self._next() if kept else None
            if self._ready:
                self._pump()

    def _begin(self, node: Node) -> float:
        """The attempt begins: say so, and set its deadline."""
        started = self._now()
        node.begun = True
        self._log.emit(StepStarted(started, node.id, node.attempt))
        seconds = self._timeout_s(node)
        if seconds is not None:
            node.deadline = self._deadlines.add(started + seconds, self._expire, node)
        return started

    def _timeout_s(self, node: Node) -> float | None:
        step: Step = node.step  # type: ignore[assignment]
        return step.timeout_s or self._timeouts[step.tool]

    def _raised(self, node: Node, error: BaseException) -> bool:
        """The tool raised: the step fails, unless it was given up before; False then."""
        given_up = node.status != "running"
        self._let_go(node)
        if given_up:
            return False
        self._fail_with(node, error)
        return True

    def _returned(self, node: Node, value: Any, started: float) -> bool:
        """The tool returned: the step is done, unless it was given up before; False then."""
        given_up = node.status != "running"
        self._let_go(node)
        if given_up:
            self._log.emit(LateResult(self._now(), node.id, node.attempt, value))
            return False
        self._succeed(node, value, started)
        return True

    def _let_go(self, node: Node) -> None:
        """The tool has returned, or will not be called: its slots and its deadline are free."""
        if node.task is None:
            return
        node.task = None
        self._in_flight -= 1
        if node.deadline is not None:
            self._deadlines.drop(node.deadline)
            node.deadline = None
        if node.leases is not None:
            for lease in node.leases:
                lease.release()
            node.leases = None

    async def _intend(self, node: Node, args: Mapping[str, Any]) -> None:
        """Write down an effect before it happens."""
        assert self._origins is not None
        assert node.spec is not None
        round, n, digest = self._origins(node.id)
        origin = EffectOrigin(self._run_id, round, n, digest)
        key = hash_of([self._run_id, round, node.id, None])
        now, seconds = self._now(), self._timeout_s(node)
        deadline = None if seconds is None else now + seconds
        self._log.emit(
            StepIntent(
                now, node.id, None, node.attempt, node.spec.effect, hash_of(args), key, deadline,
                origin, 0,
            )
        )  # fmt: skip
        await self._log.durable(len(self._log.events) - 1)
        if node.status != "running":
            raise asyncio.CancelledError

    def _expire(self, subject: object) -> None:
        """An attempt's time is up; the step ends now, whatever its tool does."""
        assert isinstance(subject, Node)
        subject.deadline = None
        self._give_up(subject, "failed", "timed-out", "the attempt ran out of time")

    def _give_up(self, node: Node, status: Status, code: str, message: str) -> None:
        """End a running step from outside, and ask its tool to stop."""
        task = node.task
        self._at = self._now()
        if not node.begun:  # it holds slots and its tool was not called yet
            self._let_go(node)
            self._settle((node, "skipped", code, message))
        else:
            self._end_begun(node, status, code, message)
        if task is not None:
            task.cancel()
        self._pump()

    def _end_begun(self, node: Node, status: Status, code: str, message: str) -> None:
        """End a step whose tool has been called and has not returned."""
        self._log.emit(StepError(self._at, node.id, node.attempt, code, message))
        if node.spec is not None and node.spec.effect == "write":
            self._log.emit(StepUnknown(self._at, node.id, node.attempt, code))
            status = "unknown"
        self._end(node, status, code)

    # -- values --------------------------------------------------------------------------------

    def _fill(self, step: Step) -> dict[str, Any]:
        look = self._look
        filled: dict[str, Any] = {}
        for name, value in step.args.items():
            kind = value.__class__
            if kind in ATOMS:
                filled[name] = value
            elif kind is Ref:
                filled[name] = look(value)
            else:
                filled[name] = fill(value, look)
        return filled

    def _look(self, node: Ref | Input | Item | Choose) -> Any:
        """The value that a node of the plan stands for, as a fresh copy."""
        if type(node) is Ref:
            value = self._nodes[node.step].value
            if node.path:
                value = part(value, node.path, f"step {node.step}")
            return value if type(value) in ATOMS else fresh(value)
        if isinstance(node, Input):
            if node.name not in self._inputs:
                raise ToolFailed(f"no input {node.name!r} was passed", code="unknown-input")
            return fresh(part(self._inputs[node.name], node.path, f"input {node.name}"))
        if isinstance(node, Choose):
            return self._look(self._chosen(node))
        raise ToolFailed("$item outside a map", code="item-outside-map")

    def _chosen(self, choice: Choose) -> Ref:
        """The first option whose step was not skipped.

        Raises:
            _NothingChosen: all were skipped, or the first that was not has no value.
        """
        for option in choice.options:
            source = self._nodes[option.step]
            if source.status == "done" or _feeds_default(source):
                return option
            if source.status != "skipped":
                raise _NothingChosen(source)
        raise _NothingChosen(None)

    def render(self, value: Value) -> Any:
        """A value with its references replaced, as a fresh copy.

        Raises:
            KeyError: a step it refers to does not exist, or has no value.
            ToolFailed: a path that leads nowhere.
        """

        def look(node: Ref | Input | Item | Choose) -> Any:
            if isinstance(node, Choose):
                try:
                    node = self._chosen(node)
                except _NothingChosen as error:
                    raise KeyError(error.code) from None
            if isinstance(node, Ref):
                source = self._nodes[node.step]
                if source.status != "done" and not _feeds_default(source):
                    raise KeyError(node.step)
            return self._look(node)

        return fill(value, look)

    @property
    def idle(self) -> bool:
        """Whether every step has ended."""
        return not self._unfinished

    # -- endings -------------------------------------------------------------------------------

    def _succeed(self, node: Node, value: Any, started: float) -> None:
        now = self._at = self._now()
        usage = cost = None
        if type(value) is Metered:
            value, usage, cost = value
        node.value = value
        self._log.emit(StepResult(now, node.id, node.attempt, value, None, usage, cost))
        tool = node.step.tool  # type: ignore[union-attr]
        mean = self._estimates.learn(tool, now - started)
        if len(self._ranked_at) > 1:  # with one tool only the scale moves, and no order
            self._reconsider(tool, mean)
        self._end(node, "done", "")

    def _fail_with(self, node: Node, error: BaseException) -> None:
        if isinstance(error, _NothingChosen):
            self._at = self._now()
            self._end(node, "skipped", error.code)
        elif isinstance(error, HeddleError):
            self._fail(node, error.code, error.message)
        else:
            self._fail(node, "tool-failed", f"{type(error).__name__}: {error}")

    def _fail(self, node: Node, code: str, message: str) -> None:
        self._at = self._now()
        self._log.emit(StepError(self._at, node.id, node.attempt, code, message))
        self._end(node, "failed", code)

    def _end(self, node: Node, status: Status, code: str) -> None:
        """One terminal event, then the dependents: those that can start, and those that cannot.

        Cost: O(dependents), without recursion.
        """
        node.status = status
        good = status == "done"
        if status == "failed" and _feeds_default(node):
            node.value, good = node.step.default, True  # type: ignore[union-attr]
        self._unfinished -= 1
        self._log.emit(StepEnded(self._at, node.id, status, code))
        if self._waiters or not self._unfinished:
            self._tell_waiters(node)
        dependents, node.dependents = node.dependents, None
        for dependent in dependents or ():
            if good or node.id in dependent.tolerant:
                dependent.waiting -= 1
                if not dependent.waiting and dependent.status == "waiting":
                    ending = self._make_ready(dependent)
                    if ending is not None:
                        self._settle(ending)
            elif dependent.status == "waiting":
                dependent.waiting -= 1
                self._settle_in_turn(_upstream(dependent, node))

    def _settle_in_turn(self, ending: _Ending) -> None:
        """End a step that will not run; one that uses named resources waits for its turn first.

        Otherwise whoever waits for it because of a resource would overtake those before it.
        """
        node = ending[0]
        if node.ending is not None:
            ending = node.ending
        if node.waiting and node.step is not None and (node.step.reads or node.step.writes):
            node.ending = ending
        else:
            self._settle(ending)

    def _settle(self, ending: _Ending) -> None:
        """End steps that never start; one that ends others only adds to the list."""
        self._endings.append(ending)
        if len(self._endings) > 1:
            return
        for node, status, code, message in self._endings:  # grows while it is read
            if node.status in TERMINAL:
                continue
            if status == "failed":
                self._log.emit(StepError(self._at, node.id, node.attempt, code, message))
            self._end(node, status, code)
        self._endings.clear()

    # -- waiting and stopping ------------------------------------------------------------------

    async def wait(self, ids: Collection[str] | None = None, done: int | None = None) -> None:
        """Return when the steps have ended.

        Args:
            ids: which steps; None for all that there are.
            done: return as soon as so many of them are done; None to wait for all to end.

        Raises:
            InternalError: the scheduler itself failed.
        """
        if self._failure is not None:
            raise self._failure
        if ids is None and done is None:
            if self._unfinished:
                self._all_ended = self._all_ended or self._loop.create_future()
                await asyncio.shield(self._all_ended)
            return
        among = self._nodes.keys() if ids is None else ids
        open_ids = {id for id in among if self._nodes[id].status not in TERMINAL}
        wanted = len(among) + 1 if done is None else done
        wanted -= sum(self._nodes[id].status == "done" for id in among)
        if not open_ids or wanted <= 0:
            return
        future: asyncio.Future[None] = self._loop.create_future()
        waiter = [open_ids, wanted, future]
        self._waiters.append(waiter)
        try:
            await future
        finally:
            self._waiters = [item for item in self._waiters if item is not waiter]

    def _tell_waiters(self, node: Node) -> None:
        if not self._unfinished and self._all_ended is not None:
            _resolve(self._all_ended)
            self._all_ended = None
        for waiter in self._waiters:
            open_ids, _, future = waiter
            if node.id in open_ids:
                open_ids.discard(node.id)
                waiter[1] -= node.status == "done"
                if not open_ids or waiter[1] <= 0:
                    _resolve(future)

    def at(self, seconds: float, act: Callable[[], None]) -> Deadline:
        """Do something at a time counted from now, unless dropped before."""
        return self._deadlines.add(self._now() + seconds, lambda _: act())

    def cancel(self, reason: str, *, code: str = "cancelled") -> None:
        """End every step: as cancelled if its tool has been called, as skipped if it has not.

        A write that is in flight ends as unknown.
        """
        self._at = self._now()
        self._log.emit(CancelRequested(self._at, "", reason))
        open_nodes = [node for node in self._nodes.values() if node.status not in TERMINAL]
        for node in open_nodes:
            if node.status != "running":
                self._settle((node, "skipped", code, reason))
        for node in open_nodes:
            if node.status == "running":
                self._give_up(node, "cancelled", code, reason)
        ended, self._ready[:] = self._ready[:], []
        for _, _, node in ended:
            self._pass_on(node)

    async def close(self) -> None:
        """Stop for good: nothing is left running but tools that do not stop within `grace_s`.

        Those are counted in `abandoned`; their slots stay taken.
        """
        if self._unfinished:
            self.cancel("the run is over")
        if self._workers:
            await asyncio.wait(self._workers, timeout=self.limits.grace_s)
        self.abandoned = len(self._workers)
        self._deadlines.close()

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        failure = None if worker.cancelled() else worker.exception()
        if failure is None:
            return
        self._failure = failure
        futures = [waiter[2] for waiter in self._waiters]
        for future in (*futures, *filter(None, [self._all_ended])):
            if not future.done():
                future.set_exception(failure)

    def effectful(self, tool: str) -> bool:
        """Whether a tool's calls may change the world."""
        return self._specs[tool].effectful

    def status(self, id: str) -> Status:
        """The status of a step.

        Raises:
            KeyError: no such step.
        """
        return self._nodes[id].status


class _NothingChosen(Exception):
    """All options of a choice were skipped, or the first that was not has no value."""

    def __init__(self, source: Node | None) -> None:
        super().__init__()
        self.code = "upstream-" + source.status if source else "nothing-to-choose"


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _upstream(node: Node, source: Node) -> _Ending:
    return (node, "skipped", "upstream-" + source.status, f"step {source.id} {source.status}")


def _feeds_default(node: Node) -> bool:
    """Whether dependents of a failed step see its declared default."""
    return node.status == "failed" and node.step is not None and node.step.default is not MISSING


def _edges(step: Step) -> tuple[dict[str, None], dict[str, None]]:
    """The ids whose success a step needs, and those that may end in any way."""
    firm: dict[str, None] = dict.fromkeys(step.after)
    loose: dict[str, None] = {}
    values: list[Any] = [*step.args.values()]
    if step.when is not None:
        values.append(step.when.subject)
    if step.over is not MISSING:
        values.append(step.over)
    for value in values:  # grows while it is read
        kind = value.__class__
        if kind is Ref:
            firm[value.step] = None
        elif kind in ATOMS:
            continue
        elif kind is list or kind is tuple:
            values += value
        elif kind is dict:
            values += value.values()
        elif kind is Template:
            values += value.parts
        elif kind is Choose:
            loose.update((option.step, None) for option in value.options)
    return firm, loose
