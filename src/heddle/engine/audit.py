"""The audit: whether a run kept its promises, by its events alone.

It believes nobody: plans are put together again from the steps that were accepted, their hashes
computed anew, and each effect is held against the place that it claims to come from. That the
events are the ones that were written is not its business: whoever reads a journal verifies that.

    an effect has a place in an accepted plan      no-origin, wrong-origin
    it was written down before it began            no-intent
    a write is attempted once                      repeated-write
    all attempts carry one key                     changed-key
    nothing begins before what it depends on       too-early
    one result, and nothing after it               second-result, after-done
    the process that began it held the run         not-leased
    nobody had said no, and the run was not over   not-approved, after-the-end

>>> audit([]).violations
[]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from heddle.engine import events as ev
from heddle.plan.canonical import hash_of, prefix_hash
from heddle.plan.ir import Plan, Ref, Step, dependencies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from heddle.engine.events import Event

__all__ = ["Audit", "Violation", "audit"]

Place: TypeAlias = "tuple[str, int | None]"
"""A step's id, and the index of a map's element."""


class Violation(NamedTuple):
    """A promise that was broken.

    Attributes:
        seq: number of the event that shows it, in the order of the journal.
    """

    rule: str
    seq: int
    step: str
    element: int | None
    message: str


@dataclass(slots=True)
class Audit:
    """What came out.

    Attributes:
        events: how many were read.
        effects: places in plans that began an effect, each element of a map for itself.
        attempts: of all these effects together.
        orphans: attempts of effects that no accepted plan asked for.
        unresolved: writes that were begun and whose outcome nobody knows.
        resolved: effects whose outcome somebody else had to say, by who said it.
        processes: how many owned the run, one after the other; 0 where nobody says.
        finished: the run's status; "" for a run that is not over.
    """

    run_id: str = ""
    events: int = 0
    effects: int = 0
    attempts: int = 0
    orphans: int = 0
    processes: int = 0
    finished: str = ""
    unresolved: list[Place] = field(default_factory=list["Place"])
    resolved: dict[str, int] = field(default_factory=dict[str, int])
    violations: list[Violation] = field(default_factory=list[Violation])

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        found = {name: getattr(self, name) for name in self.__slots__}
        found["unresolved"] = [
            {"step": step, "element": element} for step, element in self.unresolved
        ]
        found["violations"] = [violation._asdict() for violation in self.violations]
        return found


def audit(events: Iterable[Event]) -> Audit:
    """Hold the events of a run against its promises.

    Cost: linear; what is kept is the plans and a few words for each effect.
    """
    auditor = _Auditor()
    for event in events:
        auditor.take(event)
    return auditor.outcome()


@dataclass(slots=True)
class _Effect:
    """What is known of an effect at one place.

    Attributes:
        open: whether an attempt was begun and has no outcome yet.
        again: whether another attempt may follow although it is a write: nothing has happened.
        called: whether the tool was, in the last attempt.
    """

    effect: str
    key: str
    attempts: set[int]
    open: bool = True
    again: bool = False
    called: bool = False


class _Auditor:
    """Takes events in order, and remembers what later ones are held against."""

    def __init__(self) -> None:
        self.found = Audit()
        self.plans: dict[int, Plan] = {}
        self.accepted: dict[int, str] = {}  # plan hashes by round, of closed and clean plans
        self.rounds: dict[str, int] = {}  # by step
        self.denied: set[str] = set()
        self.effects: dict[Place, _Effect] = {}
        self.effectful: set[str] = set()  # tools
        self.ended: dict[str, str] = {}
        self.has: set[Place] = set()  # places with a result, or that are over without one
        self.results: set[Place] = set()
        self.token = 0

    def take(self, event: Event) -> None:
        apply = _APPLY.get(type(event))
        if apply is not None:
            apply(self, event)
        self.found.events += 1

    def outcome(self) -> Audit:
        found = self.found
        found.effects = len(self.effects)
        found.unresolved = [
            place
            for place, effect in self.effects.items()
            if effect.open and effect.effect == "write"
        ]
        return found

    def blame(self, rule: str, step: str, element: int | None, message: str) -> None:
        self.found.violations.append(Violation(rule, self.found.events, step, element, message))

    def step(self, id: str) -> Step | None:
        """The step of that id in a plan that was accepted; None where there is none."""
        round = self.rounds.get(id)
        entry = self.plans[round][id] if round in self.accepted else None
        return entry if isinstance(entry, Step) else None


# -- the run -------------------------------------------------------------------------------------


def _created(self: _Auditor, event: ev.RunCreated) -> None:
    self.found.run_id = event.run_id


def _leased(self: _Auditor, event: ev.LeaseTaken) -> None:
    self.found.processes += 1
    self.found.finished = ""  # somebody goes on with it
    if event.token <= self.token:
        self.blame(
            "not-leased", "", None,
            f"the token {event.token} of {event.owner} is no later than {self.token}",
        )  # fmt: skip
    self.token = event.token


def _finished(self: _Auditor, event: ev.RunFinished) -> None:
    self.found.finished = event.status


# -- plans ---------------------------------------------------------------------------------------


def _proposed(self: _Auditor, event: ev.PlanProposed) -> None:
    """A plan, or the same one again because nobody saw its end."""
    again = [id for id, round in self.rounds.items() if round == event.round]
    for id in again:
        del self.rounds[id]
        self.ended.pop(id, None)
    gone = set(again)
    self.has = {place for place in self.has if place[0] not in gone}
    self.results = {place for place in self.results if place[0] not in gone}
    self.plans[event.round] = Plan(round=event.round)
    self.accepted.pop(event.round, None)


def _step_accepted(self: _Auditor, event: ev.StepAccepted) -> None:
    self.plans[event.round].add(event.step)
    self.rounds[event.step.id] = event.round


def _hole(self: _Auditor, event: ev.HoleOpened) -> None:
    plan = self.plans[event.round]
    if event.hole.id in plan:
        plan.dig(event.hole)
    else:
        plan.add(event.hole)
        self.rounds[event.hole.id] = event.round


def _filled(self: _Auditor, event: ev.HoleFilled) -> None:
    self.plans[event.round].fill(event.step)


def _plan_accepted(self: _Auditor, event: ev.PlanAccepted) -> None:
    plan = self.plans[event.round]
    made = "" if plan.holes else prefix_hash(plan, len(plan))
    if made != event.plan_hash:
        self.blame("wrong-origin", "", None, f"the plan of round {event.round} has another hash")
    self.accepted[event.round] = event.plan_hash


def _approval(self: _Auditor, event: ev.Approval) -> None:
    if event.decision == "denied":
        self.denied.add(event.subject_hash)
    else:
        self.denied.discard(event.subject_hash)


# -- effects -------------------------------------------------------------------------------------


def _intended(self: _Auditor, event: ev.StepIntent) -> None:
    self.found.attempts += 1
    _check_run(self, event)
    step = self.step(event.step)
    if _check_origin(self, event, step) and step is not None:
        self.effectful.add(step.tool)
        _check_order(self, event, step)
    known = self.effects.setdefault(
        (event.step, event.element), _Effect(event.effect, event.key, set())
    )
    if known.attempts:
        _check_again(self, event, known)
    _check_key(self, event)
    known.attempts.add(event.attempt)
    known.open, known.again, known.called = True, False, False


def _check_run(self: _Auditor, event: ev.StepIntent) -> None:
    """The run allowed it at that time."""
    place = event.step, event.element
    if event.lease != self.token:
        self.blame("not-leased", *place, f"begun under the token {event.lease}, not {self.token}")
    if self.found.finished:
        self.blame("after-the-end", *place, "begun after the run had ended")
    if self.accepted.get(event.origin.round) in self.denied:
        self.blame("not-approved", *place, "begun although its plan was denied")
    if self.ended.get(event.step) in ("done", "failed", "cancelled", "denied"):
        self.blame("after-done", *place, f"begun after step {event.step} had ended")


def _check_origin(self: _Auditor, event: ev.StepIntent, step: Step | None) -> bool:
    """It comes from where it says it comes from."""
    origin, plan = event.origin, self.plans.get(event.origin.round)
    if step is None or plan is None or event.step not in plan:
        rule, why = "no-origin", "no accepted plan has this step"
    elif (origin.run, origin.element) != (self.found.run_id, event.element):
        rule, why = "wrong-origin", f"it claims run {origin.run}, element {origin.element}"
    elif (n := plan.place(event.step) + 1) != origin.n or prefix_hash(plan, n) != origin.hash:
        rule, why = "wrong-origin", f"the plan up to this step is not the one it claims, at {n}"
    else:
        return True
    self.found.orphans += 1
    self.blame(rule, event.step, event.element, why)
    return False


def _check_order(self: _Auditor, event: ev.StepIntent, step: Step) -> None:
    """What it depends on had ended; of a map that follows another, the same element had."""
    over = step.over
    followed = over.step if isinstance(over, Ref) and not over.path else ""
    for id in dependencies(step):
        there = id in self.ended or (id == followed and (id, event.element) in self.has)
        if not there:
            self.blame("too-early", event.step, event.element, f"step {id} had not ended")


def _check_again(self: _Auditor, event: ev.StepIntent, known: _Effect) -> None:
    """A further attempt at the same place."""
    place = event.step, event.element
    if known.key != event.key:
        self.blame("changed-key", *place, f"attempt {event.attempt} has another key than before")
    if event.effect == "write" and not known.again:
        why = "another is under way or unknown" if known.open else "it has an outcome"
        self.blame("repeated-write", *place, f"attempt {event.attempt} of a write: {why}")
    if event.attempt in known.attempts:
        self.blame("repeated-write", *place, f"attempt {event.attempt} was begun before")


def _check_key(self: _Auditor, event: ev.StepIntent) -> None:
    round = self.rounds.get(event.step, event.origin.round)
    if event.key != hash_of([self.found.run_id, round, event.step, event.element]):
        self.blame("changed-key", event.step, event.element, "the key is not that of its place")


def _started(self: _Auditor, event: ev.StepStarted) -> None:
    known = self.effects.get((event.step, event.element))
    step = self.step(event.step)
    if known is None and (step is None or step.tool not in self.effectful):
        return
    if known is None or event.attempt not in known.attempts:
        why = f"attempt {event.attempt} began and was not written down before"
        self.blame("no-intent", event.step, event.element, why)
    else:
        known.called = True


# -- outcomes ------------------------------------------------------------------------------------


def _result(self: _Auditor, event: ev.StepResult) -> None:
    place = event.step, event.element
    if place in self.results:
        self.blame("second-result", *place, f"attempt {event.attempt} gave a second result")
    if self.ended.get(event.step) == "done":
        self.blame("after-done", *place, "a result after the step had ended")
    self.results.add(place)
    self.has.add(place)
    _close(self, place)


def _close(self: _Auditor, place: Place, *, again: bool = False) -> None:
    if (known := self.effects.get(place)) is not None:
        known.open, known.again = False, again


def _over(self: _Auditor, place: Place, status: str) -> None:
    """The end of a step leaves as it was whether it may be tried again: it may be opened again."""
    if (known := self.effects.get(place)) is not None:
        known.open = status == "unknown"
        known.again |= status == "skipped" and not known.called


def _doubt(self: _Auditor, place: Place) -> None:
    if (known := self.effects.get(place)) is not None:
        known.open = True


def _error(self: _Auditor, event: ev.StepError) -> None:
    place = event.step, event.element
    known = self.effects.get(place)
    _close(self, place, again=event.not_sent or (known is not None and not known.called))


def _late(self: _Auditor, event: ev.LateResult) -> None:
    if not event.failed:
        _close(self, (event.step, event.element))


def _resolved(self: _Auditor, event: ev.UnknownResolved) -> None:
    self.found.resolved[event.by] = self.found.resolved.get(event.by, 0) + 1
    _close(self, (event.step, event.element), again=event.outcome == "not-done")


def _unknown(self: _Auditor, event: ev.StepUnknown) -> None:
    _doubt(self, (event.step, event.element))


def _reopened(self: _Auditor, event: ev.StepReopened) -> None:
    self.ended.pop(event.step, None)


def _element_ended(self: _Auditor, event: ev.ElementEnded) -> None:
    self.has.add((event.step, event.element))
    _over(self, (event.step, event.element), event.status)


def _ended(self: _Auditor, event: ev.StepEnded) -> None:
    if self.ended.get(event.step) == "done":
        self.blame("after-done", event.step, None, "it ended a second time")
    self.ended[event.step] = event.status
    _over(self, (event.step, None), event.status)


_APPLY: dict[type[Event], Callable[[_Auditor, Any], None]] = {
    ev.RunCreated: _created,
    ev.LeaseTaken: _leased,
    ev.RunFinished: _finished,
    ev.PlanProposed: _proposed,
    ev.StepAccepted: _step_accepted,
    ev.HoleOpened: _hole,
    ev.HoleFilled: _filled,
    ev.PlanAccepted: _plan_accepted,
    ev.Approval: _approval,
    ev.StepIntent: _intended,
    ev.StepStarted: _started,
    ev.StepResult: _result,
    ev.StepError: _error,
    ev.LateResult: _late,
    ev.StepUnknown: _unknown,
    ev.UnknownResolved: _resolved,
    ev.StepReopened: _reopened,
    ev.ElementEnded: _element_ended,
    ev.StepEnded: _ended,
}
