"""The state: the fold of the events, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

from random_plans import WildTools, make_case
from rig import Loom

from heddle.engine import events as ev
from heddle.engine.state import RunState, fold
from heddle.plan.findings import Finding
from heddle.plan.ir import Hole, Ref, Step, dependencies
from heddle.testing.clock import run_virtual


def test_nothing_has_happened() -> None:
    state = fold([])
    assert (state.steps, state.rounds, state.finished) == ({}, [], None)
    assert state.critical_path() == []
    assert state.critical_path_s() == 0


def test_folding_at_once_and_event_by_event_is_the_same() -> None:
    async def main() -> list[Any]:
        case = make_case(7)
        tools = WildTools(case)
        async with Loom(tools, specs=case.specs, inputs=case.inputs) as loom:
            await loom.run(*_without_holes(case.entries))
            return loom.log.events

    events = run_virtual(main())
    state = RunState()
    for event in events:
        state.apply(event)
    assert state == fold(events)
    assert len(state.steps) > 5


def _without_holes(entries: list[Any]) -> list[Step]:
    holes = {entry.id for entry in entries if isinstance(entry, Hole)}
    plain: list[Step] = []
    for entry in entries:
        if isinstance(entry, Step) and not holes & _ids(entry):
            plain.append(entry)
        else:
            holes.add(entry.id)
    return plain


def _ids(step: Step) -> set[str]:
    return set(dependencies(step))


def test_the_critical_path_is_the_longest_chain_of_running() -> None:
    async def nap(seconds: float, **_: Any) -> None:
        await asyncio.sleep(seconds)

    async def main() -> RunState:
        async with Loom(functions={"nap": nap}) as loom:
            return await loom.run(
                Step("1", "nap", {"seconds": 1.0}),
                Step("2", "nap", {"seconds": 5.0}),
                Step("3", "nap", {"seconds": 2.0, "x": Ref("1")}),
                Step("4", "nap", {"seconds": 4.0}, after=("3",)),
                Step("5", "nap", {"seconds": 1.0, "x": Ref("2")}),
            )

    state = run_virtual(main())
    assert state.critical_path() == ["1", "3", "4"]
    assert state.critical_path_s() == 7


def test_a_hole_is_a_place_without_a_step_until_it_is_filled() -> None:
    hole = Hole("1", "1. look(", (Finding.at(None, "bad-call", "x"),))
    events: list[ev.Event] = [ev.PlanProposed(0.0, 1, "d"), ev.HoleOpened(0.0, 1, 1, hole)]
    assert fold(events).steps["1"].step is None
    step = Step("1", "look")
    assert fold([*events, ev.HoleFilled(1.0, 1, step)]).steps["1"].step == step


def test_a_default_is_the_value_of_a_failed_step_and_of_no_other() -> None:
    step = Step("1", "look", default="d")
    begun: list[ev.Event] = [ev.StepAccepted(0.0, 1, 1, step), ev.StepStarted(0.0, "1", 1)]
    failed = fold([*begun, ev.StepEnded(1.0, "1", "failed", "x")]).steps["1"]
    assert (failed.has_value, failed.value) == (True, "d")
    for status in ("skipped", "cancelled", "denied", "unknown"):
        other = fold([*begun, ev.StepEnded(1.0, "1", status, "x")]).steps["1"]
        assert (other.has_value, other.value) == (False, None)


def test_every_event_has_a_name_of_its_own_and_a_time_first() -> None:
    assert all(kind.__name__ == name for name, kind in ev.EVENTS.items())
    assert all(kind._fields[0] == "at" for kind in ev.EVENTS.values())
    assert set(ev.EVENTS) <= set(ev.__all__)


def test_a_map_that_was_opened_while_its_run_was_being_stopped_was_never_opened() -> None:
    """What it ran over may be another thing by the time that the run is gone on with."""
    step = Step("1", "look", {}, over=[1])
    opened = [
        ev.PlanProposed(0.0, 1, "json"),
        ev.StepAccepted(0.0, 1, 1, step),
        ev.StepReady(1.0, "1"),
        ev.MapExpanded(1.0, "1", 1, "00"),
    ]
    stopped = [ev.StepEnded(1.0, "1", "skipped", "interrupted"), ev.StepReopened(2.0, "1")]
    state = fold([*opened, *stopped]).steps["1"]
    assert (state.status, state.map, state.value) == ("waiting", None, None)
    begun = ev.StepStarted(1.0, "1", 1, 0)
    state = fold([*opened, begun, *stopped]).steps["1"]
    assert state.map is not None
