"""The scheduler does what one step after the other would do, whatever tools and timing do to it."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import pytest
from random_plans import Case, WildTools, make_case, reference_tool
from rig import Loom, origins, peak

from heddle.engine.events import (
    ElementEnded,
    HoleOpened,
    LateResult,
    MapExpanded,
    SpeculationEnded,
    SpeculationStarted,
    StepEnded,
    StepError,
    StepIntent,
    StepReady,
    StepResult,
    StepStarted,
)
from heddle.engine.map_run import streams_over
from heddle.engine.speculation import Speculation
from heddle.engine.state import fold
from heddle.plan.ir import MISSING, Hole, Ref, Step, dependencies
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.testing.clock import run_virtual
from heddle.testing.reference import Outcome, interpret

if TYPE_CHECKING:
    from heddle.engine.state import RunState, StepState

PLANS = int(os.environ.get("HEDDLE_RANDOM_PLANS", "10000"))


async def weave(case: Case) -> tuple[Loom, WildTools]:
    """Run a case to its end, as a streaming round would."""
    tools = WildTools(case)
    loom = Loom(tools, specs=case.specs, released=False, limits=case.limits, inputs=case.inputs)
    clock = asyncio.get_running_loop().time
    start = clock()
    assert loom.log.now() == 0
    scheduler = loom.scheduler
    async with loom:
        later: list[Step] = []
        for entry in case.entries:
            if (pause := start + case.arrivals[entry.id] - clock()) > 0:
                await asyncio.sleep(pause)
            if isinstance(entry, Hole) or entry.id in case.reserved:
                hole = Hole(entry.id, "", ())
                loom.log.emit(HoleOpened(loom.log.now(), 1, loom.added, hole))
                scheduler.reserve(entry.id)
                later += [entry] if isinstance(entry, Step) else []
            else:
                loom.add(entry)
        for step in later:
            loom.add(step)
        for entry in case.entries:
            if isinstance(entry, Hole):
                scheduler.fail_hole(entry.id, "hole", "nothing filled it")
        scheduler.rank()
        await asyncio.sleep(max(0.0, start + case.release_at - clock()))
        scheduler.release(origins)
        await scheduler.wait()
    return loom, tools


def klass(code: str) -> str:
    return "upstream" if code.startswith("upstream-") else code


def check_outcomes(case: Case, loom: Loom) -> None:
    expected = interpret(
        case.entries, lambda step, element, args: reference_tool(case, args), inputs=case.inputs,
        writes=case.writes,
    )  # fmt: skip
    state = in_time(loom)
    got = {
        id: Outcome(step.status, klass(step.code), step.value, step.has_value, items_of(step))
        for id, step in state.steps.items()
    }
    assert got == expected


def in_time(loom: Loom) -> RunState:
    """The state but for what came late, which is about calls and no longer about the plan."""
    return fold(event for event in loom.log.events if not isinstance(event, LateResult))


def items_of(step: StepState) -> list[Outcome] | None:
    """The outcomes of a map's elements."""
    if step.map is None:
        return None
    assert step.step is not None
    assert not step.map.running
    found = []
    for element, value in enumerate(step.map.values):
        fault = step.map.faults.get(element)
        if fault is None:
            found.append(Outcome("done", "", value, usable=True))
        else:
            usable = fault.status == "failed" and step.step.default is not MISSING
            found.append(Outcome(fault.status, klass(fault.code), value, usable))
    return found


def check_endings(case: Case, loom: Loom) -> None:
    """Exactly one terminal event a step, nothing of it after that, and the fold agrees."""
    ended: set[str] = set()
    for event in loom.events(StepReady, StepIntent, StepStarted, StepResult, StepEnded):
        assert event.step not in ended
        if isinstance(event, StepEnded):
            ended.add(event.step)
    check_elements(loom)
    assert ended == {entry.id for entry in case.entries}
    for id, step in in_time(loom).steps.items():
        assert loom.scheduler.status(id) == step.status
        if step.has_value:
            assert loom.scheduler.render(Ref(id)) == step.value


def check_elements(loom: Loom) -> None:
    """An element begins at most once and ends once, and nothing of it comes after that."""
    over: set[tuple[str, int]] = set()
    begun: set[tuple[str, int]] = set()
    kinds = (StepIntent, StepStarted, StepError, StepResult, ElementEnded)
    for event in loom.events(*kinds):
        if event.element is None:
            continue
        element = event.step, event.element
        assert element not in over
        if isinstance(event, StepStarted):
            assert element not in begun
            begun.add(element)
        elif isinstance(event, (StepResult, ElementEnded)):
            over.add(element)
    widths = {event.step: event.n for event in loom.events(MapExpanded)}
    assert over == {(id, n) for id, width in widths.items() for n in range(width)}


def check_order(case: Case, loom: Loom, tools: WildTools) -> None:
    """Time never runs back, dependencies come first, effects wait, and a call is made once."""
    events = loom.log.events
    assert all(one.at <= other.at for one, other in pairwise(events))
    kinds = (StepIntent, StepStarted, StepEnded, MapExpanded)
    seq: dict[Any, int] = {}
    for n, event in enumerate(events):
        if isinstance(event, kinds):  # of a map's elements, the first
            seq.setdefault((type(event), event.step), n)
    effectful = {spec.name for spec in case.specs if spec.effectful}
    for step in (entry for entry in case.entries if isinstance(entry, Step)):
        begun = seq.get((StepStarted, step.id))
        if begun is None:
            continue
        followed, _ = streams_over(step) if step.over is not MISSING else ("", False)
        for id in dependencies(step):
            if id == followed and (MapExpanded, id) in seq:
                assert seq[MapExpanded, id] < begun
                continue
            assert seq[StepEnded, id] < begun
        if step.tool in effectful:
            assert events[begun].at >= case.release_at
            assert seq[StepIntent, step.id] < begun
    guessed = loom.events(SpeculationEnded)
    in_vain = Counter(tools.calls) - Counter(loom.started())
    assert not Counter(loom.started()) - Counter(tools.calls)
    assert in_vain.total() == sum(not event.step for event in guessed)
    assert len(guessed) == len(loom.events(SpeculationStarted))
    assert not loom.scheduler._guesses
    check_resources(case, seq)


def check_resources(case: Case, seq: dict[Any, int]) -> None:
    """A writer overlaps nobody who uses the same thing, and they go in plan order."""
    steps = [entry for entry in case.entries if isinstance(entry, Step)]
    users = [
        step for step in steps if (step.reads or step.writes) and (StepStarted, step.id) in seq
    ]
    for one, other in combinations(users, 2):
        shared = {*one.reads, *one.writes} & {*other.reads, *other.writes}
        if shared & {*one.writes, *other.writes}:
            assert seq[StepEnded, one.id] < seq[StepStarted, other.id]


def check_bounds(case: Case, loom: Loom) -> None:
    """Nothing was ever above a bound, and nothing is left behind."""
    tool_of = {entry.id: entry.tool for entry in case.entries if isinstance(entry, Step)}
    spec_of = {spec.name: spec for spec in case.specs}
    adopted = {event.step for event in loom.events(SpeculationEnded)}  # they may have no slot
    kinds = (StepStarted, StepResult, ElementEnded, StepEnded)
    events = [event for event in loom.events(*kinds) if event.step not in adopted]
    assert peak(events) <= loom.scheduler.peak_in_flight <= case.limits.concurrency
    for spec in case.specs:
        if spec.concurrency is not None:
            assert peak(events, lambda id, n=spec.name: tool_of[id] == n) <= spec.concurrency
    for provider, bound in case.limits.per_provider.items():
        among = lambda id, p=provider: spec_of[tool_of[id]].provider == p  # noqa: E731
        assert peak(events, among) <= bound
    assert loom.scheduler.abandoned == 0
    assert not loom.scheduler.in_flight
    assert not loom.scheduler._attempts.deadlines._heap
    queue = loom.scheduler._queue
    gates = [*queue._slots._slots._gates.values(), *queue._tool_slots._gates.values()]
    assert not any(gate.allowance.in_flight for gate in gates)


def check(case: Case) -> Loom:
    """Run a case in virtual time and hold everything against it that can be held."""

    async def main() -> tuple[Loom, WildTools]:
        woven = await weave(case)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return woven

    try:
        loom, tools = run_virtual(main())
        check_outcomes(case, loom)
        check_endings(case, loom)
        check_order(case, loom, tools)
        check_bounds(case, loom)
        return loom
    except BaseException as error:  # whatever it is, its seed is said
        error.add_note(f"reproduce: make_case({case.seed}), or smallest({case.seed})")
        raise


def smallest(seed: int) -> Case:
    """The smallest plan of a seed that still fails; for a person in front of a failure."""
    for size in range(1, 46):
        case = make_case(seed, size)
        try:
            check(case)
        except BaseException:  # whatever it is, it is what one looks for
            return case
    raise AssertionError(f"no plan of seed {seed} fails")


@pytest.mark.parametrize("part", range(10))
def test_random_plans_end_as_the_reference_says(part: int) -> None:
    for seed in range(part, PLANS, 10):
        check(make_case(seed))


def test_random_plans_that_guess_wherever_they_may_end_as_the_reference_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("heddle.engine.speculation._CALLS_FOR_ONE", 1)
    monkeypatch.setattr(Speculation, "_is_steered_by_the_user", lambda *_: True)
    fates: Counter[str] = Counter()
    for seed in range(0, PLANS, 9):
        fates.update(event.outcome for event in check(make_case(seed)).events(SpeculationEnded))
    if PLANS >= 9_000:  # few plans show few fates
        assert {"adopted", "discarded", "stale", "preempted"} <= fates.keys()


def test_random_plans_are_not_trivial() -> None:
    cases = [make_case(seed) for seed in range(300)]
    sizes = [len(case.entries) for case in cases]
    statuses: set[tuple[str, str]] = set()
    for case in cases:
        ended = interpret(
            case.entries, lambda step, element, args, c=case: reference_tool(c, args),
            inputs=case.inputs, writes=case.writes,
        )  # fmt: skip
        statuses |= {(outcome.status, outcome.code) for outcome in ended.values()}
    assert sum(sizes) / len(sizes) >= 20
    assert statuses == {
        ("done", ""),
        ("failed", "bad-guard"),
        ("failed", "bad-path"),
        ("failed", "hole"),
        ("failed", "items-failed"),
        ("failed", "not-a-list"),
        ("failed", "refused"),
        ("failed", "timed-out"),
        ("failed", "too-wide"),
        ("failed", "tool-failed"),
        ("failed", "upstream"),
        ("skipped", "guard-false"),
        ("skipped", "nothing-to-choose"),
        ("skipped", "upstream"),
        ("unknown", "timed-out"),
    }


def small_plans(size: int) -> list[list[Step]]:
    """Every DAG of that many steps, in one topological order."""
    edges = list(combinations(range(size), 2))
    plans = []
    for bits in range(2 ** len(edges)):
        chosen = [edge for n, edge in enumerate(edges) if bits >> n & 1]
        plans.append([_small_step(n, [a for a, b in chosen if b == n]) for n in range(size)])
    return plans


def _small_step(number: int, before: list[int]) -> Step:
    args: dict[str, Any] = {"me": str(number), "of": [Ref(str(id)) for id in before]}
    return Step(str(number), "t", args, timeout_s=10.0)


@pytest.mark.parametrize("cap", [1, 64])
@pytest.mark.parametrize("kind", [None, "raises", "exits", "hangs"])
def test_every_plan_of_up_to_four_steps_survives_every_single_failure(
    kind: str | None, cap: int
) -> None:
    for size in range(1, 5):
        for steps in small_plans(size):
            for victim in range(size):
                check(
                    Case(
                        seed=-1,
                        entries=list(steps),
                        kinds={str(victim): kind} if kind else {},
                        seconds={str(n): float(n % 2) for n in range(size)},
                        arrivals=dict.fromkeys(map(str, range(size)), 0.0),
                        reserved=set(),
                        release_at=0.0,
                        limits=Limits(concurrency=cap),
                        specs=[ToolSpec("t", effect="pure")],
                    )
                )
