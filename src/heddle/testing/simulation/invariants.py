"""Promises: what must hold after every run, whatever went wrong in it.

Each is a small function over what is left when all is over: the journal, and the record of what has
happened outside. It gives what it found to be broken, in words. Neither believes the other: an
effect that the journal does not know of is as much a fault as one that happened twice.

    I1   every effect was asked for by one place in an accepted plan, and written down before
    I2   a write happens at most once, over all lives of the program
    I3   an idempotent effect has one key, and no two places share one
    I4   a step begins after all that it depends on has ended
    I5   nothing that has ended is called again
    I6   no more calls are in flight than the limits allow, at any instant
    I7   no provider is asked more often than its allowance, in any minute
    I8   no more calls are made, and no more is spent, than the budget allows
    I9   a step is skipped only because of a step that it depends on
    I10  the run ends, once, by its deadline and the grace after it
    I11  going on with a run that is over changes nothing
    I12  each step ended as the reference interpreter says, given the same calls
    I13  nothing is left running, and no error goes unseen
    I14  labels; there are none yet, so none may stand in an event
    I15  a reply is taken from the journal where the same would be asked, word for word

I14 says little today: labels come with policies.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from heddle.engine.audit import audit
from heddle.engine.events import (
    HoleFilled,
    LateResult,
    LeaseTaken,
    MapExpanded,
    ModelCall,
    ModelStarted,
    PlanAccepted,
    PlanProposed,
    PlanRejected,
    RunFinished,
    SpeculationStarted,
    StepAccepted,
    StepEnded,
    StepIntent,
    StepResult,
    StepStarted,
    UnknownResolved,
)
from heddle.engine.map_run import streams_over
from heddle.engine.state import fold
from heddle.plan.canonical import hash_of
from heddle.plan.ir import MISSING, Choose, Step, dependencies, nodes_of
from heddle.plan.limits import Limits
from heddle.testing.reference import Fails, Hangs, Outcome, Skips, interpret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from heddle.engine.events import Event
    from heddle.engine.state import RunState, StepState
    from heddle.plan.spec import ToolSpec
    from heddle.testing.simulation.outside import Call, Outside
    from heddle.testing.simulation.planners import Reread

__all__ = ["INVARIANTS", "Evidence", "Violation", "violations"]

Place: TypeAlias = "tuple[str, int | None]"
"""A step's id, and the index of a map's element."""

_EXCUSES: Final = frozenset(
    (
        "deadline",
        "not-needed",
        "plan-unclean",
        "denied",
        "over-budget",
        "cancelled",
        "undecided",
        "repeats-unknown",
    )
)
"""Codes of endings that come from the run, and not from the plan."""

_PLANS_OWN: Final = frozenset(("bad-path", "bad-guard", "not-a-list", "too-wide"))
"""Codes of failures that no call can have."""


class Violation(NamedTuple):
    """A promise that was broken: its name, and where and how."""

    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


@dataclass
class Evidence:
    """What is left when all lives are over.

    Attributes:
        events: the journal.
        outside: the record of what has happened.
        specs: the tools, by name.
        known: for each life, how many events of the journal there were when it began.
        leaked: tasks that were left when a life ended that did not die.
        complaints: errors that nobody saw.
        again: what going on with the finished run gave, and what it gave before; None if nobody
            tried.
        calls_before: how many calls there had been when that was tried.
        reread: replies that were taken from the journal.
        gone_on: the result of a run that ended unresolved although more was known by then, and what
            going on with it gave; None if there was no such run.
    """

    events: Sequence[Event]
    outside: Outside
    specs: Mapping[str, ToolSpec]
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    limits: Limits = field(default_factory=Limits)
    known: Sequence[int] = ()
    leaked: Sequence[str] = ()
    complaints: Sequence[str] = ()
    again: tuple[Any, Any] | None = None
    calls_before: int = 0
    reread: Sequence[Reread] = ()
    gone_on: tuple[Any, Any] | None = None

    @cached_property
    def state(self) -> RunState:
        """The fold of the journal."""
        return fold(self.events)

    @cached_property
    def steps(self) -> list[Step]:
        """The steps of accepted plans, in plan order."""
        accepted = {event.round for event in self.events if isinstance(event, PlanAccepted)}
        state = self.state.steps
        return [
            step.step for step in state.values() if step.round in accepted and step.step is not None
        ]

    @cached_property
    def lasting(self) -> list[Event | None]:
        """The events, with None in the place of those about steps that nobody saw accepted.

        A plan that was being written when its process died is written anew, under the same number.
        """
        return self._written[0]

    @property
    def unheld(self) -> list[Step]:
        """The steps of plans that were not accepted, or cut off while they were written."""
        return self._written[1]

    @cached_property
    def _written(self) -> tuple[list[Event | None], list[Step]]:
        lasting: list[Event | None] = list(self.events)
        unheld: list[Step] = []
        begun: dict[int, tuple[int, list[Step]]] = {}  # by round
        for n, event in enumerate(self.events):
            if isinstance(event, PlanProposed):
                begun[event.round] = n, []
            elif isinstance(event, (StepAccepted, HoleFilled)) and event.round in begun:
                begun[event.round][1].append(event.step)
            elif isinstance(event, PlanAccepted):
                begun.pop(event.round, None)
            elif isinstance(event, PlanRejected):
                unheld += begun.pop(event.round, (n, []))[1]
            elif isinstance(event, LeaseTaken):
                for start, steps in begun.values():
                    unheld += steps
                    ids = {step.id for step in steps}
                    for place in range(start, n):
                        about: Any = getattr(self.events[place], "step", None)
                        if isinstance(about, str) and about in ids:
                            lasting[place] = None
                begun.clear()
        return lasting, unheld

    @cached_property
    def overtaken(self) -> set[str]:
        """Steps whose write was known to be done only when others had been skipped for it.

        All that depends on them is among them, by results as by choices.
        """
        found = {event.step for event in self.events if isinstance(event, LateResult)}
        for step in self.steps:
            chosen = (node for node in nodes_of([step.args, step.over]) if isinstance(node, Choose))
            options = {ref.step for choice in chosen for ref in choice.options}
            if found & {*dependencies(step), *options}:
                found.add(step.id)
        return found

    @cached_property
    def asked(self) -> dict[Place, tuple[str, str]]:
        """Tool and arguments of each place, as the reference interpreter fills them."""
        return self.judged[1]

    @cached_property
    def judged(
        self,
    ) -> tuple[dict[str, Outcome], dict[Place, tuple[str, str]], list[tuple[str, str]]]:
        """How each step should have ended, what it should have asked, and what is wrong with it."""
        judge = _Judge(self)
        imposed: dict[Place, Outcome] = {}
        for id, step in self.state.steps.items():
            if step.code in _EXCUSES:
                imposed[id, None] = _outcome(step)
            items = enumerate(_items(step) or ())
            imposed |= {(id, place): item for place, item in items if item.code in _EXCUSES}
        outcomes = interpret(
            self.steps, judge.call, inputs=self.inputs, writes=judge.writes, imposed=imposed
        )
        return outcomes, judge.asked, judge.faults

    @property
    def effects(self) -> Iterator[tuple[Place, Call]]:
        """Effects that have happened, with the places that asked for them."""
        for call in self.outside.calls:
            if call.happened and call.place is not None:
                yield call.place[1:], call


# -- effects -------------------------------------------------------------------------------------


def i1_origin(found: Evidence) -> Iterator[str]:
    """Every effect was asked for by one place in an accepted plan, and written down before."""
    intents: dict[tuple[Place, str], set[str]] = defaultdict(set)
    for event in found.events:
        if isinstance(event, StepIntent):
            intents[(event.step, event.element), event.key].add(event.origin.hash)
    for place, call in found.effects:
        origins = intents.get((place, call.key))
        if origins is None:
            yield f"{call.tool} has happened for {_said(place)}, and no intent says so"
        elif len(origins) > 1:
            yield f"{_said(place)} has {len(origins)} origins"
    for broken in audit(found.events).violations:
        yield f"{_said((broken.step, broken.element))}: {broken.rule}: {broken.message}"


def i2_writes(found: Evidence) -> Iterator[str]:
    """A write happens at most once, over all lives of the program."""
    times = Counter(place for place, call in found.effects if call.effect == "write")
    for place, count in times.items():
        if count > 1:
            yield f"the write of {_said(place)} has happened {count} times"


def i3_keys(found: Evidence) -> Iterator[str]:
    """An idempotent effect has one key, and no two places share one."""
    keys: dict[Place, set[str]] = defaultdict(set)
    owners: dict[str, set[Place]] = defaultdict(set)
    for call in found.outside.calls:
        if call.place is not None:
            keys[call.place[1:]].add(call.key)
            owners[call.key].add(call.place[1:])
    for place, several in keys.items():
        if len(several) > 1:
            yield f"{_said(place)} was called under {len(several)} keys"
    for key, places in owners.items():
        if len(places) > 1:
            yield f"the key {key[:12]}… is that of {' and of '.join(map(_said, places))}"


# -- order ---------------------------------------------------------------------------------------


def i4_order(found: Evidence) -> Iterator[str]:
    """A step begins after all that it depends on has ended; a map may follow another's elements."""
    needs = {step.id: _needs(step) for step in found.steps}
    ended: set[str] = set()
    opened: set[str] = set()
    for event in found.lasting:
        if isinstance(event, StepEnded):
            ended.add(event.step)
        elif isinstance(event, MapExpanded):
            opened.add(event.step)
        elif isinstance(event, (StepStarted, StepIntent)):
            strict, followed = needs.get(event.step, ((), ""))
            missing = [id for id in strict if id not in ended]
            if followed and followed not in ended and followed not in opened:
                missing.append(followed)
            if missing:
                yield f"step {event.step} began before {', '.join(missing)} had ended"


def _needs(step: Step) -> tuple[tuple[str, ...], str]:
    """What must have ended before a step, and the map whose elements it may follow."""
    followed = streams_over(step)[0] if step.over is not MISSING else ""
    return tuple(id for id in dependencies(step) if id != followed), followed


def i5_never_again(found: Evidence) -> Iterator[str]:
    """Nothing that had ended before a life began is called in it.

    A call that was begun before its step's guard was known may be the same as one that has ended:
    results are shared by those who ask for them at the same time, and not across lives. So may one
    of a plan that was not accepted.
    """
    if len(found.known) < 2:
        return
    guesses = {
        (event.tool, event.args_hash)
        for event in found.events
        if isinstance(event, SpeculationStarted)
    }
    users: dict[tuple[str, str], list[Place]] = defaultdict(list)
    for place, asked in found.asked.items():
        users[asked].append(place)
    over = _ended_before(found)
    for call in found.outside.calls:
        places = users.get((call.tool, call.text), [])
        before = over[min(call.life, len(over) - 1)]
        if not (places and all(place in before for place in places)):
            continue
        args = json.loads(call.text)
        guessed = (call.tool, hash_of(args)) in guesses
        if not guessed and not any(_asks(step, call.tool, args) for step in found.unheld):
            yield f"{call.tool} of {_said(places[0])} was called in life {call.life}, after its end"


def _asks(step: Step, tool: str, args: dict[str, Any]) -> bool:
    """Whether a call may be that of a step, as far as its arguments are written in it."""
    written = (item for item in step.args.items() if not any(nodes_of(item[1])))
    return step.tool == tool and all(args.get(name, value) == value for name, value in written)


def _ended_before(found: Evidence) -> list[set[Place]]:
    """For each life, the places that had ended when it began."""
    ended: set[Place] = set()
    lives: list[set[Place]] = []
    for n, event in enumerate([*found.lasting, None]):
        while len(lives) < len(found.known) and found.known[len(lives)] <= n:
            lives.append(set(ended))
        if isinstance(event, StepResult) and event.element is not None:
            ended.add((event.step, event.element))
        elif isinstance(event, StepEnded) and event.status in ("done", "failed"):
            ended.add((event.step, None))
        elif isinstance(event, UnknownResolved) and event.outcome != "done":
            ended.discard((event.step, event.element))
    return lives


# -- limits --------------------------------------------------------------------------------------


def i6_in_flight(found: Evidence) -> Iterator[str]:
    """No more calls are in flight than the limits allow, at any instant."""
    limits = found.limits
    most: dict[str, int] = {"": limits.concurrency}
    most |= {"provider " + name: count for name, count in limits.per_provider.items()}
    for name, spec in found.specs.items():
        bound = limits.per_tool.get(name, spec.concurrency)
        if bound is not None:
            most["tool " + name] = bound
    for name, peak in found.outside.peaks.items():
        if peak > most.get(name, peak):
            yield f"{peak} calls of {name or 'the run'} were in flight, {most[name]} may be"


def i7_allowance(found: Evidence) -> Iterator[str]:
    """No provider is asked more often than its allowance, in any minute of one life."""
    for provider, rate in found.limits.requests_per_minute.items():
        begun: dict[int, list[float]] = defaultdict(list)
        for call in found.outside.calls:
            if found.specs[call.tool].provider == provider:
                begun[call.life].append(call.began_at)
        burst = max(1, int(rate))
        for life, times in begun.items():
            for first, last in zip(times, times[burst:], strict=False):
                if last - first < 60.0 * burst / rate - 1e-6:
                    yield f"{provider}: {burst + 1} requests in {last - first:g} s of life {life}"
                    break


def i8_budget(found: Evidence) -> Iterator[str]:
    """No more calls are made, and no more is spent, than the budget allows.

    A death may take with it what was written of calls that change nothing; with it goes what they
    cost. Of tokens, a hundredth more may be used, since prompts are reckoned before they are sent.
    """
    limits, calls = found.limits, found.outside.calls
    if len(found.known) > 1:
        calls = [call for call in calls if call.place is not None]
    if limits.budget_calls is not None and len(calls) > limits.budget_calls:
        yield f"{len(calls)} calls were made, {limits.budget_calls} may be"
    spent = sum(found.specs[call.tool].cost_usd or 0.0 for call in calls)
    if limits.budget_usd is not None and spent > limits.budget_usd + 1e-6:
        yield f"{spent:g} USD were spent, {limits.budget_usd:g} may be"
    usages = [event.usage for event in found.events if isinstance(event, ModelCall)]
    tokens = sum(use.input_tokens + use.output_tokens for use in usages)
    if limits.budget_tokens is not None and tokens > limits.budget_tokens * 1.01:
        yield f"{tokens} tokens were used, {limits.budget_tokens} may be"


# -- outcomes ------------------------------------------------------------------------------------


def i9_isolation(found: Evidence) -> Iterator[str]:
    """A step is skipped only because of a step that it depends on."""
    for step in found.steps:
        state = found.state.steps[step.id]
        if state.status != "skipped" or not state.code.startswith("upstream-"):
            continue
        if step.id in found.overtaken:
            continue
        needed = [found.state.steps[id] for id in dependencies(step)]
        if all(_whole(item) for item in needed):
            yield f"step {step.id} was skipped ({state.code}), and all that it needs is there"


def _whole(state: StepState) -> bool:
    return state.has_value or (state.map is not None and not state.map.faults)


def i10_end(found: Evidence) -> Iterator[str]:
    """The run ends by its deadline and the grace after it, and says so as the last thing."""
    endings = [n for n, event in enumerate(found.events) if isinstance(event, RunFinished)]
    if not endings:
        yield "the run has not ended"
        return
    if endings[-1] != len(found.events) - 1:
        yield f"{len(found.events) - 1 - endings[-1]} events come after its end"
    most, at = found.limits.run_timeout_s, found.events[-1].at
    if most is not None and at > most + found.limits.grace_s + 1.0:
        yield f"it ended at {at:g} s, its time is {most:g} s"
    open_steps = [step.id for step in found.steps if found.state.steps[step.id].finished_s is None]
    if open_steps:
        yield f"step {open_steps[0]} has not ended"


def i11_over(found: Evidence) -> Iterator[str]:
    """Going on with a run that is over changes nothing and calls nothing.

    Only one that ended unresolved may go on, once, where a write was known to be done only when
    others had been skipped for it: by those, and by nothing else.
    """
    if found.gone_on is not None:
        (_, _, before), (_, _, after) = found.gone_on
        for one, other in zip(before, after, strict=False):  # an agent may go on with more of them
            if one != other and one[0] not in found.overtaken:
                yield f"step {one[0]} has become {other!r:.150}, and was {one!r:.150}"
    if found.again is None:
        return
    first, second = found.again
    if first != second:
        yield f"the second time, its result was {second!r:.200}, not {first!r:.200}"
    more = len(found.outside.calls) - found.calls_before
    if more:
        yield f"{more} calls were made although it was over"


def i12_reference(found: Evidence) -> Iterator[str]:
    """Each step ended as the reference interpreter says, given the same calls."""
    expected, _, faults = found.judged
    for id, message in faults:
        if id not in found.overtaken and found.state.steps[id].code not in _EXCUSES:
            yield message
    for id, outcome in expected.items():
        state = found.state.steps[id]
        if state.code in _EXCUSES or id in found.overtaken:
            continue
        got = _outcome(state)
        if _plain(got) != _plain(outcome):
            yield f"step {id} is {got!r:.300}, and should be {outcome!r:.300}"


class _Judge:
    """Answers the calls of the reference interpreter by what the journal says of them."""

    def __init__(self, found: Evidence) -> None:
        self.writes = frozenset(
            name for name, spec in found.specs.items() if spec.effect == "write"
        )
        self.asked: dict[Place, tuple[str, str]] = {}
        self.faults: list[tuple[str, str]] = []
        self._found = found
        self._ends = _endings(found.state)
        self._given = found.outside.given()

    def call(self, step: Step, element: int | None, args: dict[str, Any]) -> Any:
        """What the journal says that came of this call."""
        place = step.id, element
        status, code, value = self._ends.get(place, ("missing", "", None))
        if step.tool == "expand":
            return self.expanded(status, code, value)
        text = json.dumps(_named(args, self._found.specs[step.tool]), sort_keys=True)
        self.asked[place] = step.tool, text
        if status == "done":
            given = self._given.get((step.tool, text), ())
            if json.dumps(value, sort_keys=True) not in given:
                self.blame(place, "has a value that its tool never gave")
            return value
        if status == "unknown":
            raise Hangs
        if code in _EXCUSES:
            raise Fails(code) if status == "failed" else Skips(code)
        if status != "failed" or code in _PLANS_OWN:
            self.blame(place, f"should have been called, and is {status} ({code})")
        raise Fails(code)

    def expanded(self, status: str, code: str, value: Any) -> Any:
        """What came of a nested plan, whose steps are judged by themselves."""
        if status == "done":
            return value
        raise Skips(code) if status == "skipped" else Fails(code)

    def blame(self, place: Place, what: str) -> None:
        """Say what is wrong with the outcome of a place."""
        self.faults.append((place[0], f"{_said(place)} {what}"))


def _named(args: dict[str, Any], spec: ToolSpec) -> dict[str, Any]:
    """Arguments by name; those that a plan gave by position come under their number."""
    names = list(spec.parameters.get("properties", {}))
    return {names[int(name)] if name.isdecimal() else name: item for name, item in args.items()}


def _endings(state: RunState) -> dict[Place, tuple[str, str, Any]]:
    """Status, code and value of each place."""
    ends: dict[Place, tuple[str, str, Any]] = {}
    for id, step in state.steps.items():
        ends[id, None] = step.status, step.code, step.value
        if step.map is not None:
            for element, value in enumerate(step.map.values):
                fault = step.map.faults.get(element)
                status, code = ("done", "") if fault is None else (fault.status, fault.code)
                ends[id, element] = status, code, value
    return ends


def _outcome(state: StepState) -> Outcome:
    """How a step ended, as the reference interpreter would say it."""
    return Outcome(
        state.status, _class(state.code), state.value, state.has_value, _items(state)
    )  # fmt: skip


def _items(state: StepState) -> list[Outcome] | None:
    """How the elements of a map ended."""
    if state.map is None:
        return None
    items: list[Outcome] = []
    for element, value in enumerate(state.map.values):
        fault = state.map.faults.get(element)
        if fault is None:
            items.append(Outcome("done", "", value, usable=True))
        else:
            spare = state.step is not None and state.step.default is not MISSING
            usable = fault.status == "failed" and spare
            items.append(Outcome(fault.status, _class(fault.code), value, usable))
    return items


def _plain(outcome: Outcome) -> tuple[Any, ...]:
    """What is compared; why something is unknown depends on when the program died."""
    code = "" if outcome.status == "unknown" else outcome.code
    items = None if outcome.items is None else [_plain(item) for item in outcome.items]
    return outcome.status, code, json.dumps(outcome.value, sort_keys=True), outcome.usable, items


def _class(code: str) -> str:
    return "upstream" if code.startswith("upstream-") else code


# -- the rest ------------------------------------------------------------------------------------


def i13_nothing_left(found: Evidence) -> Iterator[str]:
    """Nothing is left running when a life ends that did not die, and no error goes unseen."""
    for task in found.leaked:
        yield f"left running: {task:.200}"
    for complaint in found.complaints:
        yield f"nobody saw: {complaint:.300}"


def i14_labels(found: Evidence) -> Iterator[str]:
    """Labels come with policies: until then no event bears one."""
    for event in found.events:
        if isinstance(event, StepResult) and event.label:
            yield f"the result of step {event.step} is labelled {event.label!r}"


def i15_prompts(found: Evidence) -> Iterator[str]:
    """Whoever takes a reply from the journal would have asked for it in the same words."""
    asked = {
        event.call: event.prompt_hash for event in found.events if isinstance(event, ModelStarted)
    }
    begun = {event.call: event.at for event in found.events if isinstance(event, ModelStarted)}
    for call, started, prompt_hash in found.reread:
        if begun.get(call) == started and asked[call] != prompt_hash:  # else a loss has undone it
            yield f"what model call {call} read is not what it would read now"


INVARIANTS: Final[dict[str, Callable[[Evidence], Iterator[str]]]] = {
    "I1": i1_origin,
    "I2": i2_writes,
    "I3": i3_keys,
    "I4": i4_order,
    "I5": i5_never_again,
    "I6": i6_in_flight,
    "I7": i7_allowance,
    "I8": i8_budget,
    "I9": i9_isolation,
    "I10": i10_end,
    "I11": i11_over,
    "I12": i12_reference,
    "I13": i13_nothing_left,
    "I14": i14_labels,
    "I15": i15_prompts,
}


def violations(found: Evidence) -> list[Violation]:
    """All promises that were broken. Cost: linear in the journal and in the plan's values."""
    return [
        Violation(rule, message) for rule, check in INVARIANTS.items() for message in check(found)
    ]


def _said(place: Place) -> str:
    step, element = place
    return f"step {step}" if element is None else f"element {element} of step {step}"
