"""A run told again: its plans and its result, read from nothing but its events.

For a run that is over it gives what the caller got then; for one that was stopped, or still runs,
what there is of it. Tools and models are not needed, so the provider's share of a lower bound is
not in it.

>>> retold([]).steps
[]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast, overload

from heddle.engine import events as ev
from heddle.engine.record import Record
from heddle.engine.result import RunError, result_of
from heddle.engine.state import fold
from heddle.errors import ModelError
from heddle.plan.canonical import decode
from heddle.plan.ir import Plan
from heddle.plan.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.engine.events import Event
    from heddle.engine.result import RunResult, RunStatus
    from heddle.engine.state import RunState
    from heddle.plan.findings import Finding

__all__ = ["plans_of", "retold"]


def retold(events: Sequence[Event], state: RunState | None = None) -> RunResult:
    """What a run has given so far.

    Its status is that of RunFinished; of a run that is not over, what its steps tell.

    Args:
        events: all of them.
        state: their fold, where somebody has it already.

    Cost: linear in the steps, and in the events where there is no state. Plans are made of the
    events when somebody looks at them.
    """
    state = fold(events) if state is None else state
    finished = state.finished
    created = next((event for event in events if isinstance(event, ev.RunCreated)), None)
    result = result_of(
        state,
        [],
        events,
        slots=(_concurrency(created), {}),
        answer=finished.answer if finished else None,
        error=None,
        status=_status(finished),
        findings=_findings(state),
    )
    error = result.error if finished is None else _error(result, finished, state)
    return replace(result, error=error, plans=_Plans(events))


def _findings(state: RunState) -> list[Finding]:
    """Those of all plans, by their rounds; of a round that was begun again, the last."""
    rounds = {round.round: round for round in state.rounds}
    return [finding for number in sorted(rounds) for finding in rounds[number].findings]


def _concurrency(created: ev.RunCreated | None) -> int:
    kept = created.limits.get("concurrency") if created is not None else None
    return kept if isinstance(kept, int) else Limits().concurrency


def _status(finished: ev.RunFinished | None) -> RunStatus | None:
    return finished.status if finished else None  # type: ignore[return-value]  # written by us


_EXITS = {"rejected": 3, "denied": 6, "unresolved": 7, "cancelled": 130}
"""Exit statuses that a run's status says."""


def _error(result: RunResult, finished: ev.RunFinished, state: RunState) -> RunError | None:
    """The run's error, with the remedy where the steps show it."""
    if not finished.code:
        return None
    seen = result.error if result.error and result.error.code == finished.code else None
    by_model = any(call.code == finished.code for call in state.calls)
    fault = seen or RunError(
        finished.code, "", exit_status=ModelError.exit_status if by_model else 1
    )
    exit_status = _EXITS.get(finished.status, fault.exit_status)
    return replace(fault, message=finished.message, exit_status=exit_status)


# -- plans ---------------------------------------------------------------------------------------


class _Plans(Sequence[Plan]):
    """The plans of a run, made of its events when somebody looks."""

    __hash__ = None  # type: ignore[assignment]  # plans can be changed

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events.copy() if isinstance(events, Record) else events

    @cached_property
    def _made(self) -> list[Plan]:
        return plans_of(self._events)

    def __len__(self) -> int:
        return len(self._made)

    @overload
    def __getitem__(self, place: int) -> Plan: ...
    @overload
    def __getitem__(self, place: slice) -> list[Plan]: ...
    def __getitem__(self, place: int | slice) -> Plan | list[Plan]:
        return self._made[place]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (_Plans, list)):
            return self._made == list(cast("Sequence[Plan]", other))
        return NotImplemented

    def __repr__(self) -> str:
        return repr(self._made)


def plans_of(events: Sequence[Event]) -> list[Plan]:
    """The plans of a run, nested ones included, as far as they came; in the order of their rounds.

    A round that was begun again, because nobody saw its end, counts once.

    Cost: linear.
    """
    plans: dict[int, Plan] = {}
    events = events.rare if isinstance(events, Record) else events
    for event in events:
        if (apply := _APPLY.get(type(event))) is not None:
            apply(plans, event)
    for event in events:
        if isinstance(event, ev.ModelCall) and event.role == "planner" and event.reply:
            _write(plans, event.round, event.reply["text"])
        elif isinstance(event, ev.RunCreated) and event.config.get("kind") == "plan":
            _write(plans, event.config["plan"]["round"], event.config["text"])
    return [plans[round] for round in sorted(plans)]


def _write(plans: dict[int, Plan], round: int, text: str) -> None:
    if round in plans:  # a reply that only answers is none
        plans[round].text = text


def _proposed(plans: dict[int, Plan], event: ev.PlanProposed) -> None:
    plans[event.round] = Plan(round=event.round, dialect=event.dialect)


def _accepted_step(plans: dict[int, Plan], event: ev.StepAccepted) -> None:
    plans[event.round].add(event.step)


def _hole(plans: dict[int, Plan], event: ev.HoleOpened) -> None:
    plan = plans[event.round]
    if event.hole.id in plan:
        plan.dig(event.hole)
    else:
        plan.add(event.hole)


def _filled(plans: dict[int, Plan], event: ev.HoleFilled) -> None:
    plans[event.round].fill(event.step)


def _found(plans: dict[int, Plan], event: ev.FindingReported) -> None:
    plan, finding = plans[event.round], event.finding
    own = (other for hole in plan.holes for other in hole.findings if other == finding)
    plan.findings.append(next(own, finding))  # that of a hole goes with it


def _accepted(plans: dict[int, Plan], event: ev.PlanAccepted) -> None:
    plans[event.round].output = decode(event.output)
    plans[event.round].close()


def _rejected(plans: dict[int, Plan], event: ev.PlanRejected) -> None:
    plans[event.round].close()


_APPLY: dict[type[Event], Callable[[dict[int, Plan], Any], None]] = {
    ev.PlanProposed: _proposed,
    ev.StepAccepted: _accepted_step,
    ev.HoleOpened: _hole,
    ev.HoleFilled: _filled,
    ev.FindingReported: _found,
    ev.PlanAccepted: _accepted,
    ev.PlanRejected: _rejected,
}
