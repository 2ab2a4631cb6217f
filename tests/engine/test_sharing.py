"""Equal calls are one call, and nobody can tell by the results."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from random import Random
from typing import Any

import pytest
from rig import Call, Functions, Loom

from heddle.engine.events import StepReady, StepResult
from heddle.engine.wire import event_from_json, event_to_json
from heddle.errors import ToolFailed
from heddle.models.protocol import Usage
from heddle.plan.ir import Input, Item, Ref, Step, Template, When
from heddle.plan.limits import Limits
from heddle.plan.spec import Effect, ToolSpec
from heddle.testing.clock import run_virtual
from heddle.tools.function import Metered


class Counted:
    """Tools that note with what they were called, and take a second."""

    def __init__(self, answer: Call | None = None) -> None:
        self.calls: list[Any] = []
        self.answer = answer

    async def __call__(self, **args: Any) -> Any:
        self.calls.append(args)
        await asyncio.sleep(1)
        return await self.answer(**args) if self.answer else [args]


def fusing(tool: Call, effect: Effect = "pure", *, fuse: bool = True, **options: Any) -> Loom:
    spec = ToolSpec("look", effect=effect, fuse=fuse, provider="p")
    other = ToolSpec("nap", effect="pure", fuse=False)
    agreed = ToolSpec("agree", effect="pure", fuse=False)
    change = ToolSpec("change", effect="write")
    functions = Functions(look=tool, nap=nap, agree=agree, change=nap)
    return Loom(functions, specs=[spec, other, agreed, change], **options)


async def nap(seconds: float = 1.0, **_: Any) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def agree(seconds: float, **_: Any) -> bool:
    await asyncio.sleep(seconds)
    return True


def at(seconds: float, step: Step, *behind: str) -> list[Step]:
    """A step that becomes ready so much later, or so long after others have ended."""
    guard = Step("before " + step.id, "agree", {"seconds": seconds}, after=behind)
    return [guard, dataclasses.replace(step, when=When(Ref(guard.id)))]


def look(id: str, what: Any = "AAPL", **fields: Any) -> Step:
    return Step(id, "look", {"what": what}, **fields)


@pytest.mark.parametrize("effect", ["pure", "read"])
def test_equal_calls_in_flight_are_one_which_is_seen_by_an_attempt_of_none(effect: Effect) -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool, effect) as loom:
            state = await loom.run(look("1"), look("2"), look("3", "MSFT"), look("4"))
            assert tool.calls == [{"what": "AAPL"}, {"what": "MSFT"}]
            assert [step.value[0]["what"] for step in state.steps.values()] == [
                "AAPL", "AAPL", "MSFT", "AAPL",
            ]  # fmt: skip
            assert [step.attempts for step in state.steps.values()] == [1, 0, 1, 0]
            assert loom.started() == ["1", "3"]
            assert [event.step for event in loom.events(StepReady)] == ["1", "2", "3", "4"]
            assert {step.finished_s for step in state.steps.values()} == {1.0}

    run_virtual(main())


def test_a_later_step_takes_the_value_that_is_there_at_once() -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool) as loom:
            state = await loom.run(look("1"), *at(5.0, look("2")))
            assert len(tool.calls) == 1
            assert (state.steps["2"].ready_s, state.steps["2"].finished_s) == (5.0, 5.0)

    run_virtual(main())


def test_values_are_copies_that_share_no_container() -> None:
    async def main() -> None:
        async with fusing(Counted()) as loom:
            state = await loom.run(look("1"), look("2"), look("3", after=("1",)))
            first, second, third = (step.value for step in state.steps.values())
            assert first == second == third
            first[0]["what"] = "changed"
            assert second == third == [{"what": "AAPL"}]

    run_virtual(main())


def test_a_follower_takes_no_slot_and_no_allowance() -> None:
    async def main() -> None:
        tool = Counted()
        limits = Limits(concurrency=1, requests_per_minute={"p": 1})
        async with fusing(tool, limits=limits) as loom:
            loom.add(*(look(str(n)) for n in range(50)))
            await asyncio.sleep(0.5)
            assert loom.scheduler.in_flight == 1
            await loom.scheduler.wait()
            assert asyncio.get_running_loop().time() == 1.0
            assert len(tool.calls) == 1

    run_virtual(main())


def test_what_a_call_cost_is_counted_once() -> None:
    async def priced(**_: Any) -> Any:
        return Metered("said", Usage(input_tokens=10, output_tokens=2), 0.5)

    async def main() -> None:
        async with fusing(Counted(priced), "read") as loom:
            state = await loom.run(look("1"), look("2"))
            assert [step.value for step in state.steps.values()] == ["said", "said"]
            assert [event.cost_usd for event in state.metered] == [0.5]

    run_virtual(main())


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), (1, True), (0, False), (1, "1"), (None, "null"), ([1], [1.0]), (0.0, -0.0),
     ({"a": 0}, {"a": 0.0}), ("", None), ([], {}), ({"a": 1}, {"a": 1, "b": None})],
)  # fmt: skip
def test_arguments_that_differ_in_type_alone_are_different(one: Any, other: Any) -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool) as loom:
            await loom.run(look("1", one), look("2", other), look("3", one))
            assert len(tool.calls) == 2

    run_virtual(main())


def test_the_order_of_keys_does_not_count_but_that_of_elements_does() -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool) as loom:
            await loom.run(
                Step("1", "look", {"a": {"x": 1, "y": 2}, "b": 1}),
                Step("2", "look", {"b": 1, "a": {"y": 2, "x": 1}}),
                Step("3", "look", {"a": [1, 2]}),
                Step("4", "look", {"a": [2, 1]}),
            )
            assert len(tool.calls) == 3

    run_virtual(main())


def test_what_counts_is_the_filled_arguments_wherever_they_came_from() -> None:
    async def main() -> None:
        tool = Counted()
        functions = Functions(look=tool, give=give)
        specs = [ToolSpec("look", effect="pure"), ToolSpec("give", effect="pure")]
        async with Loom(functions, specs=specs, inputs={"who": {"name": "A B"}}) as loom:
            await loom.run(
                Step("a", "give", {"value": "A"}),
                Step("1", "look", {"what": "A B"}),
                Step("2", "look", {"what": Template((Ref("a"), " B"))}),
                Step("3", "look", {"what": Input("who", ("name",))}),
                Step("4", "look", {"what": Ref("a")}),
            )
            assert sorted(call["what"] for call in tool.calls) == ["A", "A B"]

    async def give(value: Any) -> Any:
        return value

    run_virtual(main())


def test_tools_and_time_limits_tell_calls_apart() -> None:
    async def main() -> None:
        tool = Counted()
        specs = [ToolSpec("look", effect="pure"), ToolSpec("peer", effect="pure")]
        async with Loom(Functions(look=tool, peer=tool), specs=specs) as loom:
            args = {"what": 1}
            await loom.run(
                Step("1", "look", args), Step("2", "peer", args), look("3", 1, timeout_s=9)
            )
            assert len(tool.calls) == 3

    run_virtual(main())


@pytest.mark.parametrize("effect", ["idempotent", "write"])
def test_effects_are_never_one(effect: Effect) -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool, effect) as loom:
            await loom.run(look("1"), look("2"), look("3", after=("1",)))
            assert len(tool.calls) == 3

    run_virtual(main())


def test_a_tool_may_want_each_call_to_be_made() -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool, "read", fuse=False) as loom:
            await loom.run(look("1"), look("2"))
            assert len(tool.calls) == 2

    run_virtual(main())


# -- failures --------------------------------------------------------------------------------------


async def refuse(**_: Any) -> Any:
    raise ToolFailed("sold out", code="sold-out")


@pytest.mark.parametrize("effect", ["pure", "read"])
def test_who_waits_for_a_call_fails_as_it_does_and_keeps_a_default_of_its_own(
    effect: Effect,
) -> None:
    async def main() -> None:
        tool = Counted(refuse)
        async with fusing(tool, effect) as loom:
            state = await loom.run(
                look("1"), look("2", default=0), Step("3", "nap", {"x": Ref("2")})
            )
            assert len(tool.calls) == 1
            assert loom.statuses() == {
                "1": ("failed", "sold-out"), "2": ("failed", "sold-out"), "3": ("done", ""),
            }  # fmt: skip
            assert {state.steps[id].message for id in "12"} == {"sold out"}
            assert state.steps["2"].value == 0

    run_virtual(main())


@pytest.mark.parametrize(("effect", "calls"), [("pure", 1), ("read", 2)])
def test_a_failed_read_is_looked_at_again_by_who_comes_later_and_a_pure_call_is_not(
    effect: Effect, calls: int
) -> None:
    async def main() -> None:
        tool = Counted(refuse)
        async with fusing(tool, effect) as loom:
            await loom.run(look("1"), *at(2.0, look("2")))
            assert len(tool.calls) == calls
            assert loom.statuses()["2"] == ("failed", "sold-out")

    run_virtual(main())


@pytest.mark.parametrize(("effect", "seconds"), [("pure", 4.0), ("read", 4.0)])
def test_who_waits_for_a_call_that_is_out_of_time_is_so_too_and_who_comes_later_is_not(
    effect: Effect, seconds: float
) -> None:
    async def main() -> None:
        tool = Counted(never)
        async with fusing(tool, effect) as loom:
            both = [look(id, timeout_s=2.0) for id in "12"]
            await loom.run(*both, *at(seconds, look("3", timeout_s=2.0)))
            assert [loom.statuses()[id] for id in "123"] == [("failed", "timed-out")] * 3
            assert len(tool.calls) == 2
            assert asyncio.get_running_loop().time() == seconds + 2.0

    run_virtual(main())


async def never(**_: Any) -> Any:
    await asyncio.Event().wait()


def test_a_call_that_was_taken_back_poisons_nobody_its_next_follower_makes_it() -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool) as loom:
            loom.add(look("1"), look("2"), look("3"))
            await asyncio.sleep(0.5)
            loom.scheduler.fail_hole("1", "hole", "its line turned out to be bad")
            await loom.scheduler.wait()
            assert loom.statuses() == {
                "1": ("failed", "hole"),
                "2": ("done", ""),
                "3": ("done", ""),
            }
            assert len(tool.calls) == 2
            assert [step.attempts for step in loom.state().steps.values()] == [1, 1, 0]
            assert loom.scheduler.in_flight == 0

    run_virtual(main())


def test_a_call_that_never_got_its_slot_is_made_by_its_next_follower() -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool, limits=Limits(concurrency=1)) as loom:
            loom.add(Step("busy", "nap"), look("1"), look("2"))
            loom.scheduler.fail_hole("1", "hole", "bad")
            await loom.scheduler.wait()
            assert loom.statuses()["2"] == ("done", "")
            assert len(tool.calls) == 1

    run_virtual(main())


def test_a_follower_that_is_taken_back_leaves_the_call_alone() -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool) as loom:
            loom.add(look("1"), look("2"))
            loom.scheduler.fail_hole("2", "hole", "bad")
            await loom.scheduler.wait()
            assert loom.statuses() == {"1": ("done", ""), "2": ("failed", "hole")}

    run_virtual(main())


def test_cancelling_the_run_ends_followers_as_skipped_and_calls_nothing_more() -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool) as loom:
            loom.add(look("1"), look("2"), Step("3", "nap", {"x": Ref("2")}))
            await asyncio.sleep(0.5)
            loom.scheduler.cancel("enough")
            await loom.scheduler.wait()
            assert loom.statuses() == {
                "1": ("cancelled", "cancelled"), "2": ("skipped", "cancelled"),
                "3": ("skipped", "upstream-skipped"),
            }  # fmt: skip
            assert len(tool.calls) == 1

    run_virtual(main())


def test_a_bad_path_is_each_steps_own_failure() -> None:
    async def main() -> None:
        async with fusing(Counted()) as loom:
            bad = {"what": Ref("1", ("gone",))}
            await loom.run(look("1"), Step("2", "look", bad), Step("3", "look", bad))
            assert loom.statuses()["2"] == loom.statuses()["3"] == ("failed", "bad-path")

    run_virtual(main())


# -- the world changes -----------------------------------------------------------------------------


@pytest.mark.parametrize(("effect", "calls"), [("pure", 1), ("read", 2)])
def test_an_effect_between_two_reads_makes_them_two(effect: Effect, calls: int) -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool, effect) as loom:
            change = Step("c", "change", {"x": Ref("1")})
            await loom.run(look("1"), change, *at(0.0, look("2"), "c"))
            assert len(tool.calls) == calls

    run_virtual(main())


def test_a_read_is_not_shared_over_an_effect_that_began_before_it_and_ended_after() -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool, "read") as loom:
            change = Step("c", "change", {"seconds": 3.0})
            await loom.run(change, *at(1.0, look("1")), *at(1.5, look("2")), *at(4.0, look("3")))
            assert len(tool.calls) == 2
            assert [loom.state().steps[id].attempts for id in "123"] == [1, 0, 1]

    run_virtual(main())


def test_a_read_is_not_shared_over_a_round() -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool, "read") as loom:
            await loom.run(look("1"))
            loom.scheduler.hold()
            await loom.run(look("2.1"))
            assert len(tool.calls) == 2

    run_virtual(main())


@pytest.mark.parametrize("order", [{"after": ("1",)}, {"reads": ("r",)}, {"writes": ("r",)}])
def test_a_read_that_says_when_to_look_looks_itself(order: dict[str, Any]) -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool, "read") as loom:
            await loom.run(look("1"), look("2", **order))
            assert len(tool.calls) == 2

    run_virtual(main())


# -- maps ------------------------------------------------------------------------------------------


def test_equal_elements_of_maps_and_equal_steps_are_one_call() -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool) as loom:
            tickers = ["A", "B", "A", "A", "C", "B"]
            one = Step("m", "look", {"what": Item()}, over=tickers)
            other = Step("n", "look", {"what": Item(("t",))}, over=[{"t": "B"}, {"t": "D"}])
            state = await loom.run(one, look("1", "C"), other)
            assert sorted(call["what"] for call in tool.calls) == ["A", "B", "C", "D"]
            assert [value[0]["what"] for value in state.steps["m"].value] == tickers
            assert [value[0]["what"] for value in state.steps["n"].value] == ["B", "D"]
            values = [id(value) for step in ("m", "n") for value in state.steps[step].value]
            assert len(set(values)) == 8
            assert asyncio.get_running_loop().time() == 1.0

    run_virtual(main())


def test_a_wide_map_of_equal_elements_is_one_call_at_any_concurrency() -> None:
    async def main() -> None:
        tool = Counted()
        async with fusing(tool, limits=Limits(concurrency=3)) as loom:
            state = await loom.run(Step("m", "look", {"what": Item()}, over=[1] * 5000))
            assert len(tool.calls) == 1
            assert state.steps["m"].value == [[{"what": 1}]] * 5000

    run_virtual(main())


def test_equal_elements_fail_alike_and_a_map_that_is_stopped_leaves_the_call_to_others() -> None:
    async def main() -> None:
        tool = Counted(refuse)
        async with fusing(tool) as loom:
            state = await loom.run(Step("m", "look", {"what": Item()}, over=[1, 1]))
            assert (len(tool.calls), state.steps["m"].status) == (1, "failed")
        slow = Counted()
        async with fusing(slow) as loom:
            loom.add(Step("m", "look", {"what": Item()}, over=[1, 1]), look("2", 1))
            await asyncio.sleep(0.5)
            loom.scheduler.fail_hole("m", "hole", "bad")
            await loom.scheduler.wait()
            assert loom.statuses() == {"m": ("failed", "hole"), "2": ("done", "")}
            assert len(slow.calls) == 2

    run_virtual(main())


# -- many ------------------------------------------------------------------------------------------


def test_a_follower_with_a_longer_way_to_go_brings_the_call_forward() -> None:
    async def main() -> None:
        async with fusing(Counted(), limits=Limits(concurrency=1)) as loom:
            loom.add(Step("busy", "nap"), look("1"), Step("mid", "nap"))
            loom.add(Step("mid2", "nap", {"x": Ref("mid")}), look("2"))
            loom.add(
                *(Step(f"t{n}", "nap", {"x": Ref(f"t{n - 1}" if n else "2")}) for n in range(5))
            )
            loom.scheduler.rank()
            await loom.scheduler.wait()
            assert loom.started().index("1") < loom.started().index("mid")

    run_virtual(main())


def test_ten_thousand_followers_in_a_chain_need_no_stack() -> None:
    async def main() -> None:
        async with fusing(Counted(echo)) as loom:
            loom.add(look("0", 1))
            loom.add(*(look(str(n), Ref(str(n - 1))) for n in range(1, 10_000)))
            await loom.scheduler.wait()
            assert len(loom.started()) == 1
            assert {status for status, _ in loom.statuses().values()} == {"done"}

    run_virtual(main())


async def echo(what: Any) -> Any:
    return what


def test_arguments_of_more_than_64_kib_are_not_compared() -> None:
    async def main() -> None:
        tool = Counted(echo)
        async with fusing(tool) as loom:
            await loom.run(*(look(str(n), "x" * 70_000) for n in range(2)))
            assert len(tool.calls) == 2

    run_virtual(main())


@pytest.mark.parametrize("seed", range(150))
def test_random_plans_give_the_same_with_every_call_made_and_with_equal_ones_as_one(
    seed: int,
) -> None:
    steps = random_steps(seed)
    random = Random(seed)
    limits = Limits(concurrency=random.choice([1, 3, 64]))
    lost = random.choice(steps).id if seed % 3 == 0 else None
    outcomes = []
    for fuse in (False, True):
        tool = Counted(by_arguments)

        async def main(tool: Counted = tool, fuse: bool = fuse) -> Any:
            async with fusing(tool, fuse=fuse, limits=limits) as loom:
                loom.add(*steps)
                loom.scheduler.rank()
                await asyncio.sleep(0.5)
                if lost:
                    loom.scheduler.fail_hole(lost, "hole", "bad")
                await loom.scheduler.wait()
                for event in loom.log.events:
                    assert event_from_json(json.loads(json.dumps(event_to_json(event)))) == event
                assert loom.scheduler.in_flight == 0
                state = loom.state()
                values = {id: step.value for id, step in state.steps.items()}
                return loom.statuses(), values, [event.step for event in loom.events(StepResult)]

        outcomes.append((run_virtual(main()), tool.calls))
    (plain, calls), (fused, fewer) = outcomes
    if lost is None or plain[0][lost] == ("failed", "hole") == fused[0][lost]:
        assert fused[:2] == plain[:2]
    assert sorted(fused[2]) == sorted(plain[2]) or lost
    distinct = {json.dumps(call, sort_keys=True) for call in fewer}
    assert len(fewer) <= len(distinct) + bool(lost)
    assert len(fewer) <= len(calls)


def random_steps(seed: int) -> list[Step]:
    random = Random(seed)
    steps: list[Step] = []
    for n in range(random.randint(2, 40)):
        choices: list[Any] = [1, 1.0, True, "x", {"a": 1, "b": [2]}, {"b": [2], "a": 1}]
        choices += [Ref(random.choice(steps).id) for _ in range(6) if steps]
        default = {"default": [0]} if random.random() < 0.2 else {}
        steps.append(look(str(n), random.choice(choices), **default))
    return steps


async def by_arguments(what: Any) -> Any:
    text = json.dumps(what, sort_keys=True)
    if len(text) % 5 == 0:
        raise ToolFailed(f"not {len(text)}", code="refused")
    return [1, text] if len(text) % 3 else len(text) % 4
