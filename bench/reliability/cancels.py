"""Runs that are cancelled at random moments: nothing is left running, and it is quick.

Tools are cooperative: they stop when they are cancelled, some after cleaning up for up to 50 ms.
The time until a run has stopped is measured on its own clock, where only that cleaning up takes
time, and by the wall, where only our own work does.
"""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import TYPE_CHECKING, Any

from bench.reliability.figure import Figure
from heddle import Limits, Plan, Ref, Step, execute, tool
from heddle.models.protocol import Usage
from heddle.plan.ir import Item, When
from heddle.testing import ScriptedModel, run_virtual

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORT, _FULL = 1_000, 100_000
_A_LOOP = 500
"""Runs on one loop, one after the other."""


def figures(*, short: bool, seed: int, count: int | None = None) -> Iterator[Figure]:
    """Cancel runs, and say what of them was left and how long they took to stop."""
    count = count or (_SHORT if short else _FULL)
    orphans = running = 0
    clock_s: list[float] = []
    wall_s: list[float] = []
    for first in range(0, count, _A_LOOP):
        random = Random(f"{seed} {first}")
        for left, cut, took_s, by_wall_s in run_virtual(_many(random, min(_A_LOOP, count - first))):
            orphans += left
            running += cut
            clock_s.append(took_s)
            wall_s.append(by_wall_s)
    yield Figure("tasks left running", orphans, bar=0, of=count)
    yield Figure("runs that were not over yet", 100 * running / count, 60, "%", at_least=True)
    yield Figure("from cancel to stop, p99, run's clock", 1000 * _p99(clock_s), bar=100, unit="ms")
    yield Figure("from cancel to stop, p99, by the wall", 1000 * _p99(wall_s), bar=100, unit="ms")


def _p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * (len(values) - 1))]


async def _many(random: Random, count: int) -> list[tuple[int, bool, float, float]]:
    return [await _one(random) for _ in range(count)]


async def _one(random: Random) -> tuple[int, bool, float, float]:
    """One run: tasks left, whether it was cut off, seconds to stop by its clock and by the wall."""
    before = asyncio.all_tasks()
    now = asyncio.get_running_loop().time
    limits = Limits(
        concurrency=random.choice([1, 3, 64]),
        speculation=random.random() < 0.5,
        budget_calls=random.choice([None, 5]),
    )
    model = ScriptedModel(lambda _: [(random.random(), "x"), Usage(5, 0, 5)])
    run = asyncio.ensure_future(
        execute(
            _plan(random), _tools(random), model=model, limits=limits, seed=random.getrandbits(32)
        )
    )
    await asyncio.sleep(random.choice([0.0, random.random(), 3 * random.random()]))
    cut = not run.done()
    run.cancel()
    began, began_wall = now(), time.perf_counter()
    await asyncio.wait([run])
    took = now() - began, time.perf_counter() - began_wall
    left = len(asyncio.all_tasks() - before)
    return left, cut, *took


def _plan(random: Random) -> Plan:
    steps: list[Step] = []
    for number in range(random.randint(1, 12)):
        id, kind = str(number), random.random()
        args: dict[str, Any] = {"x": number}
        if steps and random.random() < 0.5:
            args["y"] = Ref(random.choice(steps).id)
        if kind < 0.15:
            steps.append(Step(id, "llm", {"instruction": "say x"}))
        elif kind < 0.35:
            steps.append(Step(id, "work", {"x": Item()}, over=[1, 2, 3, 4]))
        elif kind < 0.45:
            steps.append(Step(id, "yes", {}))
            steps.append(Step(f"g{id}", "work", {"x": number}, when=When(Ref(id))))
        else:
            steps.append(Step(id, random.choice(["work", "work", "change", "fails"]), args))
    return Plan(steps)


def _tools(random: Random) -> list[Any]:
    async def rest() -> None:
        try:
            await asyncio.sleep(random.choice([0.0, 0.2, 1.0]))
        finally:
            if random.random() < 0.2:
                await asyncio.sleep(0.05 * random.random())

    @tool(effect="read")
    async def work(x: int, y: Any = None) -> int:
        """Some work."""
        await rest()
        return x

    @tool(effect="pure", fuse=False)
    async def yes() -> bool:
        """A guard."""
        await rest()
        return True

    @tool(effect="read")
    async def fails(x: int, y: Any = None) -> int:
        """Work that fails in passing, and is tried again later."""
        await rest()
        raise ConnectionError("gone")

    @tool(effect="write")
    async def change(x: int, y: Any = None) -> int:
        """An effect."""
        await rest()
        return x

    return [work, yes, fails, change]
