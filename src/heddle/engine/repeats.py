"""Repeats: effects that a replan asks for again, and that need not happen again.

A planner that plans anew may write down what was done already. A step of its plan that has the tool
and the arguments of an effect of an earlier round takes that effect's result instead; each effect
stands in for one such step. One whose outcome is unknown lets no such step begin, and neither does
one that counts as failed only because a policy says so: it may have happened.

Whoever reads every result before the next call knows what was done, and repeats what is to be
repeated: turns are no replans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from heddle.engine.events import (
    EffectReused,
    LateResult,
    StepIntent,
    StepResult,
    UnknownResolved,
)
from heddle.engine.fill import fresh
from heddle.engine.lookup import NothingChosen
from heddle.errors import ToolFailed
from heddle.plan.canonical import hash_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.engine.log import EventLog
    from heddle.engine.lookup import Lookup
    from heddle.engine.node import Node

__all__ = ["REPEATS_UNKNOWN", "Repeats", "StandIn"]

REPEATS_UNKNOWN = "repeats-unknown"
"""Code of a step that would do again what may have been done."""


_Place: TypeAlias = "tuple[str, int | None]"
_MISSING: Any = object()


class StandIn(NamedTuple):
    """An effect of an earlier round.

    Attributes:
        value: what it gave, as a copy; `known` says whether there is any.
        failed: whether it counts as failed, although nobody knows.
    """

    step: str
    element: int | None
    value: Any = None
    known: bool = True
    failed: bool = False


class Repeats:
    """The effects of one run, by what they did.

    Args:
        nodes: the scheduler's nodes, by id.
        log: the run's, its past included.
        lookup: fills arguments.

    Cost: linear in the log, over all replans; nothing for runs without.
    """

    def __init__(self, nodes: Mapping[str, Node], log: EventLog, lookup: Lookup) -> None:
        self._nodes = nodes
        self._log = log
        self._lookup = lookup
        self._seen = 0
        self._intents: dict[tuple[str, str], list[StepIntent]] = {}
        self._values: dict[_Place, Any] = {}
        self._ruled: set[_Place] = set()
        self._used: dict[_Place, _Place] = {}  # by effect, the step that it stands in for

    def find(self, node: Node) -> StandIn | None:
        """What stands in for a step of a replan; None if it is new."""
        step = node.step
        assert step is not None
        try:
            args_hash = hash_of(self._lookup.args_of(node))
        except (ToolFailed, NothingChosen):
            return None  # the step says so itself when it runs
        here = node.id, node.element
        self._read()
        for intent in self._intents.get((step.tool, args_hash), ()):
            place = intent.step, intent.element
            if intent.origin.round >= node.gate.replan or self._used.get(place, here) != here:
                continue
            value = self._values.get(place, _MISSING)
            if value is not _MISSING:
                self._used[place] = here
                return StandIn(*place, fresh(value))
            if place in self._ruled:
                return StandIn(*place, known=False, failed=True)
            if self._nodes[intent.step].status == "unknown":
                return StandIn(*place, known=False)
        return None

    def _read(self) -> None:
        events = self._log.events
        for seq in range(self._seen, len(events)):
            event = events[seq]
            if isinstance(event, StepIntent):
                node = self._nodes.get(event.step)
                if node is not None and node.step is not None:
                    key = node.step.tool, event.args_hash
                    self._intents.setdefault(key, []).append(event)
            elif isinstance(event, StepResult):
                self._values[event.step, event.element] = event.value
            elif isinstance(event, LateResult) and not event.failed:
                self._values.setdefault((event.step, event.element), event.value)
            elif isinstance(event, UnknownResolved) and event.by == "policy":
                self._ruled.add((event.step, event.element))
            elif isinstance(event, EffectReused):
                self._used[event.source, event.source_element] = event.step, event.element
        self._seen = len(events)
