"""What the scheduler knows of a step, and what a step waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from heddle.engine.fill import ATOMS
from heddle.plan.ir import MISSING, Choose, Ref, Step, Template

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection

    from heddle.engine.deadlines import Deadline
    from heddle.engine.events import Status
    from heddle.engine.gate import Gate
    from heddle.engine.map_run import MapRun
    from heddle.engine.slots import Lease
    from heddle.plan.spec import ToolSpec

__all__ = ["Ending", "Node", "edges", "has_value", "upstream"]


class Node:
    """A step in the scheduler.

    Attributes:
        n: place in the order of acceptance.
        step: None while its place is a hole.
        waiting: inputs that have not ended.
        dependents: who counts on it; None for nobody, and after its end.
        tolerant: inputs that may end in any way.
        ending: how it will be skipped when its turn comes.
        gate: the write gate of its round.
        gates: where it needs a slot, besides the run's own.
        rank: seconds of the longest path from its start to the end, as estimated.
        attempt: the number of the last attempt; 0 before the first.
        begun: whether its tool was called in that one.
        task: the worker that holds slots for it.
        map: its elements, if the step is a map.
        element: the index of a map's element, which the queue and the workers take for a step.
    """

    __slots__ = (
        "attempt", "begun", "deadline", "dependents", "ending", "gate", "gates", "id", "leases",
        "map", "n", "rank", "spec", "status", "step", "task", "tolerant", "value", "waiting",
    )  # fmt: skip
    element: int | None = None

    def __init__(self, id: str, n: int, gate: Gate) -> None:
        self.id = id
        self.n = n
        self.gate = gate
        self.step: Step | None = None
        self.spec: ToolSpec | None = None
        self.status: Status = "waiting"
        self.value: Any = None
        self.waiting = 0
        self.dependents: list[Node] | None = None
        self.tolerant: Collection[str] = ()
        self.ending: Ending | None = None
        self.gates: tuple[str, ...] = ()
        self.leases: list[Lease] | None = None
        self.rank = 0.0
        self.attempt = 0
        self.begun = False
        self.task: asyncio.Task[None] | None = None
        self.deadline: Deadline | None = None
        self.map: MapRun | None = None


class Ending(NamedTuple):
    """How a step ends without running."""

    node: Node
    status: Status
    code: str
    message: str = ""


def upstream(node: Node, source: Node) -> Ending:
    """A step is skipped because one of its inputs came to nothing."""
    status = source.status
    return Ending(node, "skipped", "upstream-" + status, f"step {source.id} {status}")


def has_value(node: Node) -> bool:
    """Whether dependents of an ended step see a value: its result, or the default if it failed.

    A map that failed has one if each of its failed elements took the default.
    """
    if node.status == "failed":
        if node.map is not None:
            return node.map.whole
        return node.step is not None and node.step.default is not MISSING
    return node.status == "done"


def edges(step: Step, *, over: bool = True) -> tuple[dict[str, None], dict[str, None]]:
    """The ids whose success a step needs, and those that may end in any way.

    Args:
        step: the step.
        over: whether what its `over` refers to counts.

    Cost: linear in the step's arguments, without recursion.
    """
    firm: dict[str, None] = dict.fromkeys(step.after) if step.after else {}
    loose: dict[str, None] = {}
    values: list[Any] = []
    for value in step.args.values():  # most are scalars and references
        kind = value.__class__
        if kind is Ref:
            firm[value.step] = None
        elif kind is list:
            for item in value:
                if item.__class__ is Ref:
                    firm[item.step] = None
                else:
                    values.append(item)
        elif kind not in ATOMS:
            values.append(value)
    if step.when is not None:
        values.append(step.when.subject)
    if over and step.over is not MISSING:
        values.append(step.over)
    if values:
        _edges_within(values, firm, loose)
    return firm, loose


def _edges_within(values: list[Any], firm: dict[str, None], loose: dict[str, None]) -> None:
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
