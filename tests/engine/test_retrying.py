"""Retries: which faults are tried again, how often, after how long, and what is held meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import heddle
from engine.rig import Loom, peak
from heddle.engine.events import CancelRequested, LateResult, StepError, StepIntent, StepStarted
from heddle.engine.faults import Fault
from heddle.engine.record import event_of
from heddle.engine.retrying import Waits
from heddle.engine.slots import LocalSlots
from heddle.errors import ModelError, NotSent, ToolFailed
from heddle.models.protocol import Usage
from heddle.plan.ir import MISSING, Input, Item, Ref, Step
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.testing.clock import run_virtual
from memory_store import MemoryStore, cut_after, entries_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DOWN = ToolFailed("the server is down", code="down", retryable=True)
READ = ToolSpec("f", effect="read", fuse=False)


class Flaky:
    """A tool that raises what it is given, one a call, and then gives its value."""

    def __init__(self, *errors: BaseException, value: Any = "ok", takes_s: float = 0.0) -> None:
        self.errors = list(errors)
        self.value = value
        self.takes_s = takes_s
        self.calls: list[float] = []

    async def __call__(self, **_: Any) -> Any:
        self.calls.append(asyncio.get_running_loop().time())
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        if self.errors:
            raise self.errors.pop(0)
        return self.value


def run(
    call: Callable[..., Awaitable[Any]],
    *steps: Step,
    spec: ToolSpec = READ,
    watch: Callable[[Loom], Any] | None = None,
    **options: Any,
) -> Loom:
    """One run of these steps to its end; by default of one step that calls `f`."""

    async def main() -> Loom:
        async with Loom(functions={"f": call}, specs=[spec], **options) as loom:
            loom.add(*(steps or [Step("1", "f")]))
            if watch is not None:
                watch(loom)
            await loom.scheduler.wait()
            return loom

    return run_virtual(main())


# -- which ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("effect", ["pure", "read", "idempotent"])
def test_a_fault_that_may_pass_is_tried_again(effect: Any) -> None:
    flaky = Flaky(DOWN, ConnectionResetError(), ModelError("", code="cut", provider="p"), value=7)
    flaky.errors[-1].retryable = True  # type: ignore[attr-defined]
    loom = run(flaky, spec=ToolSpec("f", effect=effect))
    step = loom.state().steps["1"]
    assert (step.status, step.value, step.attempts, step.message) == ("done", 7, 4, "")


def test_four_attempts_are_made_and_the_last_failure_is_that_of_the_step() -> None:
    flaky = Flaky(*[ToolFailed(str(n), code="down", retryable=True) for n in range(9)])
    step = run(flaky).state().steps["1"]
    assert (step.status, step.code, step.message) == ("failed", "down", "3")
    assert len(flaky.calls) == step.attempts == 4


def test_an_exception_of_the_tools_own_is_not_tried_again() -> None:
    flaky = Flaky(ValueError("no"))
    assert run(flaky).statuses() == {"1": ("failed", "tool-failed")}
    assert len(flaky.calls) == 1


@pytest.mark.parametrize("by_step", [True, False])
def test_retry_asks_for_further_attempts_whatever_the_fault(by_step: bool) -> None:
    flaky = Flaky(ValueError("a"), ValueError("b"), DOWN, ValueError("c"), value=1)
    step = Step("1", "f", retry=4 if by_step else None)
    spec = ToolSpec("f", effect="read", retry=0 if by_step else 4)  # the step's own counts more
    assert run(flaky, step, spec=spec).state().steps["1"].attempts == 5


def test_retry_0_is_one_attempt() -> None:
    flaky = Flaky(DOWN)
    assert run(flaky, Step("1", "f", retry=0)).statuses() == {"1": ("failed", "down")}
    assert len(flaky.calls) == 1


@pytest.mark.parametrize(
    "error",
    [
        ToolFailed("x is no number", code="bad-argument"),
        ModelError("no key", code="unauthorized", provider="p"),
        ModelError("too long", code="bad-request", provider="p"),
        SystemExit(1),
    ],
)
def test_what_would_fail_again_is_never_tried_again(error: BaseException) -> None:
    flaky = Flaky(error)
    run(flaky, Step("1", "f", retry=5))
    assert len(flaky.calls) == 1


def test_who_says_the_same_three_times_is_poisoned() -> None:
    flaky = Flaky(*[ValueError("no such row")] * 9)
    loom = run(flaky, Step("1", "f", retry=8))
    assert loom.statuses() == {"1": ("failed", "poisoned")}
    assert loom.state().steps["1"].message == "ValueError: no such row"
    assert len(flaky.calls) == 3


def test_a_provider_may_say_the_same_more_often() -> None:
    flaky = Flaky(*[DOWN] * 5)
    assert run(flaky, Step("1", "f", retry=8)).state().steps["1"].attempts == 6


# -- writes --------------------------------------------------------------------------------------


WRITE = ToolSpec("f", effect="write")


def test_a_write_is_tried_again_only_where_nothing_was_sent() -> None:
    flaky = Flaky(NotSent("no connection"), ConnectionRefusedError(), value=1)
    loom = run(flaky, spec=WRITE)
    assert loom.statuses() == {"1": ("done", "")}
    intents = loom.events(StepIntent)
    assert [intent.attempt for intent in intents] == [1, 2, 3]
    assert len({intent.key for intent in intents}) == 1
    assert [error.not_sent for error in loom.events(StepError)] == [True, True]


@pytest.mark.parametrize("error", [ValueError("no"), DOWN, RuntimeError("?")])
def test_a_write_that_failed_is_not_repeated_even_where_retry_is_asked(error: Exception) -> None:
    flaky = Flaky(error)
    loom = run(flaky, Step("1", "f", retry=5), spec=WRITE)
    assert loom.statuses()["1"][0] == "failed"
    assert len(flaky.calls) == 1


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError()])
def test_a_write_whose_answer_was_lost_is_unknown(error: Exception) -> None:
    flaky = Flaky(error)
    loom = run(flaky, Step("1", "f", retry=5), spec=WRITE)
    assert loom.statuses()["1"][0] == "unknown"
    assert len(flaky.calls) == 1


def test_a_write_that_ran_out_of_time_is_not_repeated() -> None:
    flaky = Flaky(takes_s=10)
    loom = run(flaky, Step("1", "f", retry=5, timeout_s=1), spec=WRITE)
    assert loom.statuses() == {"1": ("unknown", "timed-out")}
    assert len(flaky.calls) == 1


ERRORS = st.sampled_from(
    [
        ValueError("no"),
        DOWN,
        NotSent("no"),
        ConnectionResetError(),
        ConnectionRefusedError(),
        TimeoutError(),
        ToolFailed("x", code="bad-argument"),
    ]
)


@given(errors=st.lists(ERRORS, max_size=8), retry=st.none() | st.integers(0, 6), seed=st.integers())
def test_a_write_never_happens_twice_and_no_step_has_more_attempts_than_allowed(
    errors: list[Exception], retry: int | None, seed: int
) -> None:
    flaky = Flaky(*errors)
    loom = run(flaky, Step("1", "f", retry=retry), spec=WRITE, seed=seed)
    happened = errors[: len(flaky.calls) - 1]  # all but the last attempt were tried again
    assert all(isinstance(error, NotSent | ConnectionRefusedError) for error in happened)
    assert len(flaky.calls) <= (4 if retry is None else 1 + retry)
    assert len(loom.events(StepStarted)) == len(flaky.calls)


# -- how long ------------------------------------------------------------------------------------


@given(seed=st.integers(), failures=st.integers(1, 100))
def test_a_wait_is_drawn_from_the_whole_exponential_range(seed: int, failures: int) -> None:
    wait_s = Waits(seed).seconds(Fault("unavailable"), failures)
    assert 0 <= wait_s <= min(30, 0.5 * 2**failures)


@given(seed=st.integers(), failures=st.integers(1, 9), wish=st.floats(0, 3600))
def test_a_providers_wish_is_a_floor(seed: int, failures: int, wish: float) -> None:
    wait_s = Waits(seed).seconds(Fault("throttled", retry_after_s=wish), failures)
    assert wish <= wait_s <= wish + 30


@pytest.mark.parametrize("wish", [None, 1.0, 5.0, 60.0])
def test_a_thousand_who_were_throttled_at_once_do_not_come_back_at_once(wish: float | None) -> None:
    waits = Waits(3)
    fault = Fault("throttled", retry_after_s=wish)
    times = sorted(waits.seconds(fault, 1) for _ in range(1_000))
    assert most_within(times, 0.05) <= 50


def most_within(times: list[float], window_s: float) -> int:
    """The most of these times that lie within one window, wherever it begins."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] > window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_the_same_seed_waits_equally_long() -> None:
    def calls(seed: int) -> list[float]:
        flaky = Flaky(DOWN, DOWN, DOWN)
        run(flaky, seed=seed)
        return flaky.calls

    assert calls(5) == calls(5) != calls(6)


def test_what_cannot_begin_before_the_runs_deadline_fails_at_once_as_itself() -> None:
    flaky = Flaky(ModelError("", code="rate-limited", provider="p", retryable=True))
    flaky.errors[0].retry_after_s = 60.0  # type: ignore[attr-defined]
    loom = run(flaky, watch=lambda loom: loom.scheduler.end_in(30.0))
    assert loom.statuses() == {"1": ("failed", "rate-limited")}
    assert loom.state().last_s == 0.0


def test_no_wait_is_longer_than_half_a_minute_and_some_are_nearly_so() -> None:
    waits = Waits(seed=1)
    drawn = [waits.seconds(Fault("lost"), failures=9) for _ in range(2_000)]
    assert 29.5 < max(drawn) <= 30.0


def test_a_step_has_one_time_limit_for_all_of_its_attempts() -> None:
    flaky = Flaky(*[DOWN] * 99, takes_s=3.0)
    loom = run(flaky, Step("1", "f", retry=98), limits=Limits(step_total_s=20.0))
    assert loom.statuses()["1"][0] == "failed"
    assert 2 < len(flaky.calls) < 7
    assert loom.state().last_s <= 20.0


def test_that_limit_ends_an_attempt_that_has_none_of_its_own_and_no_other_follows() -> None:
    flaky = Flaky(takes_s=1_000.0)
    limits = Limits(step_total_s=10.0, step_timeout_s=None)
    loom = run(flaky, Step("1", "f", retry=98), limits=limits)
    assert loom.statuses()["1"] == ("failed", "timed-out")
    assert (flaky.calls, loom.state().last_s) == ([0.0], 10.0)


@pytest.mark.parametrize(("own_s", "ends_s"), [(4.0, 4.0), (40.0, 10.0)])
def test_an_attempt_ends_at_the_nearer_of_its_own_limit_and_that_of_all(
    own_s: float, ends_s: float
) -> None:
    limits = Limits(step_total_s=10.0, step_timeout_s=None)
    loom = run(Flaky(takes_s=1_000.0), Step("1", "f", retry=0, timeout_s=own_s), limits=limits)
    assert loom.statuses()["1"] == ("failed", "timed-out")
    assert loom.state().last_s == ends_s


def test_a_step_that_gets_no_slot_in_time_is_skipped_and_one_that_did_is_not() -> None:
    flaky = Flaky(takes_s=10.0)
    limits = Limits(concurrency=1, queue_timeout_s=15.0)
    steps = [Step(str(n), "f", {"n": n}) for n in range(3)]
    loom = run(flaky, *steps, Step("4", "f", {"x": Ref("2")}), limits=limits)
    assert loom.statuses() == {
        "0": ("done", ""),
        "1": ("done", ""),
        "2": ("skipped", "expired"),
        "4": ("skipped", "upstream-skipped"),
    }


def test_so_is_an_element_of_a_map() -> None:
    limits = Limits(concurrency=2, queue_timeout_s=15.0)
    mapped = Step("1", "f", {"x": Item()}, over=Input("list"))
    loom = run(Flaky(takes_s=20.0), mapped, limits=limits, inputs={"list": [1, 2]})
    assert loom.statuses() == {"1": ("done", "")}
    busy = Step("0", "f", {"x": 0})
    loom = run(Flaky(takes_s=40.0), busy, mapped, limits=limits, inputs={"list": [1, 2]})
    state = loom.state().steps["1"].map
    assert state is not None
    assert [(fault.element, fault.code) for fault in state.failed_items] == [(1, "expired")]


# -- meanwhile -----------------------------------------------------------------------------------


def test_a_step_that_waits_for_its_next_attempt_holds_no_slot() -> None:
    flaky = Flaky(ToolFailed("", retryable=True, retry_after_s=60.0), takes_s=1.0)
    done: list[float] = []

    async def call(who: str) -> Any:
        if who == "flaky":
            return await flaky()
        await asyncio.sleep(1.0)
        done.append(asyncio.get_running_loop().time())
        return who

    steps = [Step("1", "f", {"who": "flaky"}), *(Step(str(n), "f", {"who": "x"}) for n in (2, 3))]
    slots = LocalSlots({"web": 1})
    spec = ToolSpec("f", effect="read", fuse=False, provider="web")
    loom = run(call, *steps, spec=spec, slots=slots, limits=Limits(concurrency=1))
    assert done == [2.0, 3.0]
    assert loom.state().steps["1"].status == "done"
    assert peak(loom.log.events) == 1


def test_it_is_ready_again_in_the_fold() -> None:
    flaky = Flaky(ToolFailed("", retryable=True, retry_after_s=60.0))
    seen: list[str] = []

    def watch(loom: Loom) -> None:
        loom.scheduler.at(30.0, lambda: seen.append(loom.state().steps["1"].status))

    run(flaky, watch=watch)
    assert seen == ["ready"]


def test_who_counts_on_it_waits_until_it_has_a_value() -> None:
    flaky = Flaky(DOWN, value=5)
    loom = run(flaky, Step("1", "f"), Step("2", "f", {"x": Ref("1")}))
    assert [loom.state().steps[id].status for id in ("1", "2")] == ["done", "done"]


def test_equal_calls_wait_for_the_one_that_is_tried_again() -> None:
    flaky = Flaky(DOWN, value=5)
    spec = ToolSpec("f", effect="read")
    loom = run(flaky, Step("1", "f"), Step("2", "f"), spec=spec)
    assert [loom.state().steps[id].value for id in ("1", "2")] == [5, 5]
    assert len(flaky.calls) == 2


def test_cancelled_between_two_attempts_it_is_cancelled_and_not_tried_again() -> None:
    flaky = Flaky(ToolFailed("", retryable=True, retry_after_s=60.0))

    def watch(loom: Loom) -> None:
        loom.scheduler.at(30.0, lambda: loom.scheduler.cancel("enough"))

    loom = run(flaky, watch=watch)
    assert loom.statuses() == {"1": ("cancelled", "cancelled")}
    assert len(flaky.calls) == 1
    assert loom.events(CancelRequested)


def test_an_attempt_that_ran_out_of_time_is_tried_again_where_retry_says_so() -> None:
    slow = [10.0, 0.5]

    async def call() -> str:
        await asyncio.sleep(slow.pop(0))
        return "ok"

    loom = run(call, Step("1", "f", retry=1, timeout_s=1.0))
    assert loom.state().steps["1"].attempts == 2
    assert [error.code for error in loom.events(StepError)] == ["timed-out"]
    assert loom.statuses() == {"1": ("done", "")}


def test_the_next_attempt_never_begins_before_the_last_has_returned() -> None:
    running: list[int] = [0, 0]

    async def deaf() -> str:
        running[0] += 1
        running[1] = max(running)
        first = running[1] == 1 and not loops
        loops.append(asyncio.get_running_loop().time())
        until = loops[-1] + (50.0 if first else 0.0)
        while (left := until - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                continue  # it takes its time
        running[0] -= 1
        return "late" if first else "ok"

    loops: list[float] = []
    loom = run(deaf, Step("1", "f", retry=1, timeout_s=1.0), limits=Limits(concurrency=9))
    assert running[1] == 1
    assert loops[1] >= 50.0
    assert [late.value for late in loom.events(LateResult)] == ["late"]
    assert loom.state().steps["1"].value == "ok"


# -- maps and batches ----------------------------------------------------------------------------


def test_elements_of_a_map_are_tried_again_each_for_itself() -> None:
    failed: set[int] = set()

    async def call(x: int) -> int:
        if x % 3 == 0 and x not in failed:
            failed.add(x)
            raise DOWN
        return x * 2

    mapped = Step("1", "f", {"x": Item()}, over=Input("list"))
    loom = run(call, mapped, inputs={"list": list(range(10))})
    state = loom.state().steps["1"]
    assert (state.status, state.value) == ("done", [x * 2 for x in range(10)])
    assert state.attempts == 14
    assert state.map is not None
    assert not state.map.messages


def test_an_element_that_keeps_failing_takes_the_default() -> None:
    async def call(x: int) -> int:
        if x == 2:
            raise DOWN
        return x

    mapped = Step("1", "f", {"x": Item()}, over=Input("list"), default=-1)
    loom = run(call, mapped, inputs={"list": [1, 2, 3]})
    assert loom.state().steps["1"].value == [1, -1, 3]
    assert mapped.default is not MISSING


def test_calls_of_a_batch_that_failed_wait_each_for_itself() -> None:
    class Batching:
        sizes: list[int] = []  # noqa: RUF012

        async def call(self, tool: str, args: dict[str, Any], attempt: int) -> Any:
            raise AssertionError("only batches")

        async def call_many(self, tool: str, calls: list[dict[str, Any]]) -> list[Any]:
            self.sizes.append(len(calls))
            if len(self.sizes) == 1:
                raise ConnectionResetError
            return [call["x"] for call in calls]

    async def main() -> Loom:
        spec = ToolSpec("f", effect="read", max_batch=10)
        async with Loom(Batching(), specs=[spec]) as loom:
            await loom.run(*(Step(str(n), "f", {"x": n}) for n in range(4)))
            return loom

    loom = run_virtual(main())
    assert [step.value for step in loom.state().steps.values()] == [0, 1, 2, 3]
    assert Batching.sizes == [4, 1, 1, 1, 1]


# -- going on with a run -------------------------------------------------------------------------


def test_wherever_a_run_is_cut_what_a_failed_attempt_has_cost_is_not_taken_for_a_value() -> None:
    failed: set[int] = set()

    @heddle.tool(effect="read")
    async def ask(x: int) -> int:
        if x not in failed:
            failed.add(x)
            error = ModelError("cut", code="cut", provider="p", retryable=True)
            error.usage = Usage(1, 0, 1)
            raise error
        return 10 * x

    text = '{"heddle": 1, "steps": [{"id": "1", "tool": "ask", "args": {"x": {"$item": []}},'
    plan = heddle.parse(text + ' "over": [1, 2, 3]}]}', dialect="json")

    async def main() -> None:
        store = MemoryStore()
        whole = await heddle.execute(plan, [ask], journal=store, run_id="r")
        assert whole.answer == [10, 20, 30]
        entries = await entries_of(store, "r")
        for n in range(1, len(entries)):
            failed.clear()
            again = await heddle.resume("r", [ask], journal=cut_after(entries, n))
            assert again.answer == [10, 20, 30], n

    run_virtual(main())


def test_a_write_that_was_not_sent_is_tried_again_after_a_crash_and_the_attempts_go_on() -> None:
    calls: list[int] = []

    @heddle.tool(effect="write")
    async def pay(x: int) -> int:
        calls.append(x)
        if len(calls) == 1:
            raise NotSent("no connection")
        return x

    async def main() -> None:
        store = MemoryStore()
        plan = heddle.parse("1. pay(x=5)", dialect="llmcompiler")
        await heddle.execute(plan, [pay], journal=store, run_id="r")
        entries = [event_of(entry) for entry in await entries_of(store, "r")]
        waits = 1 + next(n for n, event in enumerate(entries) if isinstance(event, StepError))
        calls[:] = [5]
        again = await heddle.resume("r", [pay], journal=cut_after(entries, waits))
        assert (again.answer, again.steps[0].attempts, len(calls)) == (5, 2, 2)

    run_virtual(main())
