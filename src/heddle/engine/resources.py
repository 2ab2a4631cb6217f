"""Named resources: which steps must have ended before one that reads or writes the same.

Steps use a resource in plan order: readers together, a writer alone. A hole may turn out to use
anything, so whoever comes after it and uses a resource waits for it. So may the plan that a step
expands: its steps stand in that step's place, after all users before it and before all after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heddle.plan.ir import Step

__all__ = ["Resources"]


class Resources:
    """Who used what last. Cost: O(1) for each use, amortised, and O(1) for each step that expands.

    Args:
        before: ids that every user waits for.
    """

    def __init__(self, before: Iterable[str] = ()) -> None:
        self._before = dict.fromkeys(before)
        self._places: dict[str, int] = {}  # users and holes, in plan order
        self._holes: dict[str, None] = {}  # and steps that expand
        self._readers: dict[str, list[str]] = {}  # since the last writer
        self._writers: dict[str, str] = {}

    def reserve(self, id: str) -> None:
        """A hole, or a step that expands a plan, holds a place in the plan."""
        self._places.setdefault(id, len(self._places))
        self._holes[id] = None

    def within(self, id: str) -> Resources:
        """The resources of a plan that stands in the place of the step that expands it.

        Cost: O(users and holes).
        """
        place = self._places[id]
        return Resources([*self._before, *self._earlier(place)])

    def _earlier(self, place: int) -> list[str]:
        return [id for id, other in self._places.items() if other < place]

    def filled(self, step: Step) -> dict[str, None]:
        """A step takes the place of a hole; the ids that it must wait for.

        Whoever came after the hole waits for it already, so it waits for earlier ones only: for
        all of them, since what they use is in the past.

        Cost: O(users and holes).
        """
        del self._holes[step.id]
        if not (step.reads or step.writes):
            return {}
        place = self._places[step.id]
        for name in step.reads:
            self._readers.setdefault(name, []).append(step.id)
        for name in step.writes:
            if self._places.get(self._writers.get(name, ""), -1) < place:
                self._writers[name] = step.id
        return {**self._before, **dict.fromkeys(self._earlier(place))}

    def used(self, step: Step) -> dict[str, None]:
        """A step comes last and uses resources; the ids that it must wait for."""
        before = {**self._before, **self._holes}
        self._places[step.id] = len(self._places)
        for name in (*step.reads, *step.writes):
            if name in self._writers:
                before[self._writers[name]] = None
        for name in step.reads:
            self._readers.setdefault(name, []).append(step.id)
        for name in step.writes:
            before.update(dict.fromkeys(self._readers.pop(name, ())))
            self._writers[name] = step.id
        before.pop(step.id, None)
        return before
