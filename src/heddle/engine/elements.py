"""What is known of a map's elements, and how long the longest chain of calls took with maps in it.

A map that follows another one element by element need not wait for the whole of it, so the chain is
followed through the elements: element i of the one, then element i of the other.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from heddle.plan.ir import MISSING, Ref, dependencies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.engine.events import ElementEnded, Status
    from heddle.engine.state import StepState

__all__ = ["HARMLESS", "INTERRUPTED", "ItemFault", "MapState", "critical_ends"]

INTERRUPTED = "interrupted"
"""Code of what ends because the run is stopped, and which has not ended for whoever resumes it."""

HARMLESS = frozenset(("guard-false", "upstream-skipped"))
"""Codes of elements that have no value because the plan said so."""


class ItemFault(NamedTuple):
    """Why an element has no value of its own."""

    element: int
    status: Status
    code: str
    message: str

    @property
    def reopens(self) -> bool:
        """Whether it is open again with its map: unknown, skipped for that, or interrupted."""
        return self.status == "unknown" or self.code in ("upstream-unknown", INTERRUPTED)


@dataclass(slots=True)
class MapState:
    """The elements of one map. Cost: O(1) an event, 17 bytes an element besides its value.

    Attributes:
        values: results in the order of the list; null where there is none.
        seconds: how long each element's last call took.
        faults: elements without a value of their own, by index, those of a guard included.
        messages: what failing calls said, by index.
        running: when the calls in flight began, by index.
        given: elements with a result.
        lacking: elements that dependents miss.
    """

    n: int
    values: list[Any] = field(init=False)
    seconds: array[float] = field(init=False)
    faults: dict[int, ItemFault] = field(default_factory=dict[int, ItemFault])
    messages: dict[int, str] = field(default_factory=dict[int, str])
    running: dict[int, float] = field(default_factory=dict[int, float])
    given: int = 0
    lacking: int = 0

    def __post_init__(self) -> None:
        self.values = [None] * self.n
        self.seconds = array("d", bytes(8 * self.n))

    @property
    def ended_count(self) -> int:
        """Elements that are over."""
        return self.given + len(self.faults)

    @property
    def whole(self) -> bool:
        """Whether each element has a value, a default taken, or was left out by a guard."""
        return self.ended_count == self.n and not self.lacking

    @property
    def failed_items(self) -> list[ItemFault]:
        """The elements that failed or lack what they need, in order; those of a guard left out."""
        found = (fault for fault in self.faults.values() if fault.code not in HARMLESS)
        return sorted(found)

    def started(self, index: int, at: float) -> None:
        """A call for an element began."""
        self.running[index] = at

    def paused(self, index: int) -> None:
        """A call for an element failed, and another will be made."""
        self.running.pop(index, None)

    def gave(self, index: int, at: float, value: Any) -> None:
        """A call for an element gave a value."""
        self.values[index] = value
        self.given += 1
        self._stop(index, at)

    def ended(self, event: ElementEnded, default: Any) -> None:
        """An element is over without a value of its own."""
        index, status, code = event.element, event.status, event.code
        self._stop(index, event.at)
        self.faults[index] = ItemFault(index, status, code, self.messages.pop(index, ""))
        if status == "failed" and default is not MISSING:
            self.values[index] = default
        elif code not in HARMLESS:
            self.lacking += 1

    def learned(self, index: int, value: Any) -> None:
        """A call that had been given up has a value after all; it counts if it was unknown."""
        fault = self.faults.get(index)
        if fault is not None and fault.status == "unknown":
            del self.faults[index]
            self.lacking -= 1
            self.given += 1
            self.values[index] = value

    def reopen(self) -> None:
        """Its elements are open again where they were unknown, or skipped for what was."""
        again = [i for i, fault in self.faults.items() if fault.reopens]
        for index in again:
            del self.faults[index]
        self.lacking -= len(again)

    def _stop(self, index: int, at: float) -> None:
        started = self.running.pop(index, None)
        if started is not None:
            self.seconds[index] = at - started


def critical_ends(
    steps: Mapping[str, StepState], inner: Mapping[str, float]
) -> dict[str, tuple[float, str]]:
    """By step: the seconds of the longest chain of calls that ends with it, and the step before it.

    Args:
        steps: by id, each after those it depends on.
        inner: seconds of the longest chain of a nested plan, by the step that expands it.

    Cost: linear in steps, edges and elements.
    """
    ends: dict[str, tuple[float, str]] = {}
    chains: dict[str, list[float]] = {}  # of maps: the longest chain by element
    for id, state in steps.items():
        before = dependencies(state.step) if state.step is not None else {}
        followed = _followed(state, steps)
        waited = [other for other in before if other in ends and other != followed]
        start, cause = max(((ends[other][0], other) for other in waited), default=(0.0, ""))
        if state.map is None or state.expanded:
            ends[id] = start + (inner.get(id, 0.0) if state.expanded else state.ran_s), cause
            continue
        first = chains.get(followed, ())
        chain = chains[id] = [
            max(start, first[i] if i < len(first) else 0.0) + seconds
            for i, seconds in enumerate(state.map.seconds)
        ]
        longest = max(chain, default=start)
        through = max(first, default=0.0) > start
        ends[id] = longest, followed if through else cause
    return ends


def _followed(state: StepState, steps: Mapping[str, StepState]) -> str:
    """The map that a map may have followed element by element; "" for none."""
    over = state.step.over if state.step is not None else None
    if type(over) is not Ref or over.path or over.step not in steps:
        return ""
    return over.step if steps[over.step].map is not None else ""
