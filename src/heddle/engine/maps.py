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
from typing import TYPE_CHECKING, Any, Protocol

from heddle.engine.elements import HARMLESS
from heddle.engine.events import (
    RESULT,
    ElementEnded,
    MapExpanded,
    StepError,
)
from heddle.engine.lookup import NothingChosen
from heddle.engine.map_run import COMING, HAS, LACKS, OPEN, SPARED, Element, Fault, MapRun
from heddle.engine.node import Ending, Node
from heddle.engine.recall import recall_elements
from heddle.errors import ToolFailed
from heddle.plan.canonical import hash_of
from heddle.plan.ir import MISSING, Item, Ref
from heddle.tools.function import Metered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.engine.attempts import Attempts
    from heddle.engine.beginnings import Beginnings
    from heddle.engine.events import Status
    from heddle.engine.log import EventLog
    from heddle.engine.lookup import Lookup
    from heddle.engine.past import Outcome, Past
    from heddle.engine.queue import ReadyQueue
    from heddle.plan.ir import Step

__all__ = ["MapOwner", "Maps"]

_MOST_AT_ONCE = 1_000  # elements that a guard may skip before others get their turn


class MapOwner(Protocol):
    """Who makes whole steps ready, and ends them: the scheduler."""

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
        beginnings: lets elements begin.
        owner: ends the maps' steps.
        past: what the journal remembers, if the run is gone on with.
    """

    def __init__(
        self,
        nodes: Mapping[str, Node],
        log: EventLog,
        lookup: Lookup,
        queue: ReadyQueue,
        attempts: Attempts,
        most: int,
        beginnings: Beginnings,
        owner: MapOwner,
        past: Past | None = None,
    ) -> None:
        self._past = past
        self._nodes = nodes
        self._log = log
        self._now = log.now
        self._lookup = lookup
        self._queue = queue
        self._attempts = attempts
        self._most = most
        self._beginnings = beginnings
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
        if self._past is None or not recall_elements(run, self._past):
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
            if state > COMING or source.ended:
                self._offer(run, source, index)

    def _offer(self, run: MapRun, source: MapRun, index: int) -> None:
        """An element of the followed map has ended."""
        if run.ended or run.states[index] != OPEN:
            return
        if source.states[index] == HAS:
            run.states[index] = COMING  # it may be offered again by what ends just now
            run.available.append(index)
            return
        fault = source.faults.get(index) or Fault(source.node.status, "", "")
        passed_on = fault.code == "over-budget" or fault.code.startswith("upstream-")
        code = fault.code if passed_on else "upstream-" + fault.status
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
            self._beginnings.begin(element)

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
        run.states[index] = HAS
        self._log.emit((RESULT, now, element.id, element.attempt, value, index, usage, cost, ""))
        if element.attempt:  # else it had the value of an equal call
            self._queue.learn(element.step.tool, now - started)  # type: ignore[union-attr]
        self._beginnings.tell_followers(element)
        self._element_over(run, index)

    def failed(self, element: Element, code: str, message: str) -> None:
        """An element's tool, or filling its arguments, raised."""
        assert element.map is not None
        self._at = self._now()
        element.status = "failed"
        self._beginnings.tell_followers(element)
        self._fail(element.map, element.element, element.attempt, code, message)

    def _fail(self, run: MapRun, index: int, attempt: int, code: str, message: str) -> None:
        self._log.emit(StepError(self._at, run.node.id, attempt, code, message, index))
        self._settle(run, index, "failed", code, message)

    def given_up(self, element: Element, status: Status, code: str, message: str) -> None:
        """A running element was ended from outside."""
        run, index, attempt = element.map, element.element, element.attempt
        assert run is not None
        at = self._at = self._now()
        if status != "skipped":
            self._log.emit(StepError(at, element.id, attempt, code, message, index))
        element.status = status
        self._beginnings.tell_followers(element)
        self._settle(run, index, status, code, message)

    def left_out(self, element: Element, code: str, message: str) -> None:
        """A ready element does not begin."""
        assert element.map is not None
        self._at = self._now()
        element.status = "skipped"
        self._settle(element.map, element.element, "skipped", code, message)

    def over(self, element: Element, outcome: Outcome) -> None:
        """An element's last attempt came out so before the run was cut off."""
        assert element.map is not None
        self._at = self._now()
        element.status = outcome.status
        self._beginnings.tell_followers(element)
        self._settle(element.map, element.element, outcome.status, outcome.code, outcome.message)

    def late(self, element: Element, value: Any) -> None:
        """A call that had been given up gave a value after all: a write is known to be done."""
        run, index = element.map, element.element
        assert run is not None
        fault = run.faults.get(index)
        if fault is None or fault.status != "unknown":
            return
        del run.faults[index]
        run.values[index] = value
        run.states[index] = HAS
        if run.node.status == "unknown" and run.whole:
            run.node.status = "done"

    def _settle(self, run: MapRun, index: int, status: Status, code: str, message: str) -> None:
        """An element has no value of its own: it takes the default if it failed, or is null."""
        step = run.node.step
        assert step is not None
        self._log.emit(ElementEnded(self._at, run.node.id, index, status, code))
        run.faults[index] = Fault(status, code, message)
        if status == "failed" and step.default is not MISSING:
            run.values[index] = step.default
            run.states[index] = HAS
        else:
            run.states[index] = SPARED if code in HARMLESS else LACKS
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
        began = run.left < len(run.states) or any(element.attempt for element in live)
        for element in live:
            if element.status != "running":
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
            self._beginnings.tell_followers(element)
        for follower in followers:
            self._catch_up(follower, run)
            self._feed(follower)


def _refuse_many(items: list[Any], step: Step) -> None:
    if step.bound is not None and len(items) > step.bound:
        raise ToolFailed(
            f"`over` has {len(items)} elements, more than the map's bound of {step.bound}",
            code="too-wide",
        )
