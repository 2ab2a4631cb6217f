"""The queue of ready steps: who goes next, and who must wait at a gate.

Until the plan has closed, the step that came first goes first; then the one with the longest
remaining estimated path; ties by the order of acceptance. A step needs a slot at each of its gates
(its tool's, its provider's). One that finds a gate shut is parked there, and no other step waits
for it. When a gate opens, the best step parked there gets a try, and passes the chance on if it
does not take it.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from heddle.engine.breaker import BreakerSlots
from heddle.engine.events import TERMINAL
from heddle.engine.slots import UNUSED, LocalSlots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from heddle.engine.admission import Admission
    from heddle.engine.estimates import Estimates
    from heddle.engine.node import Node
    from heddle.engine.slots import Lease, Slots
    from heddle.plan.limits import Limits
    from heddle.plan.spec import ToolSpec

__all__ = ["ReadyQueue"]

_NOTICEABLE_S = 0.001
"""A mean that moves by less than this changes no order worth the ranking."""


class ReadyQueue:
    """Ready steps by priority, and the slots that they need.

    Args:
        nodes: the scheduler's nodes by id, in the order of acceptance.
        specs: the tools.
        limits: bounds by tool.
        slots: allowances by provider.
        estimates: how long a tool is expected to take.
        followers: steps that wait for the call of another, which goes where they would.
        wake: called when a parked step may be taken now.
        hopeless: told of a step whose provider's breaker is open, and until when (loop time);
            whether waiting is of no use.
        admission: says what the run's budget can pay for; None where nothing bounds it.

    Attributes:
        ready: the heap; for a quick look whether there is anything.
        gates: by tool, where its steps need a slot.
        called: gates that have opened for a step of this run, which has not tried them yet.
    """

    def __init__(
        self,
        nodes: dict[str, Node],
        specs: Mapping[str, ToolSpec],
        limits: Limits,
        slots: Slots,
        estimates: Estimates,
        followers: Mapping[Node, list[Node]],
        wake: Callable[[], None],
        hopeless: Callable[[Node, float], bool],
        admission: Admission | None,
    ) -> None:
        self.ready: list[tuple[float, int, Node]] = []
        self._followers = followers
        self._hopeless = hopeless
        self._admission = admission
        self.called: set[str] = set()
        self._nodes = nodes
        self._slots = BreakerSlots.before(slots)
        self._tool_slots = LocalSlots(
            {
                name: bound
                for name, spec in specs.items()
                if (bound := limits.per_tool.get(name, spec.concurrency)) is not None
            }
        )
        self.gates = {name: self._gates_of(name, spec) for name, spec in specs.items()}
        self._parked: dict[str, list[tuple[float, int, Node]]] = {}
        self._shut: set[str] = set()  # gates that will wake us
        self._wake = wake
        self._estimates = estimates
        self._ranked = False
        self._ranked_at: dict[str, float] = {}
        self._rankings_left: dict[str, int] = {}

    def _gates_of(self, name: str, spec: ToolSpec) -> tuple[str, ...]:
        gates = ("tool:" + name,) if self._tool_slots.bounds(name) else ()
        return (*gates, "provider:" + spec.provider) if spec.provider else gates

    # -- in and out ----------------------------------------------------------------------------

    def push(self, node: Node) -> None:
        """Put a ready step in its place."""
        heappush(self.ready, (-node.rank if self._ranked else 0.0, node.n, node))

    def lift(self, node: Node, rank: float) -> None:
        """A step is waited for by one of a higher rank: it goes where that one would."""
        if self._ranked and rank > node.rank and node.element is None:
            node.rank = rank
            if node.status == "ready":
                self.push(node)  # its other entry finds it started

    def take(self) -> Node | None:
        """The first ready step that finds its slots, with them; None if there is none."""
        ready, admission = self.ready, self._admission
        while ready:
            node = heappop(ready)[2]
            if node.status != "ready" or (admission is not None and not admission.admits(node)):
                self._pass_on(node)
            elif not node.gates or self._take_slots(node):
                return node
        return None

    def clear(self) -> None:
        """All steps have ended: whoever waits for the slots they were about to try may try."""
        ended, self.ready[:] = self.ready[:], []
        for _, _, node in ended:
            self._pass_on(node)

    # -- gates ---------------------------------------------------------------------------------

    def _take_slots(self, node: Node) -> bool:
        """Take a slot at each of the step's gates, or park it at the first that is shut."""
        leases: list[Lease] = []
        for place, gate in enumerate(node.gates):
            slots, name = self._slots_of(gate)
            self.called.discard(gate)
            lease = slots.try_acquire(name)
            if lease is None:
                self._park(node, gate)
                for held in leases:
                    held.release(UNUSED)
                if (at := self._opens_at(gate)) and self._hopeless(node, at):
                    self._give_up_hope(gate, at)
                self._let_others(node.gates[place + 1 :])  # it may have been its turn there
                return False
            leases.append(lease)
        node.leases = leases
        for gate in node.gates:  # there may be room for one more
            self._unpark(gate)
        return True

    def spare_slots(self, node: Node) -> list[Lease] | None:
        """A slot at each gate of a step that is not ready yet; None if one is shut."""
        leases: list[Lease] = []
        for gate in node.gates:
            slots, name = self._slots_of(gate)
            lease = slots.try_acquire(name)
            if lease is None:
                for held in leases:
                    held.release(UNUSED)
                return None
            leases.append(lease)
        return leases

    def wanted(self, gates: Iterable[str]) -> bool:
        """Whether a step is parked at one of these gates."""
        return any(self._parked.get(gate) for gate in gates)

    def breaker_open(self, node: Node) -> bool:
        """Whether a provider that a step needs has failed of late."""
        return any(self._opens_at(gate) for gate in node.gates)

    def _slots_of(self, gate: str) -> tuple[Slots, str]:
        kind, _, name = gate.partition(":")
        return (self._tool_slots if kind == "tool" else self._slots), name

    def _give_up_hope(self, gate: str, opens_at: float) -> None:
        """A breaker stays open too long for one step, and for others that wait there."""
        parked = self._parked[gate]
        given_up = {node for _, _, node in parked if self._hopeless(node, opens_at)}
        parked[:] = [entry for entry in parked if entry[2] not in given_up]
        heapify(parked)
        for other in {other for node in given_up for other in node.gates} - {gate}:
            self._unpark(other)  # who waits there for one of these finds out for itself

    def _opens_at(self, gate: str) -> float:
        """When a provider's breaker opens again (loop time); 0 where none is open."""
        kind, _, name = gate.partition(":")
        return self._slots.opens_at(name) if kind == "provider" else 0.0

    def _pass_on(self, node: Node) -> None:
        """It was the step's turn to try its gates, and it has ended: let the next one try.

        That may be a step of another run.
        """
        self._let_others(node.gates)

    def _let_others(self, gates: Iterable[str]) -> None:
        for gate in gates:
            if not self._unpark(gate):
                slots, name = self._slots_of(gate)
                slots.pass_on(name)
        if self._admission is not None:
            self._admission.free()

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
        self.called.add(gate)
        self._wake()
        return True

    def give_turns_back(self) -> None:
        """The run has no slot of its own left: others may try the gates that have opened for it.

        The steps that were to try them stay ready, and try when there is room.
        """
        called, self.called = self.called, set()
        for gate in called:
            slots, name = self._slots_of(gate)
            slots.pass_on(name)

    def _unpark(self, gate: str) -> bool:
        """Move the best step parked at a gate back among the ready ones, if the gate is open.

        A step that has ended meanwhile had its turn at its other gates as well, perhaps, and was
        the one that those at them wait for: there the next one may try, too.

        Returns:
            Whether there is a step that will try.
        """
        found, gates = False, [gate]
        while gates:
            gate = gates.pop()
            parked = self._parked.get(gate)
            while parked and gate not in self._shut:
                entry = heappop(parked)
                if entry[2].status == "ready":
                    heappush(self.ready, entry)
                    found = True
                    break
                gates += (other for other in entry[2].gates if other != gate)
        return found

    @property
    def ranked(self) -> bool:
        """Whether the longest path goes first now."""
        return self._ranked

    # -- priorities ----------------------------------------------------------------------------

    def rank(self) -> None:
        """The plan has closed: from now on the longest remaining path goes first.

        Cost: O(steps + edges), here and at most log2(steps) times later for each tool.
        """
        self._ranked = True
        self._rankings_left = dict.fromkeys(self.gates, len(self._nodes).bit_length())
        self._rank()

    def unrank(self) -> None:
        """Another plan begins to arrive: until it has closed, who comes first goes first."""
        self._ranked = False

    def learn(self, tool: str, seconds: float) -> None:
        """A call took so long; rank again when its tool's mean has moved by a quarter."""
        mean = self._estimates.learn(tool, seconds)
        if len(self._ranked_at) < 2:  # with one tool only the scale moves, and no order
            return
        assumed = self._ranked_at.get(tool)
        if assumed is None or abs(mean - assumed) < max(0.25 * assumed, _NOTICEABLE_S):
            return
        if self._rankings_left[tool]:
            self._rankings_left[tool] -= 1
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
                if dependent.rank > longest:
                    longest = dependent.rank
            node.rank = longest + self._ranked_at[tool]
        for leader, followers in self._followers.items():
            if leader.element is None:
                leader.rank = max(leader.rank, *(node.rank for node in followers))
        for heap in (self.ready, *self._parked.values()):
            heap[:] = [(-node.rank, n, node) for _, n, node in heap]
            heapify(heap)
