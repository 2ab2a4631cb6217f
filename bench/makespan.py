"""Makespan over its lower bound, in virtual time, with durations learned in the run itself."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

from bench.shapes import Parents, durations
from heddle.engine.estimates import Estimates
from heddle.engine.executor import LocalExecutor
from heddle.engine.log import EventLog
from heddle.engine.parts import Terms
from heddle.engine.scheduler import Scheduler
from heddle.plan.ir import Ref, Step
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.testing.clock import run_virtual
from heddle.tools.function import Tool

KINDS = ("layered", "plan")


def bound(parents: Parents, seconds: list[float], cap: int) -> float:
    """max(critical path, work / cap): no schedule is shorter."""
    longest: list[float] = []
    for needs, own in zip(parents, seconds, strict=True):
        longest.append(own + max((longest[parent] for parent in needs), default=0.0))
    return max(max(longest), sum(seconds) / cap)


def _sleeper(name: str, seconds: list[float]) -> Tool:
    async def invoke(args: dict[str, Any]) -> int:
        await asyncio.sleep(seconds[args["i"]])
        return args["i"]

    return Tool(ToolSpec(name, effect="pure"), invoke, invoke, blocking=False)


async def _heddle(
    parents: Parents, tools: list[int], seconds: list[float], cap: int, known: bool
) -> float:
    box = {f"t{k}": _sleeper(f"t{k}", seconds) for k in range(8)}
    log = EventLog()
    estimates = Estimates()
    for tool, own in zip(tools, seconds, strict=True) if known else ():
        estimates.learn(f"t{tool}", own)
    scheduler = Scheduler(
        {name: tool.spec for name, tool in box.items()},
        LocalExecutor(box),
        log,
        Terms(limits=Limits(concurrency=cap), estimates=estimates),
    )
    for i, needs in enumerate(parents):
        after = [Ref(str(parent)) for parent in needs]
        scheduler.add(Step(str(i), f"t{tools[i]}", {"i": i, "after": after}))
    scheduler.rank()
    await scheduler.wait()
    await scheduler.close()
    return asyncio.get_running_loop().time()


def over_bound(
    cap: int = 5, seeds: int = 50, *, known: bool = False
) -> dict[str, dict[str, float]]:
    """By kind of graph: makespan over the lower bound, median and 95th percentile of the seeds.

    Args:
        cap: steps in flight.
        seeds: graphs of each kind.
        known: whether each tool's true mean is known beforehand, instead of learned in the run.
    """
    out: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        found: list[float] = []
        for seed in range(seeds):
            parents, tools, seconds = durations(kind, seed)
            made = run_virtual(_heddle(parents, tools, seconds, cap, known))
            found.append(made / bound(parents, seconds, cap))
        found.sort()
        out[kind] = {
            "median": statistics.median(found),
            "p95": found[min(len(found) - 1, round(0.95 * (len(found) - 1)))],
            "max": found[-1],
        }
    return out
