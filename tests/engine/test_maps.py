"""Maps: a step that runs once for each element of a list."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from rig import Loom

from heddle.engine.events import (
    ElementEnded,
    MapExpanded,
    StepEnded,
    StepIntent,
    StepReady,
    StepResult,
    StepStarted,
    StepUnknown,
)
from heddle.engine.round import Round
from heddle.plan.ir import Choose, Input, Item, Plan, Ref, Step, When
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.plan.verify import Verifier
from heddle.testing.clock import run_virtual

if TYPE_CHECKING:
    from heddle.engine.state import RunState


async def double(x: int) -> int:
    await asyncio.sleep(1)
    if x < 0:
        raise ValueError("negative")
    return 2 * x


async def give(value: Any) -> Any:
    return value


def mapped(id: str, over: Any, **fields: Any) -> Step:
    return Step(id, "double", {"x": Item()}, over=over, **fields)


async def fragile(x: int) -> int:
    if x < 0:
        raise ValueError("negative")
    if x == 0:
        await asyncio.Event().wait()
    await asyncio.sleep(1)
    return x


def run(*steps: Step, concurrency: int = 64, **options: Any) -> tuple[RunState, Loom]:
    async def main() -> tuple[RunState, Loom]:
        loom = Loom(
            functions={"double": double, "give": give, "fragile": fragile},
            limits=Limits(concurrency=concurrency),
            **options,
        )
        async with loom:
            return await loom.run(*steps), loom

    return run_virtual(main())


# -- one map -------------------------------------------------------------------------------------


def test_a_map_runs_once_for_each_element_and_gives_the_list_in_input_order() -> None:
    async def wait(x: int) -> int:
        await asyncio.sleep(10 - x)
        return x * x

    async def main() -> RunState:
        async with Loom(functions={"wait": wait}) as loom:
            return await loom.run(Step("1", "wait", {"x": Item()}, over=[1, 2, 3]))

    state = run_virtual(main())
    assert state.steps["1"].status == "done"
    assert state.steps["1"].value == [1, 4, 9]
    assert state.last_s == 9


def test_the_list_of_an_empty_map_is_empty_and_nothing_is_called() -> None:
    state, loom = run(mapped("1", []), Step("2", "give", {"value": Ref("1")}))
    assert state.steps["1"].status == "done"
    assert state.steps["2"].value == []
    assert loom.started() == ["2"]


def test_an_element_is_passed_as_a_value_or_as_its_part() -> None:
    over = [{"a": {"b": [7]}, "c": "$1"}]
    args = {"value": [Item(("a", "b", 0)), Item(("c",)), Item()]}
    state, _ = run(Step("1", "give", args, over=over))
    assert state.steps["1"].value == [[7, "$1", over[0]]]


def test_a_failed_element_is_null_and_named_and_the_map_is_failed() -> None:
    state, loom = run(mapped("1", [1, -1, 3]), Step("2", "give", {"value": Ref("1")}))
    step = state.steps["1"]
    assert (step.status, step.code) == ("failed", "items-failed")
    assert step.value == [2, None, 6]
    assert step.map is not None
    assert [(fault.element, fault.code) for fault in step.map.failed_items] == [(1, "tool-failed")]
    assert loom.statuses()["2"] == ("skipped", "upstream-failed")


def test_a_default_takes_the_place_of_a_failed_element_and_dependents_see_the_list() -> None:
    state, _ = run(mapped("1", [1, -1, 3], default=0), Step("2", "give", {"value": Ref("1")}))
    assert state.steps["1"].status == "failed"
    assert state.steps["1"].value == state.steps["2"].value == [2, 0, 6]


@pytest.mark.parametrize("over", ["text", {"a": 1}, None, 3])
def test_what_is_no_list_fails_the_map_before_anything_runs(over: Any) -> None:
    state, loom = run(Step("1", "give", {"value": over}), mapped("2", Ref("1"), default=0))
    assert (state.steps["2"].status, state.steps["2"].code) == ("failed", "not-a-list")
    assert not state.steps["2"].has_value
    assert loom.started() == ["1"]


def test_more_elements_than_the_bound_fail_the_map_before_anything_runs() -> None:
    state, loom = run(Step("1", "give", {"value": [1, 2, 3]}), mapped("2", Ref("1"), bound=2))
    assert (state.steps["2"].status, state.steps["2"].code) == ("failed", "too-wide")
    assert loom.started() == ["1"]


def test_there_are_never_more_live_elements_than_may_be_in_flight() -> None:
    live: list[int] = []

    async def main() -> None:
        async def count(value: Any) -> None:
            live.append(len(run.live))
            await asyncio.sleep(1)

        loom = Loom(functions={"give": count}, limits=Limits(concurrency=8))
        async with loom:
            loom.add(Step("1", "give", {"value": Item()}, over=list(range(5_000))))
            run = loom.scheduler._nodes["1"].map
            assert run is not None
            await loom.scheduler.wait()

    run_virtual(main())
    assert len(live) == 5_000
    assert max(live) == 8


# -- maps that follow each other -----------------------------------------------------------------


def test_consecutive_maps_run_element_by_element_without_a_barrier() -> None:
    width, cap = 1_000, 4
    state, loom = run(
        mapped("1", list(range(width))), mapped("2", Ref("1")), mapped("3", Ref("2")),
        concurrency=cap,
    )  # fmt: skip
    assert state.steps["3"].value == [8 * n for n in range(width)]
    first_end = next(
        n for n, event in enumerate(loom.log.events)
        if isinstance(event, StepResult) and event.step == "3"
    )  # fmt: skip
    begun = {
        event.element for event in loom.log.events[:first_end]
        if isinstance(event, StepStarted) and event.step == "1"
    }  # fmt: skip
    assert len(begun) <= 2 * cap
    assert state.last_s == width * 3 / cap
    assert loom.scheduler.peak_in_flight == cap


def test_a_map_that_follows_skips_only_what_failed() -> None:
    state, loom = run(mapped("1", [1, -1, 3]), mapped("2", Ref("1")), mapped("3", Ref("2")))
    assert [state.steps[id].value for id in "23"] == [[4, None, 12], [8, None, 24]]
    assert {state.steps[id].status for id in "123"} == {"failed"}
    ended = [event for event in loom.events(ElementEnded) if event.step != "1"]
    assert [(event.element, event.code) for event in ended] == [(1, "upstream-failed")] * 2


def test_a_map_that_comes_after_the_end_of_the_other_skips_the_same() -> None:
    async def main() -> RunState:
        async with Loom(functions={"double": double}) as loom:
            await loom.run(mapped("1", [1, -1, 3]))
            return await loom.run(mapped("2", Ref("1")))

    assert run_virtual(main()).steps["2"].value == [4, None, 12]


def test_other_dependents_wait_for_the_whole_map() -> None:
    _, loom = run(mapped("1", [1, 2]), Step("2", "give", {"value": Ref("1", (0,))}))
    kinds = (StepEnded, StepReady)
    assert [type(e).__name__ + e.step for e in loom.events(*kinds)][:3] == [
        "StepReady1", "StepEnded1", "StepReady2",
    ]  # fmt: skip


def test_a_map_says_how_many_elements_it_has() -> None:
    _, loom = run(mapped("1", [1, 2, 3]), mapped("2", Ref("1")))
    assert [(event.step, event.n) for event in loom.events(MapExpanded)] == [("1", 3), ("2", 3)]


def test_a_long_chain_of_maps_is_no_recursion() -> None:
    length = 3_000
    chain = [Step(str(n), "give", {"value": Item()}, over=Ref(str(n - 1))) for n in range(length)]
    chain[0] = Step("0", "give", {"value": Item()}, over=[7])
    state, _ = run(*chain)
    assert state.steps[str(length - 1)].value == [7]
    chain[0] = Step("0", "give", {"value": Item(("gone",))}, over=[7])
    state, _ = run(*chain)
    assert state.steps[str(length - 1)].code == "upstream-failed"
    chain[0] = Step("0", "give", {"value": Item()}, over=[])
    state, _ = run(*chain)
    assert state.steps[str(length - 1)].value == []


# -- guards, choices, failures of the whole ------------------------------------------------------


def test_a_guard_on_the_element_leaves_out_elements_and_the_map_is_done() -> None:
    over = [{"go": True, "x": 1}, {"go": False, "x": 2}]
    first = Step("1", "double", {"x": Item(("x",))}, over=over, when=When(Item(("go",))))
    state, loom = run(first, mapped("2", Ref("1")), Step("3", "give", {"value": Ref("2")}))
    assert [state.steps[id].status for id in "123"] == ["done"] * 3
    assert state.steps["3"].value == [4, None]
    codes = [(event.step, event.code) for event in loom.events(ElementEnded)]
    assert codes == [("1", "guard-false"), ("2", "upstream-skipped")]


def test_a_guard_that_is_neither_true_nor_false_fails_the_element() -> None:
    step = mapped("1", [1], when=When(Item()), default=0)
    state, loom = run(step)
    assert state.steps["1"].value == [0]
    assert [event.code for event in loom.events(ElementEnded)] == ["bad-guard"]


def test_another_guard_is_for_the_whole_map_and_a_choice_goes_past_it() -> None:
    skipped = mapped("1", [1], when=When(Input("go")))
    chosen = mapped("3", Choose((Ref("1"), Ref("2"))))
    state, loom = run(skipped, mapped("2", [2]), chosen, inputs={"go": False})
    assert loom.statuses()["1"] == ("skipped", "guard-false")
    assert state.steps["3"].value == [8]


def test_a_map_with_nothing_to_choose_is_skipped_as_a_whole() -> None:
    skipped = mapped("1", [1], when=When(Input("go")))
    args = {"value": [Item(), Choose((Ref("1"),))]}
    _, loom = run(skipped, Step("2", "give", args, over=[1, 2]), inputs={"go": False})
    assert loom.statuses()["2"] == ("skipped", "nothing-to-choose")


def test_a_timeout_is_for_each_element() -> None:
    step = Step("1", "fragile", {"x": Item()}, over=[1, 0, 2], timeout_s=5)
    state, loom = run(step, concurrency=1)
    assert state.steps["1"].value == [1, None, 2]
    assert [event.code for event in loom.events(ElementEnded)] == ["timed-out"]
    assert state.last_s == 7


def test_what_is_cancelled_ends_at_once_with_what_there_is() -> None:
    async def main() -> RunState:
        loom = Loom(functions={"fragile": fragile}, limits=Limits(concurrency=2))
        async with loom:
            loom.add(
                Step("1", "fragile", {"x": Item()}, over=[1, 0, 2, 3, 0]),
                Step("2", "fragile", {"x": Item()}, over=Ref("1")),
            )
            await asyncio.sleep(1.5)
            loom.scheduler.cancel("enough")
            assert loom.scheduler.idle
        assert not loom.scheduler.in_flight
        return loom.state()

    state = run_virtual(main())
    assert (state.steps["1"].status, state.steps["1"].value) == ("cancelled", [1] + [None] * 4)
    assert state.steps["2"].status == "cancelled"
    assert state.last_s == 1.5


def test_a_map_that_had_nothing_in_flight_is_cancelled_with_the_one_it_follows() -> None:
    async def main() -> RunState:
        loom = Loom(functions={"fragile": fragile})
        async with loom:
            loom.add(
                Step("1", "fragile", {"x": Item()}, over=[0]),
                Step("2", "fragile", {"x": Item()}, over=Ref("1")),
            )
            await asyncio.sleep(1)
            loom.scheduler.cancel("enough")
        return loom.state()

    state = run_virtual(main())
    assert (state.steps["1"].status, state.steps["1"].code) == ("cancelled", "cancelled")
    assert (state.steps["2"].status, state.steps["2"].code) == ("skipped", "cancelled")


def test_a_map_whose_line_turns_out_to_be_bad_fails_and_others_lack_only_its_open_elements() -> (
    None
):
    async def main() -> RunState:
        loom = Loom(functions={"fragile": fragile}, limits=Limits(concurrency=1))
        async with loom:
            loom.add(
                Step("1", "fragile", {"x": Item()}, over=[1, 0, 3]),
                Step("2", "fragile", {"x": Item()}, over=Ref("1")),
            )
            await asyncio.sleep(5)
            loom.scheduler.fail_hole("1", "hole", "the line is bad")
            await loom.scheduler.wait()
        return loom.state()

    state = run_virtual(main())
    assert (state.steps["1"].status, state.steps["1"].code) == ("failed", "hole")
    assert state.steps["2"].value == [1, None, None]
    assert state.steps["2"].code == "upstream-failed"


# -- effects -------------------------------------------------------------------------------------


def test_each_element_of_an_effectful_map_has_an_intent_and_a_key_of_its_own() -> None:
    specs = [ToolSpec("double", effect="write")]
    _, loom = run(mapped("1", [1, 2]), mapped("2", Ref("1")), specs=specs)
    intents = loom.events(StepIntent)
    assert sorted((event.step, event.element) for event in intents) == [
        ("1", 0), ("1", 1), ("2", 0), ("2", 1),
    ]  # fmt: skip
    assert len({event.key for event in intents}) == 4
    assert all(event.origin.element == event.element for event in intents)


def test_an_effectful_map_waits_until_the_plan_is_released() -> None:
    async def main() -> list[float]:
        specs = [ToolSpec("double", effect="write")]
        async with Loom(functions={"double": double}, specs=specs, released=False) as loom:
            loom.add(mapped("1", [1, 2]))
            await asyncio.sleep(3)
            assert not loom.started()
            loom.scheduler.release(lambda _: (1, 1, "00"))
            await loom.scheduler.wait()
            return [event.at for event in loom.events(StepStarted)]

    assert run_virtual(main()) == [3.0, 3.0]


def test_a_write_whose_outcome_was_not_seen_makes_the_map_unknown() -> None:
    specs = [ToolSpec("fragile", effect="write")]
    step = Step("1", "fragile", {"x": Item()}, over=[1, 0, -1], timeout_s=5, default=9)
    state, loom = run(step, specs=specs)
    assert (state.steps["1"].status, state.steps["1"].code) == ("unknown", "timed-out")
    assert not state.steps["1"].has_value
    assert state.steps["1"].value == [1, None, 9]
    assert [event.element for event in loom.events(StepUnknown)] == [1]


# -- the figures ---------------------------------------------------------------------------------


def test_the_critical_path_follows_elements_and_not_whole_maps() -> None:
    state, _ = run(mapped("1", [1, 2, 3]), mapped("2", Ref("1")), concurrency=1)
    assert state.last_s == 6
    assert state.critical_path_s() == 2
    assert state.critical_path() == ["1", "2"]
    assert sum(step.work_s for step in state.steps.values()) == 6


def test_a_map_of_a_plan_that_a_model_wrote_is_bounded_by_the_limits_too() -> None:
    async def widths(bound: int | None) -> tuple[str, str]:
        specs = [ToolSpec("give", effect="pure", parameters={"type": "object"})]
        loom = Loom(functions={"give": give}, specs=specs, inputs={"list": [1, 2, 3]})
        async with loom:
            plan = Plan()
            verifier = Verifier(loom.specs)
            round = Round(plan, lambda: verifier, loom.scheduler, loom.log, 3, max_width=2)
            round.take(Step("1", "give", {"value": Item()}, over=Input("list"), bound=bound))
            await loom.scheduler.wait()
        return loom.statuses()["1"]

    for bound in (None, 0, 1, 2, 3):
        assert run_virtual(widths(bound)) == ("failed", "too-wide")
