"""Failing, timing out, being cancelled: nobody else suffers, and nothing hangs or leaks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rig import Functions, Loom

from heddle.engine.events import (
    CallAbandoned,
    CancelRequested,
    LateResult,
    StepEnded,
    StepError,
    StepUnknown,
)
from heddle.engine.log import EventLog
from heddle.engine.slots import LocalSlots
from heddle.engine.wire import event_from_json, event_to_json
from heddle.errors import ToolFailed
from heddle.models.protocol import Usage
from heddle.plan.ir import Ref, Step
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.testing.clock import run_virtual
from heddle.tools.function import Metered


async def quick(**args: Any) -> Any:
    return args.get("x", 1)


async def nap(seconds: float = 1.0, **_: Any) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def never(**_: Any) -> None:
    await asyncio.Event().wait()


def drained(loom: Loom) -> bool:
    """Whether every slot is free again and every deadline forgotten."""
    gates = [
        *loom.scheduler._queue._slots._slots._gates.values(),
        *loom.scheduler._queue._tool_slots._gates.values(),
    ]
    return (
        loom.scheduler.in_flight == 0
        and not loom.scheduler._attempts.deadlines._heap
        and not any(gate.allowance.in_flight for gate in gates)
    )


def test_nine_of_ten_finish_when_one_fails() -> None:
    async def sometimes(number: int) -> int:
        await asyncio.sleep(1)
        if number == 3:
            raise ValueError("three is not my number")
        return number

    async def main() -> None:
        async with Loom(functions={"sometimes": sometimes}) as loom:
            state = await loom.run(*(Step(str(n), "sometimes", {"number": n}) for n in range(10)))
            bad = state.steps.pop("3")
            assert (bad.status, bad.code) == ("failed", "tool-failed")
            assert bad.message == "ValueError: three is not my number"
            assert [step.value for step in state.steps.values()] == [0, 1, 2, 4, 5, 6, 7, 8, 9]

    run_virtual(main())


@pytest.mark.parametrize(
    "raised",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError(),
        BaseException(),
    ],
    ids=repr,
)
def test_whatever_a_tool_raises_is_its_own_failure(raised: BaseException) -> None:
    async def raises(**_: Any) -> None:
        await asyncio.sleep(1)
        raise raised

    async def main() -> None:
        async with Loom(functions={"raises": raises, "nap": nap}) as loom:
            state = await loom.run(Step("1", "raises"), Step("2", "nap", {"seconds": 2.0}))
            assert (state.steps["1"].status, state.steps["1"].code) == ("failed", "tool-failed")
            assert state.steps["2"].status == "done"

    run_virtual(main())


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (Mute(), "tool-failed", "Mute"),
        (OSError("na\udcefve.txt"), "tool-failed", "OSError: na\ufffdve.txt"),
        (ToolFailed("na\udcefve", code="a\udc80"), "a\ufffd", "na\ufffdve"),
        (ValueError("x" * 10**6), "tool-failed", "ValueError: " + "x" * 3_988),
    ],
    ids=["mute", "not unicode", "not unicode, by code", "long"],
)
def test_whatever_a_failure_says_can_be_written_down(
    raised: Exception, code: str, message: str
) -> None:
    async def raises(**_: Any) -> None:
        raise raised

    async def main() -> None:
        async with Loom(functions={"raises": raises}) as loom:
            step = (await loom.run(Step("1", "raises"))).steps["1"]
            assert (step.status, step.code, step.message) == ("failed", code, message)

    run_virtual(main())


def test_a_tool_that_cancels_its_own_task_fails_and_nothing_hangs() -> None:
    async def cancels(**_: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1)

    async def main() -> None:
        limits = Limits(concurrency=1)
        async with Loom(functions={"cancels": cancels, "quick": quick}, limits=limits) as loom:
            state = await loom.run(Step("1", "cancels"), Step("2", "quick"))
            assert (state.steps["1"].status, state.steps["1"].code) == ("failed", "tool-failed")
            assert state.steps["2"].status == "done"
        assert drained(loom)

    run_virtual(main())


def test_a_tool_that_cancels_its_own_task_and_returns_does_not_harm_the_next_step() -> None:
    async def cancels(**_: Any) -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return "done"

    async def main() -> None:
        limits = Limits(concurrency=1)
        async with Loom(functions={"cancels": cancels, "nap": nap}, limits=limits) as loom:
            state = await loom.run(Step("1", "cancels"), Step("2", "nap"))
            assert [step.status for step in state.steps.values()] == ["done", "done"]
        assert drained(loom)

    run_virtual(main())


def test_a_step_that_outlasts_its_deadline_ends_there_and_its_tool_is_stopped() -> None:
    stopped: list[float] = []

    async def slow(**_: Any) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            stopped.append(asyncio.get_running_loop().time())

    async def main() -> None:
        async with Loom(functions={"slow": slow, "quick": quick}) as loom:
            state = await loom.run(
                Step("1", "slow", timeout_s=5.0), Step("2", "quick", {"x": Ref("1")})
            )
            one, two = state.steps.values()
            assert (one.status, one.code, one.finished_s) == ("failed", "timed-out", 5.0)
            assert (two.status, two.code) == ("skipped", "upstream-failed")
        assert stopped == [5.0]

    run_virtual(main())


@pytest.mark.parametrize(
    ("step_s", "tool_s", "run_s", "ends"),
    [(1.0, 2.0, 3.0, 1.0), (None, 2.0, 3.0, 2.0), (None, None, 3.0, 3.0)],
)
def test_the_nearest_timeout_counts(
    step_s: float | None, tool_s: float | None, run_s: float, ends: float
) -> None:
    async def main() -> None:
        spec = ToolSpec("never", effect="pure", timeout_s=tool_s)
        limits = Limits(step_timeout_s=run_s)
        async with Loom(Functions(never=never), specs=[spec], limits=limits) as loom:
            state = await loom.run(Step("1", "never", timeout_s=step_s))
            assert state.steps["1"].finished_s == ends

    run_virtual(main())


def test_a_deadline_does_not_run_while_a_step_waits_for_its_slot() -> None:
    async def main() -> None:
        async with Loom(functions={"nap": nap}, limits=Limits(concurrency=1)) as loom:
            steps = [Step(str(n), "nap", timeout_s=1.5) for n in range(5)]
            state = await loom.run(*steps)
            assert {step.status for step in state.steps.values()} == {"done"}

    run_virtual(main())


def test_a_tool_that_swallows_cancellation_keeps_its_slot_until_it_returns() -> None:
    async def stubborn(**_: Any) -> str:
        loop = asyncio.get_running_loop()
        while loop.time() < 30:
            try:
                await asyncio.sleep(30 - loop.time())
            except asyncio.CancelledError:
                continue
        return "late"

    async def main() -> None:
        limits = Limits(concurrency=1)
        async with Loom(functions={"stubborn": stubborn, "quick": quick}, limits=limits) as loom:
            state = await loom.run(Step("1", "stubborn", timeout_s=5.0), Step("2", "quick"))
            assert (state.steps["1"].code, state.steps["1"].finished_s) == ("timed-out", 5.0)
            assert state.steps["2"].started_s == 30.0
            assert [(late.at, late.value) for late in loom.events(LateResult)] == [(30.0, "late")]
            assert state.steps["1"].value is None

    run_virtual(main())


def test_a_tool_that_never_stops_is_left_behind_after_the_grace_and_counted() -> None:
    async def main() -> None:
        free = asyncio.Event()

        async def deaf(**_: Any) -> None:
            while not free.is_set():
                try:
                    await free.wait()
                except asyncio.CancelledError:
                    continue

        loop = asyncio.get_running_loop()
        loom = Loom(functions={"deaf": deaf}, limits=Limits(grace_s=2.0))
        loom.add(Step("1", "deaf"))
        await asyncio.sleep(1)
        await loom.scheduler.close()
        assert loop.time() == 3.0
        assert loom.scheduler.abandoned == 1
        assert loom.statuses() == {"1": ("cancelled", "cancelled")}
        free.set()

    run_virtual(main())


def test_who_does_not_want_to_wait_for_the_grace_leaves_at_once() -> None:
    async def deaf(**_: Any) -> None:
        until = asyncio.get_running_loop().time() + 9
        while (left := until - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                continue

    log = EventLog()

    async def serve() -> None:
        async with Loom(functions={"f": deaf}, log=log) as loom:
            loom.scheduler.add(Step("1", "f"))
            await asyncio.sleep(1)

    async def main() -> None:
        serving = asyncio.create_task(serve())
        await asyncio.sleep(2)
        serving.cancel()  # while it waits for what does not hear
        await asyncio.wait([serving])
        assert serving.cancelled()
        assert asyncio.get_running_loop().time() == 2
        assert [event.step for event in log.events if isinstance(event, CallAbandoned)] == ["1"]
        await asyncio.sleep(10)

    run_virtual(main())


def test_cancelling_ends_running_steps_as_cancelled_and_the_others_as_skipped() -> None:
    async def main() -> None:
        limits = Limits(concurrency=2)
        async with Loom(functions={"nap": nap, "never": never}, limits=limits) as loom:
            loom.add(
                Step("1", "nap", {"seconds": 0.5}),
                Step("2", "never"),
                Step("3", "never"),
                Step("4", "nap"),
                Step("5", "nap", after=("3",)),
            )
            await asyncio.sleep(1)
            loom.scheduler.cancel("enough", code="not-needed")
            await loom.scheduler.wait()
            assert loom.statuses() == {
                "1": ("done", ""),
                "2": ("cancelled", "not-needed"),
                "3": ("cancelled", "not-needed"),
                "4": ("skipped", "not-needed"),
                "5": ("skipped", "not-needed"),
            }
            assert [event.reason for event in loom.events(CancelRequested)] == ["enough"]
        assert drained(loom)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


def test_cancelling_from_inside_a_tool() -> None:
    async def main() -> None:
        async def cancels(**_: Any) -> str:
            loom.scheduler.cancel("from within")
            await asyncio.sleep(1)
            return "unreachable"

        async with Loom(functions={"cancels": cancels, "never": never}) as loom:
            loom.add(Step("1", "never"), Step("2", "cancels"), Step("3", "never", after=("2",)))
            await loom.scheduler.wait()
            assert loom.statuses() == {
                "1": ("cancelled", "cancelled"),
                "2": ("cancelled", "cancelled"),
                "3": ("skipped", "cancelled"),
            }
        assert drained(loom)

    run_virtual(main())


def test_cancelling_before_a_worker_has_begun_gives_every_slot_back() -> None:
    async def main() -> None:
        shared = LocalSlots({"p": 1})
        spec = ToolSpec("quick", effect="pure", provider="p", concurrency=1)
        limits = Limits(concurrency=1)
        async with Loom(Functions(quick=quick), specs=[spec], limits=limits, slots=shared) as loom:
            loom.add(Step("1", "quick"))
            loom.scheduler.cancel("at once")
            loom.add(Step("2", "quick"))
            await loom.scheduler.wait()
            statuses = loom.statuses()
            assert statuses["1"][0] in ("skipped", "cancelled")
            assert statuses["2"] == ("done", "")
            assert loom.started() == ["2"]
        assert drained(loom)

    run_virtual(main())


@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_a_write_in_flight_ends_as_unknown(how: str) -> None:
    async def main() -> None:
        spec = ToolSpec("never", effect="write")
        async with Loom(Functions(never=never), specs=[spec]) as loom:
            loom.add(Step("1", "never", timeout_s=5.0))
            await asyncio.sleep(1)
            if how == "cancel":
                loom.scheduler.cancel("stop")
            await loom.scheduler.wait()
            code = "cancelled" if how == "cancel" else "timed-out"
            assert loom.statuses() == {"1": ("unknown", code)}
            assert [event.reason for event in loom.events(StepUnknown)] == [code]

    run_virtual(main())


@pytest.mark.parametrize("effect", ["pure", "read", "idempotent"])
def test_what_is_no_write_is_never_unknown(effect: Any) -> None:
    async def main() -> None:
        spec = ToolSpec("never", effect=effect)
        async with Loom(Functions(never=never), specs=[spec]) as loom:
            state = await loom.run(Step("1", "never", timeout_s=5.0))
            assert state.steps["1"].status == "failed"
            assert not loom.events(StepUnknown)

    run_virtual(main())


class SlowLog(EventLog):
    """A log whose events take a second to be safe."""

    async def durable(self, seq: int) -> None:
        await asyncio.sleep(1)


def test_a_write_whose_call_has_not_begun_is_cancelled_and_not_unknown() -> None:
    calls: list[str] = []

    async def write(**_: Any) -> None:
        calls.append("write")

    async def main() -> None:
        spec = ToolSpec("write", effect="write")
        async with Loom(Functions(write=write), specs=[spec], log=SlowLog()) as loom:
            loom.add(Step("1", "write"))
            await asyncio.sleep(0.5)
            loom.scheduler.cancel("stop")
            await loom.scheduler.wait()
            await asyncio.sleep(5)
            assert loom.statuses() == {"1": ("skipped", "cancelled")}
            assert not loom.events(StepUnknown)
        assert drained(loom)

    run_virtual(main())
    assert calls == []


def test_an_effect_whose_intent_cannot_be_written_down_does_not_happen() -> None:
    class FullDisk(EventLog):
        async def durable(self, seq: int) -> None:
            raise OSError(28, "No space left on device")

    async def main() -> None:
        spec = ToolSpec("never", effect="write")
        async with Loom(Functions(never=never), specs=[spec], log=FullDisk()) as loom:
            state = await loom.run(Step("1", "never"))
            assert state.steps["1"].status == "failed"
            assert "No space left" in state.steps["1"].message
            assert loom.started() == []

    run_virtual(main())


def test_at_runs_something_later_unless_dropped() -> None:
    async def main() -> None:
        async with Loom(functions={"never": never}) as loom:
            loom.add(Step("1", "never"))
            loom.scheduler.at(7.0, lambda: loom.scheduler.cancel("time is up", code="deadline"))
            await loom.scheduler.wait()
            step = loom.state().steps["1"]
            assert (step.code, step.finished_s) == ("deadline", 7.0)

    run_virtual(main())


def test_a_failure_says_so_before_it_ends_the_step() -> None:
    async def main() -> None:
        async with Loom(functions={"never": never}) as loom:
            await loom.run(Step("1", "never", timeout_s=1.0))
            assert [(e.code, e.attempt) for e in loom.events(StepError)] == [("timed-out", 1)]

    run_virtual(main())


def test_a_step_that_comes_after_the_last_cancellation_does_not_start() -> None:
    async def main() -> None:
        async with Loom(functions={"never": never}) as loom:
            loom.scheduler.reserve("1")
            loom.add(Step("2", "never"))
            await asyncio.sleep(1)
            loom.scheduler.cancel("time is up", code="deadline", final=True)
            loom.add(Step("3", "never"), Step("1", "never"), Step("4", "never", {"x": Ref("3")}))
            await loom.scheduler.wait()
            assert loom.statuses() == {
                "1": ("skipped", "deadline"),
                "2": ("cancelled", "deadline"),
                "3": ("skipped", "deadline"),
                "4": ("skipped", "deadline"),
            }
            assert loom.started() == ["2"]
            assert len(loom.events(StepEnded)) == 4

    run_virtual(main())


def test_a_step_that_comes_after_the_runs_time_is_up_does_not_start() -> None:
    async def never() -> None:
        raise AssertionError

    async def main() -> None:
        async with Loom(functions={"never": never}) as loom:
            loom.scheduler.end_in(5.0)
            await asyncio.sleep(6)
            await loom.run(Step("1", "never"))
            assert loom.statuses() == {"1": ("skipped", "deadline")}

    run_virtual(main())


def test_other_cancellations_do_not_bind_a_later_round() -> None:
    async def main() -> None:
        async with Loom(functions={"never": never, "quick": quick}) as loom:
            loom.add(Step("1", "never"))
            loom.scheduler.cancel("enough is there", code="not-needed")
            state = await loom.run(Step("2.1", "quick"))
            assert state.steps["2.1"].status == "done"

    run_virtual(main())


def test_what_runs_in_the_place_of_a_bad_line_is_stopped_and_ends_once() -> None:
    async def main() -> None:
        limits = Limits(step_timeout_s=5)
        async with Loom(functions={"never": never, "nap": nap}, limits=limits) as loom:
            loom.add(Step("1", "never"), Step("2", "nap", {"seconds": 9.0}, timeout_s=20))
            await asyncio.sleep(1)
            loom.scheduler.fail_hole("1", "hole", "the line goes on after its call")
            await loom.scheduler.wait()
            assert [(event.step, event.at) for event in loom.events(StepEnded)] == [
                ("1", 1),
                ("2", 9),
            ]
            assert loom.scheduler.in_flight == 0
        assert drained(loom)

    run_virtual(main())


def test_a_value_that_comes_too_late_is_plain_and_its_cost_is_counted() -> None:
    async def deaf(**_: Any) -> Any:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
        return Metered("late", Usage(3, 0, 2), 0.5)

    async def main() -> None:
        async with Loom(functions={"deaf": deaf}) as loom:
            await loom.run(Step("1", "deaf", timeout_s=5))
            await loom.scheduler.close()
            (late,) = loom.events(LateResult)
            assert (late.value, late.usage, late.cost_usd) == ("late", Usage(3, 0, 2), 0.5)
            assert loom.state().metered == [late]
            assert event_from_json(event_to_json(late)) == late

    run_virtual(main())


@pytest.mark.parametrize("cleaning_s", [0.0, 1.0])
def test_a_step_that_was_cancelled_does_not_time_out_as_well(cleaning_s: float) -> None:
    async def slow_to_leave(**_: Any) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(cleaning_s)

    async def main() -> None:
        async with Loom(functions={"slow_to_leave": slow_to_leave}) as loom:
            loom.scheduler.at(5, lambda: loom.scheduler.cancel("enough"))
            loom.add(Step("1", "slow_to_leave", timeout_s=5 + cleaning_s / 2))
            await asyncio.sleep(10)
            assert [event.status for event in loom.events(StepEnded)] == ["cancelled"]
            assert loom.scheduler.idle

    run_virtual(main())
