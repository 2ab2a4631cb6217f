"""Budgets: reserved before a call, settled after it, never gone above."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from rig import Loom

from heddle import Agent, Limits, execute
from heddle.engine.budget import Account, Budget, budget_of
from heddle.engine.events import BudgetDelta, StepStarted
from heddle.engine.log import EventLog
from heddle.engine.wire import event_from_json, event_to_json
from heddle.errors import ConfigError, ToolFailed
from heddle.models.protocol import Request, Usage
from heddle.plan.ir import Item, Plan, Ref, Step
from heddle.plan.spec import ToolSpec
from heddle.testing import ScriptedModel
from heddle.testing.clock import run_virtual
from heddle.tools.function import tool

# -- accounts ----------------------------------------------------------------------------------


def test_what_fits_is_now_what_might_come_back_is_later_and_the_rest_is_never() -> None:
    account = Account({"tokens": 100})
    account.book({"tokens": 80})
    account.hold({"tokens": 50}, 1)
    assert account.verdict({"tokens": 20}) == "now"
    assert account.verdict({"tokens": 70}) == "later"
    assert account.verdict({"tokens": 71}) == "never"
    assert account.verdict({"calls": 1e9}) == "now"  # nothing bounds them


def test_what_is_booked_within_is_booked_around() -> None:
    run = Account({"calls": 10, "tokens": 100})
    inner = Account({"calls": 2}, run, "map:1")
    inner.book({"calls": 2, "tokens": 30})
    assert (inner.room("calls"), run.room("calls")) == (0, 8)
    assert inner.room("tokens") == run.room("tokens") == 70


def test_three_tenths_pay_for_three_calls_of_a_tenth() -> None:
    account = Account({"cost_usd": 0.3})
    for _ in range(3):
        assert account.verdict({"cost_usd": 0.1}) == "now"
        account.book({"cost_usd": 0.1})
    assert account.verdict({"cost_usd": 0.1}) == "never"


def test_what_a_call_did_not_take_comes_back_and_is_told() -> None:
    async def main() -> None:
        log = EventLog()
        budget = Budget({"tokens": 100}, log)
        told: list[float] = []
        budget.freed.append(lambda: told.append(budget.run.room("tokens")))
        reserved = budget.reserve({"tokens": 90, "calls": 1}, "1")
        assert reserved is not None
        assert budget.reserve({"tokens": 20}, "2") is None
        reserved.settle({"tokens": 30})
        reserved.settle({"tokens": 0})  # the second time does nothing
        assert told == [70]
        assert [event.amounts for event in log.events] == [{"tokens": 90}, {"tokens": -60}]

    asyncio.run(main())


def test_a_call_that_was_never_made_gives_all_of_it_back() -> None:
    async def main() -> None:
        budget = Budget({"calls": 1}, EventLog())
        reserved = budget.reserve({"calls": 1}, "1")
        assert reserved is not None
        reserved.drop()
        assert budget.run.room("calls") == 1

    asyncio.run(main())


def test_a_share_is_kept_for_the_join_alone() -> None:
    async def main() -> None:
        budget = Budget({"tokens": 100, "calls": 10}, EventLog())
        budget.keep_for_join(0.2)
        assert budget.reserve({"tokens": 81}, "planner") is None
        assert budget.reserve({"tokens": 80, "calls": 10}, "1") is not None
        assert budget.reserve({"tokens": 20}, "joiner", joining=True) is not None

    asyncio.run(main())


def test_the_events_of_a_run_are_its_budget() -> None:
    async def main() -> None:
        log = EventLog()
        before = Budget({"tokens": 100, "calls": 10}, log)
        inner = before.within(before.run, "map:1", 0.5)
        settled = before.reserve({"tokens": 40, "calls": 1}, "1", inner)
        before.reserve({"tokens": 5, "calls": 1}, "2")  # cut off: it counts in full
        assert settled is not None
        settled.settle({"tokens": 25})
        events = [event_from_json(event_to_json(event)) for event in log.events]
        after = Budget({"tokens": 100, "calls": 10}, EventLog())
        after.recall(events)
        assert after.run.booked == before.run.booked == {"tokens": 30, "calls": 2}
        again = after.within(after.run, "map:1", 0.5)
        assert again.booked == {"tokens": 25, "calls": 1}
        assert after.run.booked == {"tokens": 30, "calls": 2}

    asyncio.run(main())


def test_without_bounds_there_is_no_budget() -> None:
    assert budget_of(Limits(), EventLog()) is None


@pytest.mark.parametrize(
    "odd",
    [
        {"budget_calls": -1},
        {"budget_usd": float("nan")},
        {"budget_calls_by_tool": {"t": -1}},
        {"budget_join_share": 1.5},
        {"max_output_tokens": 0},
    ],
)
def test_odd_bounds_are_refused(odd: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="limits: "):
        Limits(**odd)


# -- calls -------------------------------------------------------------------------------------


async def nap(seconds: float = 1.0, **_: Any) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def fail(**_: Any) -> None:
    raise ToolFailed("no")


def loom(limits: Limits, *specs: ToolSpec, **functions: Any) -> Loom:
    log = EventLog()
    budget = budget_of(limits, log)
    return Loom(log=log, limits=limits, budget=budget, specs=specs, functions=functions)


def test_no_call_is_made_above_the_bound_and_what_runs_runs_on() -> None:
    async def main() -> None:
        async with loom(Limits(budget_calls=3), nap=nap) as run:
            await run.run(*(Step(str(n), "nap") for n in range(5)), Step("5", "nap", after=("4",)))
            ends = run.statuses()
            assert [ends[str(n)][0] for n in range(3)] == ["done"] * 3
            assert ends["3"] == ends["4"] == ("skipped", "over-budget")
            assert ends["5"] == ("skipped", "upstream-skipped")
            assert len(run.events(StepStarted)) == 3

    run_virtual(main())


def test_a_tool_may_have_a_bound_of_its_own() -> None:
    async def main() -> None:
        limits = Limits(budget_calls_by_tool={"dear": 1})
        async with loom(limits, nap=nap, dear=nap) as run:
            await run.run(*(Step(str(n), ("nap", "dear")[n % 2]) for n in range(6)))
            done = [id for id, (status, _) in run.statuses().items() if status == "done"]
            assert sorted(done) == ["0", "1", "2", "4"]

    run_virtual(main())


def test_a_call_that_failed_was_made_and_one_whose_arguments_were_bad_was_not() -> None:
    async def main() -> None:
        async with loom(Limits(budget_calls=2), nap=nap, fail=fail) as run:
            await run.run(
                Step("1", "nap"), Step("2", "nap", {"x": Ref("1", ("gone",))}),
            )  # fmt: skip
            await run.run(Step("3", "fail"), Step("4", "nap", after=("1",)))
            assert run.statuses()["2"] == ("failed", "bad-path")
            assert run.statuses()["3"] == ("failed", "tool-failed")
            assert run.statuses()["4"] == ("skipped", "over-budget")

    run_virtual(main())


def test_elements_of_a_map_are_calls_and_those_that_do_not_fit_are_skipped() -> None:
    async def main() -> None:
        items = list(range(10))
        async with loom(Limits(budget_calls=4), nap=nap) as run:
            state = await run.run(
                Step("1", "nap", {"x": Item()}, over=items),
                Step("2", "nap", {"x": Item()}, over=Ref("1")),
            )
            step = state.steps["1"]
            assert (step.status, step.code) == ("failed", "over-budget")
            assert sum(s.map.given for s in state.steps.values() if s.map is not None) == 4
            assert state.steps["2"].code in ("over-budget", "upstream-failed")

    run_virtual(main())


def test_a_map_may_use_up_only_its_share() -> None:
    async def main() -> None:
        limits = Limits(budget_calls=8, budget_map_share=0.5)
        async with loom(limits, nap=nap) as run:
            state = await run.run(
                Step("1", "nap", {"x": Item()}, over=list(range(10))), Step("2", "nap")
            )
            assert state.steps["1"].map is not None
            assert state.steps["1"].map.given == 4
            assert state.steps["2"].status == "done"

    run_virtual(main())


def test_followers_of_an_equal_call_cost_nothing() -> None:
    async def main() -> None:
        spec = ToolSpec("nap", effect="pure")
        async with loom(Limits(budget_calls=1), spec, nap=nap) as run:
            state = await run.run(Step("1", "nap", {"x": 1}), Step("2", "nap", {"x": 1}))
            assert {step.status for step in state.steps.values()} == {"done"}

    run_virtual(main())


def test_money_is_booked_as_tools_say_and_a_write_over_budget_never_begins() -> None:
    async def main() -> None:
        spec = ToolSpec("pay", effect="write", cost_usd=0.1)
        async with loom(Limits(budget_usd=0.25), spec, pay=nap) as run:
            state = await run.run(*(Step(str(n), "pay") for n in range(4)))
            assert [step.status for step in state.steps.values()] == ["done"] * 2 + ["skipped"] * 2

    run_virtual(main())


def test_nobody_waits_for_what_a_tool_holds_that_does_not_stop() -> None:
    async def deaf(**_: Any) -> None:
        for _hour in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3_600)

    async def main() -> None:
        specs = [ToolSpec(name, effect="read", cost_usd=1.0) for name in ("deaf", "nap")]
        async with loom(Limits(budget_usd=1.5), *specs, deaf=deaf, nap=nap) as run:
            run.add(Step("1", "deaf", timeout_s=5.0), Step("2", "nap"))
            await run.scheduler.wait()
            assert run.statuses() == {"1": ("failed", "timed-out"), "2": ("skipped", "over-budget")}
            assert asyncio.get_running_loop().time() == 7.0  # the grace that a tool has to stop

    run_virtual(main())


def test_a_run_over_budget_says_so_and_ends_with_5() -> None:
    result = run_virtual(
        execute(Plan([Step("1", "twice", {"x": 1}), Step("2", "twice", {"x": 2})]), [twice],
                limits=Limits(budget_calls=1))
    )  # fmt: skip
    assert (result.status, result.exit_status) == ("partial", 5)
    assert result.error is not None
    assert result.error.code == "over-budget"
    assert "--max-calls" in result.error.hint


@tool(effect="pure", fuse=False)
async def twice(x: float) -> float:
    """Twice a number."""
    return 2 * x


# -- tokens ------------------------------------------------------------------------------------


def asking(count: int) -> Plan:
    return Plan([Step(str(n), "llm", {"instruction": f"say {n}"}) for n in range(count)])


def reply(tokens: int) -> list[Any]:
    return [(1.0, "x"), Usage(60, 0, tokens)]


def test_llm_steps_wait_for_what_others_give_back() -> None:
    model = ScriptedModel(lambda _: reply(100))
    limits = Limits(budget_tokens=4_000)  # a reply may take 1,000: three at once and no more
    result = run_virtual(execute(asking(12), model=model, limits=limits))
    assert result.status == "succeeded"
    assert {request.max_output_tokens for request in model.requests} == {1_000}
    used = result.usage.input_tokens + result.usage.output_tokens
    assert used == 12 * 160
    assert booked(result.events, "tokens") == used


def test_tokens_are_never_gone_above() -> None:
    model = ScriptedModel(lambda _: reply(900))
    result = run_virtual(execute(asking(12), model=model, limits=Limits(budget_tokens=4_000)))
    used = result.usage.input_tokens + result.usage.output_tokens
    assert result.exit_status == 5
    assert 0 < used <= 4_000
    assert {step.error.code for step in result.steps if step.error} == {"over-budget"}


def test_prompts_are_reckoned_higher_once_a_provider_counts_more() -> None:
    model = ScriptedModel(lambda _: [(1.0, "x"), Usage(600, 0, 1)])
    limits = Limits(budget_input_tokens=2_000, concurrency=1)
    result = run_virtual(execute(asking(12), model=model, limits=limits))
    assert result.usage.input_tokens == 1_800  # the fourth did not fit, by what was learned


@pytest.mark.parametrize("rate", [0.2, 0.3, 0.45])
def test_a_provider_that_counts_more_than_was_reckoned_costs_nobody_the_budget(rate: float) -> None:
    """Neither at first, when nobody knows how it counts, nor later, for whatever asks it."""

    def answer(request: Request) -> list[Any]:
        return [(1.0, "word"), Usage(int(rate * request.characters), 0, 10)]

    steps = [Step(str(n), "llm", {"instruction": f"{n} " + "word " * 400}) for n in range(60)]
    result = run_virtual(
        execute(Plan(steps), model=ScriptedModel(answer), limits=Limits(budget_tokens=20_000))
    )
    used = result.usage.input_tokens + result.usage.output_tokens
    assert used <= 20_000
    assert used >= 0.7 * 20_000  # the rest is what one more reply might have taken
    assert {step.status for step in result.steps} == {"done", "skipped"}


def test_a_budget_of_money_needs_a_price() -> None:
    with pytest.raises(ConfigError, match="nobody knows the price of scripted:scripted"):
        run_virtual(
            execute(asking(1), model=ScriptedModel("x"), limits=Limits(budget_usd=1.0))
        )  # fmt: skip


def booked(events: Any, kind: str) -> float:
    deltas = [event for event in events if isinstance(event, BudgetDelta)]
    return sum(event.amounts.get(kind, 0.0) for event in deltas)


# -- agents ------------------------------------------------------------------------------------

PLAN = "1. twice(1)\n2. twice(2)\n3. join()"
FINISH = '{"action": "finish", "answer": "six", "reason": null}'
REPLAN = '{"action": "replan", "answer": null, "reason": "more"}'


def test_a_planner_without_room_is_not_asked() -> None:
    model = ScriptedModel({"planner": PLAN, "joiner": FINISH})
    agent = Agent(model, [twice], strategy="llmcompiler", limits=Limits(budget_tokens=100))
    result = run_virtual(agent.run("?"))
    assert (result.exit_status, model.requests) == (5, [])
    assert result.error is not None
    assert result.error.code == "over-budget"


def test_the_join_is_paid_for_when_all_else_is_used_up() -> None:
    model = ScriptedModel(
        {"planner": [PLAN, Usage(700, 0, 900)], "joiner": [FINISH, Usage(100, 0, 20)]}
    )
    limits = Limits(budget_tokens=3_000, budget_join_share=0.4)
    agent = Agent(model, [twice], strategy="llmcompiler", limits=limits)
    result = run_virtual(agent.run("?"))
    assert (result.answer, result.exit_status) == ("six", 0)
    joiner = model.requests[-1]
    assert joiner.role == "joiner"
    assert joiner.max_output_tokens is not None
    assert "No further round is possible" in joiner.messages[0].content


def test_long_results_are_cut_so_that_the_joiner_can_read_them() -> None:
    @tool(effect="read")
    async def page(n: int) -> str:
        """A long page."""
        return f"{n} " + "lorem ipsum " * 2_000

    model = ScriptedModel({"planner": "1. page(1)\n2. page(2)\n3. join()", "joiner": FINISH})
    agent = Agent(model, [page], strategy="llmcompiler", limits=Limits(budget_tokens=6_000))
    result = run_virtual(agent.run("?"))
    assert result.answer == "six"
    read = model.requests[-1].messages[1].content
    assert '"head": "\\"1 lorem' in read
    assert result.usage.input_tokens + result.usage.output_tokens <= 6_000


@pytest.mark.parametrize("tokens", [*range(2_000, 6_000, 250), 8_000, 12_000, 16_000])
def test_a_joiner_that_wants_more_than_is_left_is_asked_once_more_for_an_answer(
    tokens: int,
) -> None:
    def answer(request: Request) -> list[Any]:
        if request.role == "planner":
            return [PLAN, Usage(700, 0, 100)]
        last = "No further round is possible" in request.messages[0].content
        long = request.max_output_tokens or 0
        return [FINISH, Usage(100, 0, 20)] if last else [REPLAN, Usage(100, 0, long)]

    limits = Limits(budget_tokens=tokens, budget_join_share=0.2)
    agent = Agent(ScriptedModel(answer), [twice], strategy="llmcompiler", limits=limits)
    result = run_virtual(agent.run("?"))
    assert (result.answer, result.error) == ("six", None)
    assert result.usage.input_tokens + result.usage.output_tokens <= tokens


def test_so_is_one_that_has_taken_the_time_for_another_round() -> None:
    replies = [PLAN, [(30.0, REPLAN)], FINISH]
    model = ScriptedModel(lambda request: replies.pop(0))
    limits = Limits(run_timeout_s=40.0, join_reserve_s=20.0)
    agent = Agent(model, [twice], strategy="llmcompiler", limits=limits)
    result = run_virtual(agent.run("?"))
    assert (result.answer, result.error) == ("six", None)
    assert [request.role for request in model.requests] == ["planner", "joiner", "joiner"]
