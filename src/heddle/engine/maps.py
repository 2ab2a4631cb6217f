"""Maps: steps that run once for each element of a list.

An element is a light `Node` that the queue and the workers treat like any step: it takes slots, has
its own deadline, its own intent if it has effects. It exists only while it is ready or runs, and a
map never has more of them than the run may have in flight: a million elements are a list, not a
million tasks.

A map over the whole result of another map follows it: its element i may begin as soon as that of
the other has ended, and whatever became of that one decides. Elements of one chain of maps share
the rank of its first; among them the lower index goes first, and then the later map, so that what
was begun is finished before more is begun.

    element:  not yet there ──▶ ready ──▶ running ──▶ done | failed | skipped | cancelled | unknown

The map ends when its last element has ended: done, or failed if an element lacks its value for any
other reason than a guard. It is whole if none does, defaults taken.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from heddle.engine.elements import HARMLESS
from heddle.engine.events import (
    RESULT,
    ElementEnded,
    MapExpanded,
    StepError,
    StepUnknown,
)
from heddle.engine.lookup import NothingChosen
from heddle.engine.node import Ending, Node, edges
from heddle.errors import ToolFailed
from heddle.plan.canonical import hash_of
from heddle.plan.ir import MISSING, Item, Ref
from heddle.tools.function import Metered

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from heddle.engine.attempts import Attempts
    from heddle.engine.events import Status
    from heddle.engine.log import EventLog
    from heddle.engine.lookup import Lookup
    from heddle.engine.queue import ReadyQueue
    from heddle.plan.ir import Step

__all__ = ["Element", "MapRun", "Maps", "follows", "streams_over"]

_OPEN, _COMING, _HAS, _LACKS, _SPARED = range(5)  # what became of an element
_MOST_AT_ONCE = 1_000  # elements that a guard may skip before others get their turn


class _Fault(NamedTuple):
    """Why an element has no value of its own."""

    status: Status
    code: str
    message: str


class MapRun:
    """A map step in the scheduler.

    Attributes:
        source: the id of the map that this one follows element by element; "" for none.
        at_once: whether it may do so before that one has ended.
        opened: whether its list is known.
        values: results in the order of the list; null where there is none.
        whole: whether each element has a value, or was left out by a guard.
    """

    __slots__ = (
        "at_once", "available", "depth", "ended", "faults", "followers", "head", "items", "left",
        "live", "next", "node", "opened", "source", "states", "values",
    )  # fmt: skip

    def __init__(self, node: Node, source: str, *, at_once: bool) -> None:
        self.node = node
        self.source = source
        self.at_once = at_once
        self.opened = False
        self.ended = False  # nothing of it begins any more
        self.head: Node = node
        self.depth = 0
        self.items: list[Any] = []
        self.values: list[Any] = []
        self.states = bytearray()
        self.faults: dict[int, _Fault] = {}
        self.left = 0
        self.next = 0
        self.available: deque[int] = deque()  # indexes that a followed map has given
        self.live: dict[int, Element] = {}
        self.followers: list[MapRun] = []

    @property
    def whole(self) -> bool:
        """Whether dependents see its list."""
        return self.opened and not self.left and _LACKS not in self.states

    def open(self, items: list[Any], followed: MapRun | None) -> None:
        """The list is there; of a followed map, its length is."""
        self.opened = True
        self.items = items
        self.left = len(items)
        self.values = [None] * len(items)
        self.states = bytearray(len(items))
        if followed is None:
            self.available.clear()
            return
        self.next = len(items)
        self.head, self.depth = followed.head, followed.depth + 1
        followed.followers.append(self)

    def take_index(self) -> int | None:
        """The next element that may begin; None if none may now."""
        if self.next < len(self.items):
            self.next += 1
            return self.next - 1
        return self.available.popleft() if self.available else None

    def close(self) -> None:
        """All is over: forget what only elements need."""
        self.ended = True
        self.items = []
        self.available.clear()
        self.live.clear()
        self.followers.clear()

    def outcome(self) -> tuple[Status, str, str]:
        """Status, code and message, by the worst that became of an element."""
        lacking = [(i, fault) for i, fault in self.faults.items() if fault.code not in HARMLESS]
        if not lacking:
            return "done", "", ""
        unknown = [fault for _, fault in lacking if fault.status == "unknown"]
        if unknown:
            return "unknown", unknown[0].code, unknown[0].message
        failed = [pair for pair in lacking if pair[1].status == "failed"]
        first, fault = min(failed or lacking)
        said = f"{len(lacking)} of {len(self.states)} elements have no result of their own"
        why = fault.message or fault.code
        code = "items-failed" if failed else fault.code
        return "failed", code, f"{said}; the first of them, element {first}: {why}"


class Element(Node):
    """One element of a map, while it is ready or runs, and while equal calls may share its outcome.

    Attributes:
        item: the element of the list; nobody may change it.
    """

    __slots__ = ("element", "item")

    def __init__(self, run: MapRun, index: int) -> None:
        node = run.node
        self.id = node.id
        self.n = run.head.n
        self.gate = node.gate
        self.step = node.step
        self.spec = node.spec
        self.gates = node.gates
        self.map = run
        self.element: int = index  # pyright: ignore[reportIncompatibleVariableOverride]
        self.item: Any = run.items[index]
        self.status = "ready"
        self.attempt = 0
        self.begun = False
        self.task = None
        self.leases = None
        self.deadline = None
        self.value = None

    @property
    def rank(self) -> float:  # type: ignore[override]  # that of the chain's first map
        """Seconds of the longest path from the first map of the chain to the end."""
        return self.map.head.rank  # type: ignore[union-attr]

    def __lt__(self, other: Element) -> bool:
        """The order in the queue, where rank and place are the same."""
        return (self.element, -self.map.depth) < (other.element, -other.map.depth)  # type: ignore[union-attr]


class MapOwner(Protocol):
    """Who starts calls and ends whole steps: the scheduler."""

    def begin(self, node: Node) -> None:
        """An element is ready to make its call."""
        ...

    def tell_followers(self, leader: Node) -> None:
        """An element has ended: others may wait for its outcome."""
        ...

    def make_ready_by_map(self, node: Node) -> None:
        """A map's length is known, which was the last input of this one."""
        ...

    def settle_map(self, ending: Ending) -> None:
        """All elements of a map have ended, or it never began."""
        ...


class Maps:
    """The maps of one run.

    Args:
        nodes: the scheduler's nodes, by id.
        log: takes the events.
        lookup: gives lists and elements.
        queue: learns how long elements take.
        attempts: ends running ones.
        most: elements of one map that are ready or running at once.
        owner: ends the maps' steps.
    """

    def __init__(
        self,
        nodes: Mapping[str, Node],
        log: EventLog,
        lookup: Lookup,
        queue: ReadyQueue,
        attempts: Attempts,
        most: int,
        owner: MapOwner,
    ) -> None:
        self._nodes = nodes
        self._log = log
        self._now = log.now
        self._lookup = lookup
        self._queue = queue
        self._attempts = attempts
        self._most = most
        self._owner = owner
        self._at = 0.0
        self._opening: list[Node] = []
        self._ended: deque[tuple[MapRun, int]] = deque()
        self._ending = False

    # -- opening -------------------------------------------------------------------------------

    def known(self, run: MapRun) -> bool:
        """Whether a map need not wait for the one that it follows: its length is known."""
        source = self._nodes.get(run.source)
        opened = source is not None and source.map is not None and source.map.opened
        return opened and run.at_once

    def open(self, node: Node) -> None:
        """All inputs of a map are there: find its list, and let its elements begin.

        Cost: linear in the list, without recursion over maps that follow each other.
        """
        self._opening.append(node)
        if len(self._opening) > 1:
            return
        for waiting in self._opening:  # grows while it is read
            self._at = self._now()
            try:
                self._open(waiting)
            except NothingChosen as nothing:
                self._owner.settle_map(Ending(waiting, "skipped", nothing.code))
            except ToolFailed as error:
                self._owner.settle_map(Ending(waiting, "failed", error.code, error.message))
        self._opening.clear()

    def _open(self, node: Node) -> None:
        run, step = node.map, node.step
        assert run is not None
        assert step is not None
        self._lookup.settle_choices(step)
        source = self._followed(step)
        items = self._lookup.items(step.over) if source is None else source.values
        _refuse_many(items, step)
        run.open(items, source)
        node.status = "running"
        shown = hash_of(items) if source is None else ""
        self._log.emit(MapExpanded(self._at, node.id, len(items), shown))
        self._tell_dependents(node)
        if source is not None:
            self._catch_up(run, source)
        self._feed(run)
        if not run.left:
            self._finish(run)

    def _followed(self, step: Step) -> MapRun | None:
        over = step.over
        if type(over) is not Ref or over.path:
            return None
        source = self._nodes[over.step].map
        return source if source is not None and source.opened else None

    def _tell_dependents(self, node: Node) -> None:
        """Maps that follow this one need not wait for its end."""
        for dependent in node.dependents or ():
            run = dependent.map
            if run is None or run.source != node.id or not run.at_once:
                continue
            if dependent.status == "waiting":
                dependent.waiting -= 1
                if not dependent.waiting:
                    self._owner.make_ready_by_map(dependent)

    def _catch_up(self, run: MapRun, source: MapRun) -> None:
        """Take in what has become of the followed map's elements up to now."""
        for index, state in enumerate(source.states):
            if state > _COMING or source.ended:
                self._offer(run, source, index)

    def _offer(self, run: MapRun, source: MapRun, index: int) -> None:
        """An element of the followed map has ended."""
        if run.ended or run.states[index] != _OPEN:
            return
        if source.states[index] == _HAS:
            run.states[index] = _COMING  # it may be offered again by what ends just now
            run.available.append(index)
            return
        fault = source.faults.get(index) or _Fault(source.node.status, "", "")
        code = fault.code if fault.code.startswith("upstream-") else "upstream-" + fault.status
        self._settle(run, index, "skipped", code, f"step {source.node.id} {fault.status}")

    # -- elements ------------------------------------------------------------------------------

    def _feed(self, run: MapRun) -> None:
        """Make elements ready, as many as may be at once."""
        step = run.node.step
        assert step is not None
        guard = step.when if step.when is not None and type(step.when.subject) is Item else None
        while not run.ended and len(run.live) < self._most and len(self._ended) < _MOST_AT_ONCE:
            index = run.take_index()
            if index is None:
                return
            if guard is not None and not self._admits(run, index, step):
                continue
            element = run.live[index] = Element(run, index)
            self._owner.begin(element)

    def _admits(self, run: MapRun, index: int, step: Step) -> bool:
        """Whether the guard lets an element run; if not, it has ended."""
        assert step.when is not None
        try:
            value = self._lookup.item_part(run.items[index], step.when.subject)
        except ToolFailed as error:
            self._fail(run, index, 0, error.code, error.message)
            return False
        if value is not True and value is not False:
            message = f"`when` must be true or false, got {value!r:.60}"
            self._fail(run, index, 0, "bad-guard", message)
            return False
        if value is step.when.negated:
            self._settle(run, index, "skipped", "guard-false", "")
            return False
        return True

    def succeeded(self, element: Element, value: Any, started: float) -> None:
        """An element's tool gave a value."""
        run, index = element.map, element.element
        assert run is not None
        now = self._at = self._now()
        usage = cost = None
        if type(value) is Metered:
            value, usage, cost = value
        element.status = "done"
        run.values[index] = element.value = value
        run.states[index] = _HAS
        self._log.emit((RESULT, now, element.id, element.attempt, value, index, usage, cost, ""))
        if element.attempt:  # else it had the value of an equal call
            self._queue.learn(element.step.tool, now - started)  # type: ignore[union-attr]
        self._owner.tell_followers(element)
        self._element_over(run, index)

    def failed(self, element: Element, code: str, message: str) -> None:
        """An element's tool, or filling its arguments, raised."""
        assert element.map is not None
        self._at = self._now()
        element.status = "failed"
        self._owner.tell_followers(element)
        self._fail(element.map, element.element, element.attempt, code, message)

    def _fail(self, run: MapRun, index: int, attempt: int, code: str, message: str) -> None:
        self._log.emit(StepError(self._at, run.node.id, attempt, code, message, index))
        self._settle(run, index, "failed", code, message)

    def given_up(self, element: Element, status: Status, code: str, message: str) -> None:
        """A running element was ended from outside; a write whose tool was called is unknown."""
        run, index, attempt = element.map, element.element, element.attempt
        assert run is not None
        at = self._at = self._now()
        if status != "skipped":
            self._log.emit(StepError(at, element.id, attempt, code, message, index))
            if element.spec is not None and element.spec.effect == "write":
                self._log.emit(StepUnknown(at, element.id, attempt, code, index))
                status = "unknown"
        element.status = status
        self._owner.tell_followers(element)
        self._settle(run, index, status, code, message)

    def _settle(self, run: MapRun, index: int, status: Status, code: str, message: str) -> None:
        """An element has no value of its own: it takes the default if it failed, or is null."""
        step = run.node.step
        assert step is not None
        self._log.emit(ElementEnded(self._at, run.node.id, index, status, code))
        run.faults[index] = _Fault(status, code, message)
        if status == "failed" and step.default is not MISSING:
            run.values[index] = step.default
            run.states[index] = _HAS
        else:
            run.states[index] = _SPARED if code in HARMLESS else _LACKS
        self._element_over(run, index)

    def _element_over(self, run: MapRun, index: int) -> None:
        """An element has ended: those that follow it, then the next ones, without recursion."""
        self._ended.append((run, index))
        if self._ending:
            return
        self._ending = True
        while self._ended:
            run, index = self._ended.popleft()
            run.live.pop(index, None)
            run.left -= 1
            for follower in run.followers:
                self._offer(follower, run, index)
                self._feed(follower)
            self._feed(run)
            if not run.left:
                self._finish(run)
        self._ending = False

    # -- the end -------------------------------------------------------------------------------

    def _finish(self, run: MapRun) -> None:
        if run.ended:
            return
        run.close()
        run.node.value = run.values
        self._owner.settle_map(Ending(run.node, *run.outcome()))

    def stop(self, node: Node, status: Status, code: str, message: str) -> None:
        """End a map from outside: its running elements are given up, the others never begin.

        A write among them that had begun makes the whole map unknown.
        """
        run = node.map
        assert run is not None
        self._at = self._now()
        live, followers = list(run.live.values()), list(run.followers)
        run.ended = True
        began = run.left < len(run.states) or any(element.begun for element in live)
        for element in live:
            if element.status == "ready":
                element.status = "skipped"
        for element in live:
            if element.status == "running":
                self._attempts.give_up(element, status, code, message)
        unknown = any(fault.status == "unknown" for fault in run.faults.values())
        last: Status = "unknown" if unknown else status if began else "skipped"
        run.close()
        node.value = run.values
        self._owner.settle_map(Ending(node, last, code, message))
        for element in live:
            self._owner.tell_followers(element)
        for follower in followers:
            self._catch_up(follower, run)
            self._feed(follower)


def follows(node: Node, source: Node) -> bool:
    """Whether a map takes the elements of another one that has any, whatever became of it."""
    return (
        node.map is not None
        and node.map.source == source.id
        and source.map is not None
        and source.map.opened
    )


def streams_over(step: Step, order: Collection[str] = ()) -> tuple[str, bool]:
    """The id that a map may follow element by element, if that is a map, and whether at once.

    It is what `over` names as a whole, unless anything else of the step needs it to succeed; "" for
    none. A map that has another reason to wait for its end does so, and follows it then.

    Args:
        step: a map.
        order: ids that must have ended before it, in whatever way.

    Cost: linear in the step.
    """
    over = step.over
    if type(over) is not Ref or over.path:
        return "", False
    firm, loose = edges(step, over=False)
    if over.step in firm:
        return "", False
    return over.step, not (over.step in loose or over.step in order)


def _refuse_many(items: list[Any], step: Step) -> None:
    if step.bound is not None and len(items) > step.bound:
        raise ToolFailed(
            f"`over` has {len(items)} elements, more than the map's bound of {step.bound}",
            code="too-wide",
        )
