"""The state of a run: the fold of its events, and the only reader of history.

>>> state = fold([])
>>> state.steps
{}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from heddle.engine import events as ev
from heddle.engine.elements import MapState, critical_ends
from heddle.plan.ir import MISSING, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from heddle.engine.events import Entry, Event, Status
    from heddle.plan.findings import Finding

__all__ = ["TAKES", "RoundState", "RunState", "StepState", "fold"]


@dataclass(slots=True)
class StepState:
    """What is known of a step. Times are seconds from the start of the run.

    Attributes:
        step: None while its place is a hole.
        value: the result; of a failed step with a default, the default; of a map, the list, null
            where an element has no value.
        code: the finer cause of a status other than done.
        message: why, in words.
        attempts: calls of its tool; of a map, those of all elements.
        map: its elements, once their number is known.
        expanded: whether it ran a nested plan, whose steps stand for themselves.
    """

    id: str
    round: int
    step: Step | None = None
    status: Status = "waiting"
    value: Any = None
    code: str = ""
    message: str = ""
    attempts: int = 0
    ready_s: float | None = None
    started_s: float | None = None
    finished_s: float | None = None
    map: MapState | None = None
    expanded: bool = False

    @property
    def has_value(self) -> bool:
        """Whether dependents see a value: a result, or the default of a failed step."""
        if self.status != "failed" or self.step is None:
            return self.status == "done"
        if self.step.over is not MISSING:
            return self.map is not None and self.map.whole
        return self.step.default is not MISSING

    @property
    def ran_s(self) -> float:
        """Seconds from the start of the last attempt to the end; 0 if it never started."""
        if self.started_s is None or self.finished_s is None:
            return 0.0
        return self.finished_s - self.started_s

    @property
    def work_s(self) -> float:
        """Seconds that its calls took, one after the other; of a map, all elements' together."""
        if self.expanded:
            return 0.0
        return self.ran_s if self.map is None else sum(self.map.seconds)


@dataclass(slots=True)
class RoundState:
    """One plan of the run.

    Attributes:
        parent: the step that expands it; "" for a plan of the run itself.
        given_up: another strategy was chosen while it was being written.
    """

    round: int
    dialect: str
    proposed_s: float
    closed_s: float | None = None
    accepted: bool = False
    plan_hash: str = ""
    output: Any = None
    findings: list[Finding] = field(default_factory=list["Finding"])
    parent: str = ""
    given_up: bool = False


@dataclass(slots=True)
class RunState:
    """Everything that the events say so far.

    Attributes:
        kind: "plan" or "agent", where the run can be gone on with.
        steps: by id, in plan order, rounds one after the other.
        done: how many steps have a result.
        calls: finished model calls of the run itself.
        metered: results of steps whose tools asked models of their own accord.
        asking: model calls that have started and not ended, by number.
        joins: (started, ended) of each join, in seconds; ended is None while it lasts.
        answered: the round whose join gave the answer; None where no join did.
        critical_s: of a run that is over, its critical path, once somebody has asked for it: to
            find it, all arguments of all steps are looked through.
    """

    run_id: str = ""
    kind: str = ""
    strategy: str = ""
    reasons: tuple[str, ...] = ()
    rounds: list[RoundState] = field(default_factory=list[RoundState])
    steps: dict[str, StepState] = field(default_factory=dict[str, StepState])
    done: int = 0
    calls: list[ev.ModelCall] = field(default_factory=list[ev.ModelCall])
    asking: dict[int, ev.ModelStarted] = field(default_factory=dict[int, ev.ModelStarted])
    metered: list[ev.StepResult | ev.LateResult] = field(
        default_factory=list["ev.StepResult | ev.LateResult"]
    )
    answered: int | None = None
    joins: list[tuple[float, float | None]] = field(
        default_factory=list[tuple[float, "float | None"]]
    )
    cancelled: str = ""
    finished: ev.RunFinished | None = None
    last_s: float = 0.0
    critical_s: float | None = field(default=None, compare=False)

    def apply(self, event: Event) -> None:
        """Take one event into the state. Cost: O(1)."""
        self.last_s, self.critical_s = event.at, None
        apply = _APPLY.get(type(event))
        if apply is not None:
            apply(self, event)

    def take(self, entry: Entry) -> None:
        """Take an event as a log's record keeps it, or as it is. Cost: O(1)."""
        if entry.__class__ is tuple:
            self.last_s = entry[1]  # type: ignore[assignment]
            TAKES[entry[0]](self, *entry)  # type: ignore[index]
        else:
            self.apply(cast("Event", entry))

    def take_all(self, entries: Iterable[Entry]) -> None:
        """Take entries, of which there may be millions. Cost: linear."""
        for entry in entries:
            if entry.__class__ is tuple:
                self.last_s = entry[1]  # type: ignore[assignment]
                TAKES[entry[0]](self, *entry)  # type: ignore[index]
            else:
                self.apply(cast("Event", entry))

    @property
    def last_round(self) -> RoundState | None:
        """The plan of the run itself that counts: the one that gave the answer, or the last."""
        if self.answered is not None:
            return self.numbered(self.answered)
        return next((round for round in reversed(self.rounds) if not round.parent), None)

    def numbered(self, round: int) -> RoundState:
        """The plan of that round; the last one where there is none of that number."""
        found = (item for item in reversed(self.rounds) if item.round == round)
        return next(found, self.rounds[-1])

    def is_cut_off(self, round: RoundState) -> bool:
        """Whether a plan was being written, or stands in such a one, and will not be gone on with.

        One that came out as a result is gone on with, as long as the step that it came from is.
        """
        if not round.parent:
            return round.closed_s is None
        return round.parent not in self.steps or self.is_cut_off(
            self.numbered(self.steps[round.parent].round)
        )

    def forget(self, round: RoundState) -> None:
        """Take a plan back, with all of its steps."""
        self.rounds.remove(round)
        for step in self.of_round(round.round):
            self.turn(step, "waiting")
            del self.steps[step.id]

    def turn(self, step: StepState, status: Status) -> None:
        """Give a step a status, and count."""
        self.done += (status == "done") - (step.status == "done")
        step.status = status

    def of_round(self, round: int) -> list[StepState]:
        """The steps of one round, in plan order."""
        return [step for step in self.steps.values() if step.round == round]

    def critical_path_s(self) -> float:
        """The longest chain of calls by the time they ran, waiting excluded.

        Cost: linear; of a run that is over, once.
        """
        if self.critical_s is not None:
            return self.critical_s
        longest = max((end for end, _ in self._ends().values()), default=0.0)
        self.critical_s = longest if self.finished is not None else None
        return longest

    def critical_path(self) -> list[str]:
        """The ids of the steps on the longest chain, first to last. Cost: linear."""
        ends = self._ends()
        path: list[str] = []
        here = max(ends, key=lambda id: ends[id][0], default="")
        while here:
            path.append(here)
            here = ends[here][1]
        return path[::-1]

    def _ends(self) -> dict[str, tuple[float, str]]:
        """The chains of the run's own plans, each nested plan within the step that expands it."""
        nested = {round.round: round.parent for round in self.rounds if round.parent}
        inner: dict[str, float] = {}
        for number in sorted(nested, reverse=True):  # inner ones began later
            ends = critical_ends({step.id: step for step in self.of_round(number)}, inner)
            longest = max((end for end, _ in ends.values()), default=0.0)
            inner[nested[number]] = max(longest, inner.get(nested[number], 0.0))
        own = {id: step for id, step in self.steps.items() if step.round not in nested}
        return critical_ends(own, inner)


def fold(entries: Iterable[Entry]) -> RunState:
    """The state after these events. Cost: linear."""
    state = RunState()
    state.take_all(entries)
    return state


def _created(state: RunState, event: ev.RunCreated) -> None:
    state.run_id = event.run_id
    state.kind = event.config.get("kind", "")


def _leased(state: RunState, _: ev.LeaseTaken) -> None:
    """What was cut off, if anything was: nobody waits for it any more."""
    state.asking.clear()
    state.finished, state.cancelled = None, ""
    if state.kind != "plan":  # a plan that was handed over is still there
        for round in [round for round in state.rounds if state.is_cut_off(round)]:
            state.forget(round)
    for step in state.steps.values():
        if step.status in ("ready", "running"):
            step.status = "waiting"
            if step.map is not None:
                step.map.running.clear()


def _strategy(state: RunState, event: ev.StrategyChosen) -> None:
    state.strategy, state.reasons = event.strategy, event.reasons
    if (last := state.last_round) is not None and last.closed_s is None:
        last.given_up = True  # while it was being written: nobody goes on with it


def _cancelled(state: RunState, event: ev.CancelRequested) -> None:
    if not event.scope:
        state.cancelled = event.reason


def _finished(state: RunState, event: ev.RunFinished) -> None:
    state.finished = event


def _proposed(state: RunState, event: ev.PlanProposed) -> None:
    state.rounds.append(RoundState(event.round, event.dialect, event.at, parent=event.parent))
    if event.parent in state.steps:
        state.steps[event.parent].expanded = True


def _accepted_step(state: RunState, event: ev.StepAccepted) -> None:
    state.steps[event.step.id] = StepState(event.step.id, event.round, event.step)


def _found(state: RunState, event: ev.FindingReported) -> None:
    state.numbered(event.round).findings.append(event.finding)


def _hole(state: RunState, event: ev.HoleOpened) -> None:
    if event.hole.id in state.steps:
        state.steps[event.hole.id].step = None
    else:
        state.steps[event.hole.id] = StepState(event.hole.id, event.round)


def _filled(state: RunState, event: ev.HoleFilled) -> None:
    state.steps[event.step.id].step = event.step


def _plan_accepted(state: RunState, event: ev.PlanAccepted) -> None:
    last = state.numbered(event.round)
    last.closed_s, last.accepted = event.at, True
    last.plan_hash, last.output = event.plan_hash, event.output


def _plan_rejected(state: RunState, event: ev.PlanRejected) -> None:
    state.numbered(event.round).closed_s = event.at


def _ready(state: RunState, _: int, at: float, id: str) -> None:
    step = state.steps[id]
    step.status, step.ready_s = "ready", at


def _started(
    state: RunState, _: int, at: float, id: str, attempt: int, element: int | None
) -> None:
    step = state.steps[id]
    step.status = "running"
    if element is None or step.map is None:
        step.started_s, step.attempts = at, attempt
        return
    step.attempts += 1
    step.started_s = at if step.started_s is None else step.started_s
    step.map.started(element, at)


def _expanded(state: RunState, event: ev.MapExpanded) -> None:
    state.steps[event.step].map = MapState(event.n)


def _element_ended(state: RunState, event: ev.ElementEnded) -> None:
    step = state.steps[event.step]
    if step.map is not None:
        default = MISSING if step.step is None else step.step.default
        step.map.ended(event, default)


def _result(state: RunState, _: int, *fields: Any) -> None:
    at, id, _attempt, value, element, usage = fields[:6]
    step = state.steps[id]
    if element is None or step.map is None:
        step.value = value
    else:
        step.map.gave(element, at, value)
    if usage is not None:
        state.metered.append(ev.StepResult(*fields))


def _late(state: RunState, event: ev.LateResult) -> None:
    if event.usage is not None:
        state.metered.append(event)
    if event.failed:
        return
    step = state.steps[event.step]
    if event.element is not None and step.map is not None:
        step.map.learned(event.element, event.value)
    if step.status != "unknown" or not (step.map is None or step.map.whole):
        return
    if step.map is None:
        step.value = event.value
    state.turn(step, "done")
    step.code = step.message = ""


def _reopened(state: RunState, event: ev.StepReopened) -> None:
    step = state.steps[event.step]
    state.turn(step, "waiting")
    step.code, step.message, step.finished_s = "", "", None
    if step.map is None:
        return
    step.map.reopen()
    if not (step.attempts or step.map.ended_count):  # opened while the run was being stopped
        step.map = step.value = None


def _error(state: RunState, event: ev.StepError) -> None:
    step = state.steps[event.step]
    elements = step.map
    if event.element is None or elements is None:
        if event.retryable:
            step.status = "ready"
        else:
            step.message = event.message
    elif event.retryable:
        elements.paused(event.element)
    else:
        elements.messages[event.element] = event.message


def _ended(state: RunState, _: int, at: float, id: str, status: Status, code: str) -> None:
    step = state.steps[id]
    if status == "done":
        state.done += 1
    step.status, step.code, step.finished_s = status, code, at
    if step.map is not None:
        step.value = step.map.values
        step.map.running.clear()
    elif status == "failed" and step.has_value:
        assert step.step is not None
        step.value = step.step.default


def _asked(state: RunState, event: ev.ModelStarted) -> None:
    state.asking[event.call] = event


def _called(state: RunState, event: ev.ModelCall) -> None:
    state.asking.pop(event.call, None)
    state.calls.append(event)


def _join_started(state: RunState, event: ev.JoinStarted) -> None:
    state.joins.append((event.at, None))


def _joined(state: RunState, event: ev.JoinResult) -> None:
    state.joins[-1] = (state.joins[-1][0], event.at)
    if event.decision == "finish":
        state.answered = event.round


TAKES: tuple[Callable[..., None], ...] = (_ready, _started, _result, _ended)
"""How the events that each step has are taken, by their numbers, with these and all their fields:
four calls a step, so that nothing is made for them."""


def _frequent(number: int) -> Callable[[RunState, Any], None]:
    take = TAKES[number]
    return lambda state, event: take(state, number, *event)


_APPLY: dict[type[Event], Callable[[RunState, Any], None]] = {
    **{kind: _frequent(number) for number, kind in enumerate(ev.FREQUENT)},
    ev.RunCreated: _created,
    ev.LeaseTaken: _leased,
    ev.StrategyChosen: _strategy,
    ev.CancelRequested: _cancelled,
    ev.RunFinished: _finished,
    ev.PlanProposed: _proposed,
    ev.StepAccepted: _accepted_step,
    ev.FindingReported: _found,
    ev.HoleOpened: _hole,
    ev.HoleFilled: _filled,
    ev.PlanAccepted: _plan_accepted,
    ev.PlanRejected: _plan_rejected,
    ev.MapExpanded: _expanded,
    ev.ElementEnded: _element_ended,
    ev.LateResult: _late,
    ev.StepReopened: _reopened,
    ev.StepError: _error,
    ev.ModelStarted: _asked,
    ev.ModelCall: _called,
    ev.JoinStarted: _join_started,
    ev.JoinResult: _joined,
}
