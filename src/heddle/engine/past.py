"""The past of a run: what its journal remembers, as those ask it who go on with the run.

    journal ──events──▶ Past ──▶ scheduler     what has ended keeps its value; what is in doubt
                             ──▶ round         what was said is not said again
                             ──▶ asker         replies that were paid for
                             ──▶ conversation  which rounds there were, and how far they went

What had begun and has no end was cut off when its process died. An attempt is judged by its effect:
`doubtful` says which.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from heddle.engine import events as ev
from heddle.engine.faults import RESOLVED_FAILED
from heddle.engine.killers import Deaths, deaths_of
from heddle.engine.record import Record
from heddle.engine.retold import plans_of
from heddle.engine.settings import plan_in
from heddle.engine.state import TAKES, RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from heddle.engine.events import Entry, Event, Status
    from heddle.engine.state import StepState
    from heddle.plan.ir import Plan

__all__ = ["Outcome", "Past", "Place"]

Place: TypeAlias = "tuple[str, int | None]"
"""A step's id, and the index of a map's element."""


class Outcome(NamedTuple):
    """How an attempt came out."""

    status: Status
    value: Any = None
    code: str = ""
    message: str = ""


class Past:
    """What the events of a run say, for those who go on with it.

    Args:
        entries: all of them, in order.

    Attributes:
        created: how the run began.
        events: all of them.
        state: their fold; what was cut off is in it as it stood.
        attempts: by place, the number of the last attempt.
        doubtful: attempts of effects that have no outcome, by place: it is not known whether they
            have happened.
        unknown: writes whose step, or element, has ended as unknown, by place: their last attempts.
        reopened: steps whose end is taken back, so that they can be gone on with.
        ending: by place, how the last attempt came out, where only the event is lost that says that
            the step, or the element, is over.
        given: by map, the elements that have a value.
        last_round: the greatest number that a round was ever given.
        model_calls: how many models were asked.
        deaths: with which steps its last processes died, if it is not over.
        nested: by the place that expands it, the number of a plan that came out as a result.

    Cost: linear.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.events = Record(entries)
        self.state = RunState()
        self.created: ev.RunCreated | None = None
        self.attempts: dict[Place, int] = {}
        self.doubtful: dict[Place, ev.StepIntent] = {}
        self.unknown: dict[Place, ev.StepIntent] = {}
        self.reopened: list[str] = []
        self.ending: dict[Place, Outcome] = {}
        self.given: dict[str, set[int]] = {}
        self.nested: dict[Place, int] = {}
        self.approvals: dict[str, list[bool]] = {}
        self._said: set[tuple[Any, ...]] = set()
        self._plans: dict[int, Plan] | None = None
        self.last_round = self.model_calls = 0
        self._fold()
        self.deaths = Deaths(0, {})
        if self.state.finished is None:
            self.deaths = deaths_of(self.events.kept, self.nested)
            self._cut_off(ev.LeaseTaken(self.state.last_s, "", 0))

    def _fold(self) -> None:
        """Take all entries; one loop, because there may be millions of frequent ones."""
        state = self.state
        for entry in self.events.kept:
            if entry.__class__ is tuple:
                state.last_s = entry[1]  # type: ignore[assignment]
                kind: int = entry[0]  # type: ignore[assignment]
                TAKES[kind](state, *entry)
                _FREQUENT[kind](self, *entry)
            else:
                self._take(cast("Event", entry))

    def _take(self, event: Event) -> None:
        if isinstance(event, ev.LeaseTaken):
            self._cut_off(event)
            return
        self.state.apply(event)
        if (take := _TAKE.get(type(event))) is not None:
            take(self, event)

    def _cut_off(self, event: ev.LeaseTaken) -> None:
        """A process has died: forget the plans that were being written."""
        rounds = {round.round for round in self.state.rounds}
        steps = set(self.state.steps)
        self.state.apply(event)
        rounds -= {round.round for round in self.state.rounds}
        if not rounds:
            return
        steps -= self.state.steps.keys()
        self._said = {key for key in self._said if key[1] not in rounds and key[1] not in steps}
        for known in (self.attempts, self.doubtful, self.ending, self.nested):
            for place in [place for place in known if place[0] in steps]:
                del known[place]
        for id in steps:
            self.given.pop(id, None)

    @property
    def last_s(self) -> float:
        """Seconds of the run's clock at the last event."""
        return self.state.last_s

    @cached_property
    def handed(self) -> Plan:
        """The plan that the run was handed; only of one that was."""
        assert self.created is not None
        return plan_in(self.created.config)

    def plan(self, round: int) -> Plan:
        """The plan of a round, as far as it came."""
        if self._plans is None:
            self._plans = {plan.round: plan for plan in plans_of(self.events)}
        return self._plans[round]

    def doubt(self, place: Place) -> None:
        """A write that is unknown is in doubt again: somebody may say what became of it."""
        self.ending.pop(place, None)
        self.doubtful[place] = self.unknown.pop(place)

    def reopen(self, ids: Sequence[str]) -> None:
        """Take back how these steps ended; their writes are in doubt again."""
        again = set(ids)
        for place in [place for place in self.unknown if place[0] in again]:
            self.doubt(place)
        for id in ids:
            self.state.apply(ev.StepReopened(self.last_s, id))
        self.reopened += ids

    def tool_of(self, id: str) -> str:
        """The tool of a step; "" of one that is not known."""
        state = self.state.steps.get(id)
        return state.step.tool if state is not None and state.step is not None else ""

    def ended(self, id: str) -> StepState | None:
        """What is known of a step that is over; None of any other."""
        step = self.state.steps.get(id)
        return step if step is not None and step.status in ev.TERMINAL else None

    def said(self, event: Event) -> bool:
        """Whether the journal has this event of a plan already."""
        return _key(event) in self._said

    def approved(self, plan_hash: str) -> bool | None:
        """What was decided on a plan, once for each time that it was asked; None: ask."""
        decisions = self.approvals.get(plan_hash)
        return decisions.pop(0) if decisions else None


def _key(event: Any) -> tuple[Any, ...]:
    """What makes an event of a plan the same event."""
    kind = cast("type[Event]", type(event))
    if kind is ev.FindingReported:
        return kind, event.round, event.finding
    if kind is ev.MapExpanded:
        return kind, event.step
    if kind is ev.HoleOpened:
        return kind, event.round, event.hole.id
    if kind is ev.StepAccepted or kind is ev.HoleFilled:
        return kind, event.round, event.step.id
    return kind, event.round


def _say(past: Past, event: Event) -> None:
    past._said.add(_key(event))  # pyright: ignore[reportPrivateUsage]


def _created(past: Past, event: ev.RunCreated) -> None:
    past.created = event


def _asked(past: Past, event: ev.ModelStarted) -> None:
    past.model_calls = max(past.model_calls, event.call)
    past.last_round = max(past.last_round, event.round)


def _proposed(past: Past, event: ev.PlanProposed) -> None:
    _say(past, event)
    past.last_round = max(past.last_round, event.round)
    if event.parent:
        past.nested[event.parent, event.element] = event.round


def _approval(past: Past, event: ev.Approval) -> None:
    past.approvals.setdefault(event.subject_hash, []).append(event.decision == "granted")


def _intended(past: Past, event: ev.StepIntent) -> None:
    _started(past, 0, event.at, event.step, event.attempt, event.element)
    past.unknown.pop((event.step, event.element), None)
    past.doubtful[event.step, event.element] = event


def _ready(*_: Any) -> None:
    """Nothing has begun."""


def _started(past: Past, _: int, at: float, id: str, attempt: int, element: int | None) -> None:
    past.attempts[id, element] = attempt
    if past.ending:
        past.ending.pop((id, element), None)


def _result(
    past: Past, _: int, at: float, id: str, attempt: int, value: Any, element: int | None, *__: Any
) -> None:
    if past.doubtful:
        past.doubtful.pop((id, element), None)
    if element is None:
        past.ending[id, None] = Outcome("done", value)
    else:
        past.given.setdefault(id, set()).add(element)


def _late(past: Past, event: ev.LateResult) -> None:
    if event.failed:
        return
    place = event.step, event.element
    past.doubtful.pop(place, None)
    if past.unknown.pop(place, None) is None:
        return  # a value that came after the attempt was given up
    state = past.state.steps[event.step]
    if event.element is not None and state.map and event.element not in state.map.faults:
        past.given.setdefault(event.step, set()).add(event.element)


def _error(past: Past, event: ev.StepError) -> None:
    place = event.step, event.element
    past.doubtful.pop(place, None)
    if not (event.retryable or place in past.ending):  # which says that it is unknown
        past.ending[place] = Outcome("failed", None, event.code, event.message)


def _unknown(past: Past, event: ev.StepUnknown) -> None:
    place = event.step, event.element
    if place in past.doubtful:
        past.unknown[place] = past.doubtful.pop(place)
    message = past.state.steps[event.step].message
    past.ending[place] = Outcome("unknown", None, event.reason, message)


def _resolved(past: Past, event: ev.UnknownResolved) -> None:
    place = event.step, event.element
    past.ending.pop(place, None)
    intent = past.unknown.pop(place, None)
    if event.outcome == "failed":
        past.ending[place] = Outcome("failed", None, RESOLVED_FAILED, "it was said to have failed")
    elif event.outcome == "done" and intent is not None:
        past.doubtful[place] = intent  # until its value is there


def _reopened(past: Past, event: ev.StepReopened) -> None:
    for place in [place for place in past.unknown if place[0] == event.step]:
        past.doubtful[place] = past.unknown.pop(place)


def _ended(past: Past, _: int, at: float, id: str, status: Status, code: str) -> None:
    _over(past, (id, None), status)


def _element_ended(past: Past, event: ev.ElementEnded) -> None:
    _over(past, (event.step, event.element), event.status)


def _over(past: Past, place: Place, status: Status) -> None:
    past.ending.pop(place, None)
    if status == "skipped":  # its intent was written down, and its tool was not called any more
        past.doubtful.pop(place, None)


_FREQUENT: tuple[Callable[..., None], ...] = (_ready, _started, _result, _ended)
"""How the events that each step has are taken: as `state` takes them."""


def _frequent(number: int) -> Callable[[Past, Any], None]:
    take = _FREQUENT[number]
    return lambda past, event: take(past, number, *event)


_TAKE: dict[type[Event], Callable[[Past, Any], None]] = {
    **{kind: _frequent(number) for number, kind in enumerate(ev.FREQUENT)},
    ev.RunCreated: _created,
    ev.PlanProposed: _proposed,
    ev.ModelStarted: _asked,
    ev.StepAccepted: _say,
    ev.FindingReported: _say,
    ev.HoleOpened: _say,
    ev.HoleFilled: _say,
    ev.PlanAccepted: _say,
    ev.PlanRejected: _say,
    ev.MapExpanded: _say,
    ev.Approval: _approval,
    ev.StepIntent: _intended,
    ev.LateResult: _late,
    ev.StepError: _error,
    ev.StepUnknown: _unknown,
    ev.UnknownResolved: _resolved,
    ev.StepReopened: _reopened,
    ev.ElementEnded: _element_ended,
}
