"""A map while it runs: what is known of it, of its elements, and of the map that it follows.

What is done to them is in `maps`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from heddle.engine.elements import HARMLESS
from heddle.engine.node import Node, edges
from heddle.plan.ir import Ref

if TYPE_CHECKING:
    from collections.abc import Collection

    from heddle.engine.events import Status
    from heddle.plan.ir import Step

__all__ = [
    "COMING",
    "HAS",
    "LACKS",
    "OPEN",
    "SPARED",
    "Element",
    "Fault",
    "MapRun",
    "follows",
    "streams_over",
]

OPEN, COMING, HAS, LACKS, SPARED = range(5)
"""What became of an element: nothing yet, offered by a followed map, a value, none, left out."""


class Fault(NamedTuple):
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
        self.faults: dict[int, Fault] = {}
        self.left = 0
        self.next = 0
        self.available: deque[int] = deque()  # indexes that a followed map has given
        self.live: dict[int, Element] = {}
        self.followers: list[MapRun] = []

    @property
    def whole(self) -> bool:
        """Whether dependents see its list."""
        return self.opened and not self.left and LACKS not in self.states

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
        while self.next < len(self.items):
            self.next += 1
            if self.states[self.next - 1] == OPEN:  # it has not ended in the past of the run
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
