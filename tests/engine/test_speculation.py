"""Speculation: a call may begin before its guard is known, and nobody can tell."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rig import Functions, Loom, origins

from heddle.engine.events import (
    LateResult,
    SpeculationEnded,
    SpeculationStarted,
    StepEnded,
    StepReady,
    StepResult,
    StepStarted,
)
from heddle.engine.wire import event_from_json, event_to_json
from heddle.models.protocol import Usage
from heddle.plan.ir import Choose, Input, Item, Ref, Step, Template, When
from heddle.plan.limits import Limits
from heddle.plan.spec import Effect, ToolSpec
from heddle.testing.clock import run_virtual
from heddle.tools.function import Metered

ON = Limits(speculation=True)


class World:
    """Tools of every effect; each notes its calls and takes `seconds`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []
        self.stopped: list[str] = []

    async def call(self, tool: str, args: dict[str, Any], attempt: int) -> Any:
        self.calls.append((tool, asyncio.get_running_loop().time()))
        try:
            await asyncio.sleep(args.get("seconds", 0.0))
        except asyncio.CancelledError:
            self.stopped.append(tool)
            raise
        if "raises" in args:
            raise ValueError(args["raises"])
        return args.get("gives", "seen")

    def called(self, tool: str) -> list[float]:
        """When that tool was called."""
        return [at for name, at in self.calls if name == tool]


SPECS = [
    ToolSpec("agree", effect="pure", fuse=False),
    ToolSpec("pure", effect="pure"),
    ToolSpec("read", effect="read"),
    ToolSpec("steered", effect="read", selectors=("who",)),
    ToolSpec("idempotent", effect="idempotent"),
    ToolSpec("write", effect="write"),
    ToolSpec("asks", effect="read", asks_model=True),
    ToolSpec("counted", effect="read", provider="rated"),
    ToolSpec("many", effect="read", max_batch=4),
]


def loom(world: Any, limits: Limits = ON, **options: Any) -> Loom:
    return Loom(world, specs=SPECS, limits=limits, **options)


def guard(seconds: float = 5.0, gives: Any = True, id: str = "ok") -> Step:
    return Step(id, "agree", {"seconds": seconds, "gives": gives})


def guarded(tool: str = "read", seconds: float = 3.0, on: str = "ok", **args: Any) -> Step:
    return Step("x", tool, {"seconds": seconds, **args}, when=When(Ref(on)))


def fates(woven: Loom) -> list[str]:
    return [event.outcome for event in woven.events(SpeculationEnded)]


def weave(*steps: Step, limits: Limits = ON, **options: Any) -> tuple[Loom, World, Any]:
    async def main() -> tuple[Loom, World, Any]:
        world = World()
        async with loom(world, limits, **options) as woven:
            return woven, world, await woven.run(*steps)

    woven, world, state = run_virtual(main())
    started, ended = woven.events(SpeculationStarted), woven.events(SpeculationEnded)
    assert {event.key for event in started} == {event.key for event in ended}
    assert woven.scheduler.in_flight == 0
    assert not woven.scheduler._guesses
    return woven, world, state


@pytest.mark.parametrize("tool", ["pure", "read"])
def test_a_guarded_call_is_over_when_its_guard_says_yes(tool: str) -> None:
    woven, world, state = weave(guard(), guarded(tool))
    assert world.called(tool) == [0.0]
    step = state.steps["x"]
    assert (step.status, step.value, step.attempts) == ("done", "seen", 1)
    assert (step.ready_s, step.started_s, step.finished_s) == (5.0, 5.0, 5.0)
    assert fates(woven) == ["adopted"]


def test_one_in_flight_goes_on_when_its_guard_says_yes() -> None:
    woven, world, state = weave(guard(2.0), guarded(seconds=5.0))
    assert world.called("read") == [0.0]
    assert (state.steps["x"].started_s, state.steps["x"].finished_s) == (2.0, 5.0)
    assert fates(woven) == ["adopted"]


def test_nothing_of_its_step_is_seen_before_it_is_adopted() -> None:
    woven, _, _ = weave(guard(), guarded(), Step("y", "pure", {"of": Ref("x")}))
    of_steps = (StepReady, StepStarted, StepResult, StepEnded)
    assert {event.at for event in woven.events(*of_steps) if event.step in "xy"} == {5.0}
    begun, adopted = woven.events(SpeculationStarted, SpeculationEnded)
    assert (begun.at, begun.tool, adopted.at, adopted.step) == (0.0, "read", 5.0, "x")
    assert begun.key == adopted.key
    for event in (begun, adopted):
        assert event_from_json(event_to_json(event)) == event


@pytest.mark.parametrize("seconds", [3.0, 50.0])
def test_nothing_remains_of_it_when_its_guard_says_no(seconds: float) -> None:
    woven, world, state = weave(guard(gives=False), guarded(seconds=seconds))
    assert len(world.called("read")) == 1
    assert world.stopped == (["read"] if seconds > 5 else [])
    step = state.steps["x"]
    assert (step.status, step.code, step.value, step.attempts) == (
        "skipped",
        "guard-false",
        None,
        0,
    )
    assert [type(event) for event in woven.log.events if getattr(event, "step", "") == "x"] == [
        StepEnded
    ]
    assert fates(woven) == ["discarded"]
    assert state.last_s == 5.0


@pytest.mark.parametrize("gives", [True, False])
def test_its_failure_counts_if_it_is_adopted_and_only_then(gives: bool) -> None:
    _, world, state = weave(guard(gives=gives), guarded(raises="no such page"))
    step = state.steps["x"]
    if gives:
        assert (step.status, step.message) == ("failed", "ValueError: no such page")
    else:
        assert (step.status, step.message) == ("skipped", "")
    assert len(world.called("read")) == 1


def test_without_leave_no_call_comes_before_its_guard() -> None:
    woven, world, state = weave(guard(), guarded(), limits=Limits())
    assert world.called("read") == [5.0]
    assert state.steps["x"].finished_s == 8.0
    assert fates(woven) == []


@pytest.mark.parametrize("tool", ["write", "idempotent", "asks", "counted", "many"])
def test_effects_models_counted_requests_and_batches_wait_for_their_guard(tool: str) -> None:
    limits = Limits(speculation=True, requests_per_minute={"rated": 60.0})
    woven, world, _ = weave(guard(), guarded(tool), limits=limits)
    assert world.called(tool) == [5.0]
    assert fates(woven) == []


def test_a_map_waits_for_its_guard() -> None:
    step = Step("x", "pure", {"of": Item()}, over=[1], when=When(Ref("ok")))
    _, world, _ = weave(guard(), step)
    assert world.called("pure") == [5.0]


def test_steps_that_name_resources_wait_for_their_guard() -> None:
    step = Step("x", "read", {}, reads=("disk",), when=When(Ref("ok")))
    _, world, _ = weave(guard(), step)
    assert world.called("read") == [5.0]


def test_a_step_that_needs_more_than_its_guard_waits_for_it() -> None:
    _, world, _ = weave(guard(), guarded(of=Ref("ok")))
    assert world.called("read") == [5.0]
    _, world, _ = weave(guard(), Step("x", "read", {}, after=("ok",), when=When(Ref("ok"))))
    assert world.called("read") == [5.0]


SEEN = Step("seen", "read", {"gives": "text"})
KNOWN = Step("known", "pure", {"of": Input("mail"), "gives": "k"})
DERIVED = Step("derived", "pure", {"of": [Ref("known")], "gives": "d"})
TOLD = Step("told", "pure", {"of": Ref("seen"), "gives": "t"})


@pytest.mark.parametrize(
    ("who", "begins"),
    [
        ("AAPL", True),
        (Input("mail"), True),
        ([Input("mail"), {"a": 1}], True),
        (Ref("known"), True),
        (Ref("derived"), True),
        (Template(("about ", Ref("derived"))), True),
        (Ref("seen"), False),
        (Ref("told"), False),
        ([{"a": Ref("told")}], False),
        (Template(("about ", Ref("seen"))), False),
        (Choose((Ref("known"),)), False),
    ],
)
@pytest.mark.parametrize("tool", ["read", "steered", "pure"])
def test_nothing_that_was_read_chooses_what_is_looked_at_early(
    tool: str, who: Any, begins: bool
) -> None:
    steps = [guard(), SEEN, KNOWN, DERIVED, TOLD, guarded(tool, who=who)]
    woven, _, state = weave(*steps, inputs={"mail": "m"})
    assert len(fates(woven)) == (begins or tool == "pure")
    assert state.steps["x"].status == "done"


def test_a_payload_may_be_anything() -> None:
    woven, _, _ = weave(guard(), SEEN, guarded("steered", who="AAPL", text=Ref("seen")))
    assert fates(woven) == ["adopted"]


def test_a_call_that_was_made_is_shared_and_not_guessed() -> None:
    woven, world, state = weave(guard(), Step("1", "read", {"seconds": 1}), guarded(seconds=1))
    assert len(world.called("read")) == 1
    assert state.steps["x"].attempts == 0
    assert fates(woven) == []


def test_a_call_that_is_made_meanwhile_is_shared_and_the_guess_discarded() -> None:
    late = Step("1", "pure", {"seconds": 1.0}, after=("nap",))
    steps = [guard(), guarded("pure", 1.0), guard(2.0, id="nap"), late]
    woven, world, state = weave(*steps)
    assert world.called("pure") == [0.0, 2.0]
    assert (state.steps["x"].attempts, state.steps["x"].finished_s) == (0, 5.0)
    assert fates(woven) == ["discarded"]


def many(guards: int, calls: int) -> list[Step]:
    """So many plain calls, and then so many guarded ones."""
    plain = [Step(f"p{n}", "pure", {"n": n}) for n in range(calls)]
    last = guard(1.0, id="last")
    steps = [
        Step(f"x{n}", "read", {"n": n}, after=("last",), when=When(Ref("ok")))
        for n in range(guards)
    ]
    return [*plain, last, guard(), *steps]


@pytest.mark.parametrize(("calls", "begun"), [(0, 1), (40, 1), (98, 2), (149, 3)])
def test_at_most_one_call_is_guessed_or_one_in_fifty(calls: int, begun: int) -> None:
    woven, world, state = weave(*many(9, calls))
    assert len(fates(woven)) == begun
    assert world.called("read").count(1.0) == begun
    assert len(world.called("read")) == 9
    assert {step.status for step in state.steps.values()} == {"done"}


def test_it_waits_for_a_slot_that_nobody_ready_wants() -> None:
    limits = Limits(speculation=True, concurrency=2)
    busy = [Step(str(n), "pure", {"n": n, "seconds": 2.0}) for n in range(2)]
    _, world, state = weave(guard(), *busy, guarded(), limits=limits)
    assert world.called("read") == [4.0]
    assert state.steps["x"].finished_s == 7.0


def test_it_waits_for_a_slot_of_its_tool() -> None:
    limits = Limits(speculation=True, per_tool={"read": 1})
    _, world, _ = weave(
        guard(), Step("1", "read", {"n": 1, "seconds": 2.0}), guarded(), limits=limits
    )
    assert world.called("read") == [0.0, 2.0]


@pytest.mark.parametrize("limits", [{"concurrency": 3}, {"per_tool": {"read": 1}}])
def test_it_gives_way_to_a_step_that_is_ready(limits: dict[str, Any]) -> None:
    ready = [
        Step("1", "read", {"n": 1, "seconds": 1.0}, after=("nap",)),
        Step("2", "pure", {"n": 2, "seconds": 1.0}, after=("nap",)),
    ]
    steps = [guard(1.0, id="nap"), guard(4.0), *ready, guarded(seconds=9.0)]
    woven, world, state = weave(*steps, limits=Limits(speculation=True, **limits))
    assert state.steps["1"].started_s == state.steps["2"].started_s == 1.0
    assert world.stopped == ["read"]
    assert fates(woven) == ["preempted"]
    assert (state.steps["x"].started_s, state.steps["x"].finished_s) == (4.0, 13.0)


def test_what_was_read_before_an_effect_is_not_what_is_adopted() -> None:
    change = Step("w", "write", {"seconds": 1.0})
    for tool, calls, fate in (("read", [0.0, 5.0], "stale"), ("pure", [0.0], "adopted")):
        woven, world, _ = weave(guard(), change, guarded(tool))
        assert world.called(tool) == calls
        assert fates(woven) == [fate]


def test_what_is_read_while_an_effect_goes_on_is_not_adopted_after_it() -> None:
    async def main() -> None:
        world = World()
        async with loom(world, released=False) as woven:
            woven.add(Step("w", "write", {"seconds": 3.0}), guard(), guarded(seconds=9.0))
            await asyncio.sleep(1.0)
            woven.scheduler.release(origins)
            await woven.scheduler.wait()
            assert world.called("read") == [0.0, 5.0]
            assert world.stopped == ["read"]
            assert fates(woven) == ["stale"]

    run_virtual(main())


def test_another_round_makes_what_was_read_stale() -> None:
    async def main() -> None:
        world = World()
        async with loom(world) as woven:
            woven.add(guard(), guarded())
            await asyncio.sleep(4.0)
            woven.scheduler.hold()
            await woven.scheduler.wait()
            assert fates(woven) == ["stale"]

    run_virtual(main())


def test_a_guess_that_hangs_is_given_up_and_the_step_has_its_own_time() -> None:
    step = Step("x", "read", {"seconds": 6.0}, when=When(Ref("ok")), timeout_s=4.0)
    woven, _, state = weave(guard(), step)
    assert fates(woven) == ["timed-out"]
    assert (state.steps["x"].started_s, state.steps["x"].finished_s) == (5.0, 9.0)
    assert state.steps["x"].code == "timed-out"


def test_the_time_of_one_in_flight_counts_from_its_call() -> None:
    step = Step("x", "read", {"seconds": 9.0}, when=When(Ref("ok")), timeout_s=4.0)
    woven, world, state = weave(guard(3.0), step)
    assert (fates(woven), world.stopped) == (["adopted"], ["read"])
    assert (state.steps["x"].code, state.steps["x"].finished_s) == ("timed-out", 4.0)


@pytest.mark.parametrize("seconds", [1.0, 9.0])
def test_cancelling_the_run_discards_it(seconds: float) -> None:
    async def main() -> None:
        world = World()
        async with loom(world) as woven:
            woven.add(guard(), guarded(seconds=seconds))
            await asyncio.sleep(2.0)
            woven.scheduler.cancel("enough")
            assert woven.statuses()["x"] == ("skipped", "cancelled")
            assert fates(woven) == ["discarded"]
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert woven.scheduler.abandoned == 0

    run_virtual(main())


def test_a_guard_that_fails_discards_it() -> None:
    failing = Step("ok", "agree", {"seconds": 5.0, "raises": "boom"})
    woven, _, state = weave(failing, guarded())
    assert (state.steps["x"].code, fates(woven)) == ("upstream-failed", ["discarded"])


def test_a_guard_that_is_not_true_or_false_discards_it() -> None:
    woven, _, state = weave(guard(gives="perhaps"), guarded())
    assert (state.steps["x"].code, fates(woven)) == ("bad-guard", ["discarded"])


def test_a_guard_that_is_a_hole_may_still_be_filled() -> None:
    async def main() -> None:
        world = World()
        async with loom(world) as woven:
            woven.scheduler.reserve("ok")
            woven.add(guarded())
            await asyncio.sleep(4.0)
            woven.scheduler.add(guard(1.0))
            await woven.scheduler.wait()
            assert woven.scheduler.render(Ref("x")) == "seen"
            assert world.called("read") == [0.0]

    run_virtual(main())


def test_what_models_cost_is_counted_and_a_discarded_value_is_not_seen() -> None:
    usage = Usage(input_tokens=10, output_tokens=2)

    async def read(seconds: float) -> Metered:
        await asyncio.sleep(seconds)
        return Metered("secret", usage, 0.5)

    async def agree(seconds: float, gives: bool) -> bool:
        await asyncio.sleep(seconds)
        return gives

    async def main(gives: bool) -> Loom:
        async with loom(Functions(read=read, agree=agree)) as woven:
            await woven.run(guard(gives=gives), guarded())
            return woven

    (late,) = run_virtual(main(False)).events(LateResult)
    assert (late.step, late.value, late.usage, late.cost_usd) == ("x", None, usage, 0.5)
    woven = run_virtual(main(True))
    assert not woven.events(LateResult)
    assert [m.usage for m in woven.state().metered] == [usage]


def test_adopted_steps_one_after_the_other_need_no_recursion() -> None:
    n = 400
    plain = [Step(f"p{k}", "pure", {"n": k}) for k in range(n * 50)]
    first = guard(1.0, id="0")
    nap = Step("nap", "agree", {"seconds": 0.5})
    chain = [
        Step(str(k), "pure", {"k": k, "gives": True}, after=("nap",), when=When(Ref(str(k - 1))))
        for k in range(1, n)
    ]
    woven, _, state = weave(*plain, nap, first, *chain, limits=Limits(speculation=True))
    assert fates(woven).count("adopted") == n - 1
    assert state.last_s == 1.0


def test_a_start_that_the_text_takes_back_is_a_guess_that_costs_none() -> None:
    async def main() -> None:
        world = World()
        async with loom(world) as woven:
            woven.add(Step("1", "read", {"seconds": 9.0}), guard(), guarded())
            await asyncio.sleep(1.0)
            woven.scheduler.fail_hole("1", "hole", "the line goes on after its call")
            await woven.scheduler.wait()
            assert fates(woven) == ["contradicted", "adopted"]
            assert woven.statuses()["1"] == ("failed", "hole")

    run_virtual(main())


def test_a_guess_whose_fate_is_known_before_its_tool_is_called_was_none() -> None:
    async def main() -> None:
        world = World()
        async with loom(world) as woven:
            woven.add(guard(), guarded(id := "read"))
            await asyncio.sleep(0)  # it holds a slot
            assert woven.scheduler.in_flight == 2
            woven.scheduler.stop(["x"], "enough")
            await woven.scheduler.wait()
            assert (world.called(id), fates(woven), woven.scheduler.in_flight) == ([], [], 0)
            assert woven.scheduler._speculation.begun == 0

    run_virtual(main())


@pytest.mark.parametrize("effect", ["pure", "read"])
def test_a_tool_that_ignores_being_stopped_keeps_its_slot_until_it_returns(effect: Effect) -> None:
    async def deaf() -> str:
        end = asyncio.get_running_loop().time() + 20.0
        while (left := end - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                continue
        return "late"

    async def agree(seconds: float, gives: bool) -> bool:
        await asyncio.sleep(seconds)
        return gives

    async def main() -> None:
        specs = [ToolSpec("deaf", effect=effect), ToolSpec("agree", effect="pure")]
        limits = Limits(speculation=True, concurrency=2)
        async with Loom(Functions(deaf=deaf, agree=agree), specs=specs, limits=limits) as woven:
            woven.add(guard(1.0, gives=False), Step("x", "deaf", when=When(Ref("ok"))))
            await woven.scheduler.wait()
            assert woven.scheduler.in_flight == 1
            await asyncio.sleep(30.0)
            assert woven.scheduler.in_flight == 0
            assert not woven.events(LateResult, StepResult)[1:]

    run_virtual(main())
