"""Who goes first: the longest remaining path once the plan has closed, else who came first."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from rig import Functions, Loom

from heddle.engine.estimates import Estimates
from heddle.plan.ir import Ref, Step
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.testing.clock import run_virtual

ONE = Limits(concurrency=1)


async def nap(seconds: float = 1.0, **_: Any) -> float:
    await asyncio.sleep(seconds)
    return seconds


def chain(name: str, length: int, tool: str = "nap") -> list[Step]:
    steps = [Step(f"{name}0", tool)]
    rest = range(1, length)
    return steps + [Step(f"{name}{n}", tool, {"x": Ref(f"{name}{n - 1}")}) for n in rest]


def test_before_the_plan_closes_the_first_to_come_goes_first() -> None:
    async def main() -> None:
        async with Loom(functions={"nap": nap}, limits=ONE) as loom:
            await loom.run(*chain("a", 1), *chain("b", 3), *chain("c", 2))
            assert loom.started() == ["a0", "b0", "b1", "b2", "c0", "c1"]

    run_virtual(main())


def test_once_it_has_closed_the_longest_path_goes_first_and_ties_go_by_arrival() -> None:
    async def main() -> None:
        async with Loom(functions={"nap": nap}, limits=ONE) as loom:
            loom.add(Step("first", "nap"), *chain("a", 1), *chain("b", 3), *chain("c", 3))
            loom.scheduler.rank()
            await loom.scheduler.wait()
            assert loom.started() == ["first", "b0", "c0", "b1", "c1", "a0", "b2", "c2"]

    run_virtual(main())


def test_the_path_is_as_long_as_its_tools_are_known_to_take() -> None:
    async def main() -> None:
        estimates = Estimates()
        estimates.learn("slow", 10.0)
        estimates.learn("quick", 0.1)
        functions = {"slow": nap, "quick": nap, "nap": nap}
        async with Loom(functions=functions, limits=ONE, estimates=estimates) as loom:
            loom.add(Step("first", "nap"), *chain("q", 4, "quick"), *chain("s", 1, "slow"))
            loom.scheduler.rank()
            await loom.scheduler.wait()
            assert loom.started() == ["first", "s0", "q0", "q1", "q2", "q3"]

    run_virtual(main())


def test_means_learned_in_the_run_change_the_order() -> None:
    """Both tools look alike until one of them has run."""

    async def slow(**_: Any) -> int:
        await asyncio.sleep(50)
        return 1

    async def main() -> None:
        async with Loom(functions={"slow": slow, "quick": nap}, limits=ONE) as loom:
            loom.add(Step("s", "slow"), Step("q", "quick"))
            loom.add(*(Step(f"q{n}", "quick") for n in range(3)))
            loom.add(*(Step(f"s{n}", "slow") for n in range(3)))
            loom.scheduler.rank()
            await loom.scheduler.wait()
            assert loom.started() == ["s", "q", "s0", "s1", "s2", "q0", "q1", "q2"]

    run_virtual(main())


def test_a_parked_step_is_ranked_too() -> None:
    async def main() -> None:
        spec = ToolSpec("nap", effect="pure", fuse=False, provider="p")
        limits = Limits(per_provider={"p": 1})
        async with Loom(Functions(nap=nap), specs=[spec], limits=limits) as loom:
            loom.add(Step("first", "nap"), *chain("a", 1), *chain("b", 2), *chain("c", 3))
            loom.scheduler.rank()
            await loom.scheduler.wait()
            assert loom.started() == ["first", "c0", "b0", "c1", "a0", "b1", "c2"]

    run_virtual(main())


def test_rankings_are_bounded_whatever_the_durations_do() -> None:
    async def main() -> None:
        random = Random(1)
        functions = {f"t{n}": nap for n in range(4)}
        async with Loom(functions=functions, limits=Limits(concurrency=4)) as loom:
            count, rankings = 500, 0
            real = loom.scheduler._queue._rank

            def counted() -> None:
                nonlocal rankings
                rankings += 1
                real()

            loom.scheduler._queue._rank = counted  # type: ignore[method-assign]
            for n in range(count):
                seconds = 10 ** random.uniform(-3, 3)
                loom.add(Step(str(n), f"t{n % 4}", {"seconds": seconds}, timeout_s=1e6))
            loom.scheduler.rank()
            await loom.scheduler.wait()
            assert 1 < rankings <= 1 + 4 * count.bit_length()

    run_virtual(main())


def test_learning_keeps_a_wide_plan_near_its_lower_bound() -> None:
    """Many short steps beside one long chain: the chain must not come last."""

    async def main() -> float:
        estimates = Estimates()
        estimates.learn("nap", 1.0)
        limits = Limits(concurrency=4)
        async with Loom(functions={"nap": nap}, limits=limits, estimates=estimates) as loom:
            loom.add(*(Step(str(n), "nap") for n in range(60)), *chain("c", 20))
            loom.scheduler.rank()
            await loom.scheduler.wait()
            return asyncio.get_running_loop().time()

    assert run_virtual(main()) <= 21.0
