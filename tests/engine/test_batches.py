"""Calls that become ready together are one call of the tool's batch form."""

from __future__ import annotations

import asyncio
from typing import Any

from rig import Loom

import heddle
from heddle.engine.events import LateResult, StepEnded, StepResult, StepStarted
from heddle.engine.executor import LocalExecutor
from heddle.errors import ToolFailed
from heddle.models.protocol import Usage
from heddle.plan.ir import Item, Ref, Step
from heddle.plan.limits import Limits
from heddle.testing.clock import run_virtual
from heddle.tools.function import Metered, tool

TICKERS = ["AAPL", "MSFT", "NVDA", "AMZN", "META", "TSLA", "ORCL", "INTC", "IBM"]


class Desk:
    """A tool `price` with its batch form, and what was asked of it."""

    def __init__(self, **options: Any) -> None:
        self.asked: list[list[str]] = []
        self.seconds = options.pop("seconds", 1.0)

        async def prices(tickers: list[str]) -> list[float | Exception]:
            self.asked.append(tickers)
            await asyncio.sleep(self.seconds)
            if "ALL" in tickers:
                raise ToolFailed("closed today", code="closed")
            return [ToolFailed("no such", code="no-such") if t == "?" else len(t) for t in tickers]

        @tool(effect="read", provider="quotes", batch=prices, **options)
        async def price(ticker: str) -> float:
            raise AssertionError("never asked for one")

        @tool(effect="pure", fuse=False)
        async def nap(seconds: float = 1.0, x: Any = None) -> float:
            await asyncio.sleep(seconds)
            return seconds

        self.tools = [price, nap]

    def loom(self, **options: Any) -> Loom:
        box = {item.spec.name: item for item in self.tools}
        executor = LocalExecutor(box)
        return Loom(executor, specs=[item.spec for item in self.tools], **options)


def price(ticker: str, id: str = "", **fields: Any) -> Step:
    return Step(id or ticker, "price", {"ticker": ticker}, **fields)


def test_nine_calls_of_one_chunk_are_one_call_of_one_slot_and_one_request() -> None:
    async def main() -> None:
        desk = Desk()
        limits = Limits(requests_per_minute={"quotes": 1})
        async with desk.loom(limits=limits) as loom:
            state = await loom.run(*map(price, TICKERS))
            assert desk.asked == [TICKERS]
            assert [step.value for step in state.steps.values()] == [len(t) for t in TICKERS]
            for kind in (StepStarted, StepResult, StepEnded):
                assert [event.step for event in loom.events(kind)] == TICKERS
            assert {step.attempts for step in state.steps.values()} == {1}
            assert loom.scheduler.peak_in_flight == 1
            assert asyncio.get_running_loop().time() == 1.0

    run_virtual(main())


def test_a_whole_run_makes_one_call_of_nine_lines() -> None:
    desk = Desk()
    plan = heddle.parse("\n".join(f'{n}. price("{t}")' for n, t in enumerate(TICKERS, 1)))
    result = run_virtual(heddle.execute(plan, desk.tools))
    assert result.status == "succeeded"
    assert desk.asked == [TICKERS]


def test_lines_that_arrive_one_by_one_start_at_once_unless_the_tool_waits_for_more() -> None:
    async def main(desk: Desk) -> list[list[str]]:
        async with desk.loom(limits=Limits(per_provider={"quotes": 2})) as loom:
            for ticker in TICKERS[:5]:
                loom.add(price(ticker))
                await asyncio.sleep(0.01)
            await loom.scheduler.wait()
            return desk.asked

    first, second, *rest = TICKERS[:5]
    assert run_virtual(main(Desk())) == [[first], [second], rest]
    assert run_virtual(main(Desk(batch_wait_s=0.1))) == [TICKERS[:5]]
    assert run_virtual(main(Desk(batch_wait_s=0.025))) == [TICKERS[:3], TICKERS[3:5]]


def test_a_batch_is_no_larger_than_the_tool_takes() -> None:
    async def main() -> None:
        desk = Desk(max_batch=4, batch_wait_s=60.0)
        async with desk.loom() as loom:
            loom.add(*map(price, TICKERS[:8]))
            await asyncio.sleep(0.5)
            assert desk.asked == [TICKERS[:4], TICKERS[4:8]]
            await loom.scheduler.wait()

    run_virtual(main())


def test_equal_calls_are_one_member() -> None:
    async def main() -> None:
        desk = Desk()
        async with desk.loom() as loom:
            state = await loom.run(price("A", "1"), price("B", "2"), price("A", "3"))
            assert desk.asked == [["A", "B"]]
            assert [step.attempts for step in state.steps.values()] == [1, 1, 0]

    run_virtual(main())


def test_a_members_failure_is_its_own_and_the_batchs_is_everybodys() -> None:
    async def main() -> None:
        desk = Desk()
        async with desk.loom() as loom:
            bad = Step("bad", "price", {"ticker": 5})
            lost = Step("lost", "price", {"ticker": Ref("AAPL", ("gone",))})
            await loom.run(price("AAPL"), price("?"), bad)
            await loom.run(price("ALL"), price("IBM"), lost)
            assert loom.statuses() == {
                "AAPL": ("done", ""), "?": ("failed", "no-such"), "bad": ("failed", "bad-argument"),
                "ALL": ("failed", "closed"), "IBM": ("failed", "closed"),
                "lost": ("failed", "bad-path"),
            }  # fmt: skip
            assert desk.asked == [["AAPL", "?"], ["ALL", "IBM"]]
            assert loom.scheduler.in_flight == 0

    run_virtual(main())


def test_a_batch_is_out_of_time_together_and_its_tool_is_stopped() -> None:
    async def main() -> None:
        desk = Desk(seconds=60.0, timeout_s=5.0)
        async with desk.loom() as loom:
            await loom.run(price("A"), price("B"))
            assert set(loom.statuses().values()) == {("failed", "timed-out")}
            await asyncio.sleep(0)
            assert loom.scheduler.in_flight == 0
            assert not loom.scheduler._attempts.deadlines._heap
            assert not loom.events(LateResult)

    run_virtual(main())


def test_who_is_taken_back_leaves_the_others_their_call() -> None:
    async def main() -> None:
        desk = Desk()
        async with desk.loom() as loom:
            loom.add(price("A"), price("B"), price("C", timeout_s=0.7))
            await asyncio.sleep(0.5)
            loom.scheduler.fail_hole("A", "hole", "bad")
            await loom.scheduler.wait()
            assert loom.statuses() == {
                "A": ("failed", "hole"), "B": ("done", ""), "C": ("failed", "timed-out"),
            }  # fmt: skip
            assert [late.step for late in loom.events(LateResult)] == ["A", "C"]
            assert loom.scheduler.in_flight == 0

    run_virtual(main())


def test_cancelling_the_run_stops_the_batch_and_those_that_gather() -> None:
    async def main() -> None:
        desk = Desk(batch_wait_s=0.2)
        async with desk.loom() as loom:
            loom.add(price("A"))
            await asyncio.sleep(0.3)
            loom.add(price("B"))
            loom.scheduler.cancel("enough")
            await loom.scheduler.wait()
            assert loom.statuses() == {
                "A": ("cancelled", "cancelled"), "B": ("skipped", "cancelled"),
            }  # fmt: skip
            await asyncio.sleep(1)
            assert desk.asked == [["A"]]

    run_virtual(main())


def test_elements_of_a_map_are_batched_too() -> None:
    async def main() -> None:
        desk = Desk()
        async with desk.loom() as loom:
            step = Step("m", "price", {"ticker": Item()}, over=["A", "BB", "?", "A"], default=0)
            state = await loom.run(step, price("CCC"))
            assert desk.asked == [["A", "BB", "?", "CCC"]]
            assert state.steps["m"].value == [1, 2, 0, 1]

    run_virtual(main())


def test_other_steps_go_on_beside_a_batch_at_a_shut_gate() -> None:
    async def main() -> None:
        desk = Desk(concurrency=1)
        async with desk.loom(limits=Limits(concurrency=2)) as loom:
            loom.add(price("A"))
            await asyncio.sleep(0.5)
            loom.add(price("B"), Step("n", "nap"), price("C"))
            await loom.scheduler.wait()
            assert desk.asked == [["A"], ["B", "C"]]
            assert loom.state().steps["n"].finished_s == 1.5
            assert asyncio.get_running_loop().time() == 2.0

    run_virtual(main())


def test_what_a_batch_cost_is_counted_once() -> None:
    async def many(texts: list[str]) -> list[str]:
        return Metered([ValueError("no"), *texts[1:]], Usage(input_tokens=9), 0.5)  # type: ignore[return-value]

    @tool(effect="read", batch=many)
    async def say(text: str) -> str:
        return text

    async def main() -> None:
        async with Loom(LocalExecutor({"say": say}), specs=[say.spec]) as loom:
            state = await loom.run(*(Step(t, "say", {"text": t}) for t in "abc"))
            assert [event.cost_usd for event in state.metered] == [0.5]
            assert [step.value for step in state.steps.values()] == [None, "b", "c"]

    run_virtual(main())


def test_an_executor_without_batches_is_asked_for_each_call() -> None:
    calls: list[str] = []

    class One:
        async def call(self, tool: str, args: dict[str, Any], attempt: int) -> Any:
            calls.append(args["ticker"])
            return 1

    async def main() -> None:
        async with Loom(One(), specs=[Desk().tools[0].spec]) as loom:
            await loom.run(*map(price, TICKERS))
            assert calls == TICKERS

    run_virtual(main())
