"""The graphs that are measured, and the bare loop that everything is measured against."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from heddle.plan.ir import Ref, Step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Parents = list[list[int]]
"""For each step, the earlier steps that it needs."""

SHAPES = ("fan-out", "chain", "layered", "fan-in")
WIDTH = 100


def shape(name: str, n: int) -> Parents:
    """A graph of n steps.

    fan-out: all independent. chain: each needs the one before. layered: layers of 100, each step
    needs two of the layer before. fan-in: groups of 100 independent steps, each group joined by
    one step, and the joins by a last one.
    """
    if name == "fan-out":
        return [[] for _ in range(n)]
    if name == "chain":
        return [[i - 1] if i else [] for i in range(n)]
    if name == "layered":
        return [_layered(i) for i in range(n)]
    parents: Parents = []
    joins: list[int] = []
    while len(parents) < n - 1:
        group = list(range(len(parents), min(len(parents) + WIDTH, n - 2)))
        parents += [[] for _ in group]
        joins.append(len(parents))
        parents.append(group)
    return [*parents, joins]


def _layered(i: int) -> list[int]:
    layer = i // WIDTH
    if not layer:
        return []
    first = (layer - 1) * WIDTH
    return sorted({first + i % WIDTH, first + (i * 7 + 3) % WIDTH})


def steps(parents: Parents, tool: str = "noop") -> list[Step]:
    """The graph as steps of a plan.

    A step gets its number, so that no two calls are equal, and the values of its parents as a list.
    """
    return [
        Step(str(i), tool, {"me": i, "xs": [Ref(str(parent)) for parent in needs]})
        for i, needs in enumerate(parents)
    ]


async def limit_ready(
    parents: Parents, call: Callable[[list[Any]], Awaitable[Any]], cap: int = 64
) -> list[Any]:
    """The bare loop: counters, and one asyncio task for each ready step, at most `cap` at once.

    It is the cheapest form in which each step can still be cancelled by itself. It has no
    references, deadlines, events or failure handling: it is a floor, not a product.
    """
    loop = asyncio.get_running_loop()
    missing = [len(needs) for needs in parents]
    children: Parents = [[] for _ in parents]
    for i, needs in enumerate(parents):
        for parent in needs:
            children[parent].append(i)
    values: list[Any] = [None] * len(parents)
    ready = [i for i, count in enumerate(missing) if not count][::-1]
    finished = loop.create_future()
    tasks: set[asyncio.Task[None]] = set()
    running, left = 0, len(parents)

    def start() -> None:
        nonlocal running
        while ready and running < cap:
            running += 1
            task = loop.create_task(run(ready.pop()))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def run(i: int) -> None:
        nonlocal running, left
        values[i] = await call([values[parent] for parent in parents[i]])
        running -= 1
        left -= 1
        for child in children[i]:
            missing[child] -= 1
            if not missing[child]:
                ready.append(child)
        if left:
            start()
        else:
            finished.set_result(None)

    start()
    await finished
    return values


def durations(kind: str, seed: int, n: int = 60) -> tuple[Parents, list[int], list[float]]:
    """A random graph for the makespan: parents, tool of each step, and seconds of each step.

    Args:
        kind: "layered" (layers of 12) or "plan" (0 to 3 parents among the 15 steps before).
        seed: chooses everything.
        n: steps.

    Eight tools have a median each; a call's time is log-normal around it (sigma 0.4), clipped to
    50 to 500 ms.
    """
    rng = random.Random(f"{kind}/{seed}")
    medians = [rng.uniform(0.08, 0.35) for _ in range(8)]
    parents: Parents = []
    for i in range(n):
        if kind == "layered":
            layer = range((i // 12 - 1) * 12, (i // 12) * 12) if i >= 12 else range(0)
            parents.append(sorted(rng.sample(layer, rng.randint(1, 3))) if layer else [])
        else:
            near = range(max(0, i - 15), i)
            parents.append(sorted(rng.sample(near, min(len(near), rng.randint(0, 3)))))
    tools = [rng.randrange(8) for _ in range(n)]
    seconds = [min(0.5, max(0.05, medians[t] * rng.lognormvariate(0, 0.4))) for t in tools]
    return parents, tools, seconds
