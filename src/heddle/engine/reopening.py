"""Reopening: which ends are taken back when a run is gone on with.

    what was stopped with the run (`interrupted`)
    what was skipped for a write that was unknown then, and is known by now
    writes that are unknown, where somebody or something may say what became of them
        and what was skipped, or could not be expanded, because of them

What has a value keeps it, and whatever else has ended stays as it ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.engine.elements import INTERRUPTED
from heddle.engine.repeats import REPEATS_UNKNOWN
from heddle.errors import JournalError
from heddle.plan.ir import dependencies

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from heddle.engine.past import Past, Place
    from heddle.engine.state import RunState, StepState

__all__ = ["in_doubt", "refuse_known", "to_reopen"]

_FOR_UNKNOWN = frozenset(("upstream-unknown", "expansion-failed"))


def in_doubt(past: Past) -> set[Place]:
    """Writes that were begun and whose outcome nobody saw, ended or not."""
    begun = {place for place, intent in past.doubtful.items() if intent.effect == "write"}
    return begun | past.unknown.keys()


def refuse_known(past: Past, places: Collection[Place]) -> None:
    """Refuse to resolve what is not in doubt.

    Raises:
        JournalError: `not-unknown`, which says what is known of it.
    """
    doubtful = in_doubt(past)
    for id, element in places:
        if (id, element) in doubtful:
            continue
        state = past.state.steps.get(id)
        what = f"step {id}" if element is None else f"element {element} of step {id}"
        why = "there is no such step" if state is None else f"it is {state.status}"
        named = ", ".join(sorted(_named(place) for place in doubtful))
        raise JournalError(
            f"{what} cannot be resolved: {why}",
            code="not-unknown",
            hint=f"in doubt: {named}" if named else "nothing of this run is in doubt",
        )


def _named(place: Place) -> str:
    id, element = place
    return id if element is None else f"{id}[{element}]"


def to_reopen(past: Past, resolvable: Callable[[Place], bool]) -> list[str]:
    """The steps whose end is taken back, in plan order.

    Args:
        past: what the journal remembers.
        resolvable: whether it may come out what became of a write.

    Cost: linear.
    """
    state = past.state
    found = {id for id, element in past.unknown if resolvable((id, element))}
    found |= {id for id, step in state.steps.items() if step.code == INTERRUPTED}
    found |= {id for id, step in state.steps.items() if _waits_for_nothing(step, state)}
    if all(resolvable(place) for place in past.unknown):
        found |= {id for id, step in state.steps.items() if step.code == REPEATS_UNKNOWN}
    found = {id for id in found if past.ended(id) is not None or _has_doubts(state.steps[id])}
    size = -1
    while found and size != len(found):  # once more for each level of nested plans
        size = len(found)
        _spread(state, found)
    return [id for id in state.steps if id in found]


def _spread(state: RunState, found: set[str]) -> None:
    """Add what ended only because of what is reopened."""
    for id, step in state.steps.items():
        before = dependencies(step.step) if step.step is not None else {}
        if _ended_for(step) and not found.isdisjoint(before):
            found.add(id)
    for round in state.rounds:
        if not round.parent:
            continue
        inside = {step.id for step in state.of_round(round.round)}
        if not found.isdisjoint(inside):
            found |= {id for id in inside if state.steps[id].code == "not-needed"}
            if state.steps[round.parent].code in _FOR_UNKNOWN:
                found.add(round.parent)


def _waits_for_nothing(step: StepState, state: RunState) -> bool:
    """Whether what a step was skipped for is known by now."""
    if step.code != "upstream-unknown" or step.step is None:
        return False
    before = [state.steps[id] for id in dependencies(step.step) if id in state.steps]
    return all(other.has_value for other in before)


def _ended_for(step: StepState) -> bool:
    """Whether a step ended because of another, or because all that it could choose was skipped."""
    skipped = step.status == "skipped" and step.code.startswith(("upstream-", "nothing-to-choose"))
    return skipped or step.code in _FOR_UNKNOWN or _has_doubts(step)


def _has_doubts(step: StepState) -> bool:
    """Whether elements of a map, which itself may not be over, ended because of a doubt."""
    return step.map is not None and any(fault.reopens for fault in step.map.faults.values())
