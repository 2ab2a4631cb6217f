"""CPU and memory of the engine per step, against the bare loop, in one run."""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.shapes import SHAPES, limit_ready, shape, steps
from heddle.engine.executor import LocalExecutor
from heddle.engine.journal.owners import this_process
from heddle.engine.journal.sqlite import SQLiteStore
from heddle.engine.journal.writer import LEASE_S, Journal
from heddle.engine.log import EventLog
from heddle.engine.parts import Terms
from heddle.engine.scheduler import Scheduler
from heddle.plan.limits import Limits
from heddle.plan.spec import ToolSpec
from heddle.tools.function import Tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.plan.ir import Step

CAP = 64


async def _noop(xs: list[Any]) -> int:
    return len(xs)


async def _invoke(args: dict[str, Any]) -> int:
    return len(args["xs"])


_NOOP = Tool(ToolSpec("noop", effect="pure"), _noop, _invoke, blocking=False)


async def run_heddle(plan: list[Step], log: EventLog | None = None) -> tuple[Scheduler, EventLog]:
    """Run steps with everything on: references, caps, deadlines, events in memory."""
    log = log or EventLog()
    executor = LocalExecutor({"noop": _NOOP})
    limits = Limits(concurrency=CAP, step_timeout_s=120.0)
    scheduler = Scheduler({"noop": _NOOP.spec}, executor, log, Terms(limits=limits))
    for step in plan:
        scheduler.add(step)
    scheduler.rank()
    await scheduler.wait()
    await scheduler.close()
    return scheduler, log


async def run_kept(plan: list[Step]) -> None:
    """The same with a durable journal too, in a new SQLite file; from opening it to closing it."""
    with tempfile.TemporaryDirectory() as folder:
        store, log = SQLiteStore(Path(folder) / "journal.db"), EventLog()
        journal = Journal(log, store, await store.create("r", "", this_process(), LEASE_S))
        await run_heddle(plan, log)
        await journal.aclose()
        await store.aclose()
        assert journal.error is None


def cpu_s(run: Callable[[], Any]) -> float:
    """CPU seconds of this process for one call."""
    gc.collect()
    before = time.process_time()
    run()
    return time.process_time() - before


def ratios(
    n: int = 10_000, repeats: int = 7, run: Callable[[list[Step]], Any] = run_heddle
) -> dict[str, dict[str, float]]:
    """By shape: CPU per step of heddle over the bare loop's, interleaved; the median of pairs.

    The CPU is that of the whole process, so that of the thread which has the journal is in it.
    """
    out: dict[str, dict[str, float]] = {}
    for name in SHAPES:
        parents = shape(name, n)
        plan = steps(parents)
        pairs: list[tuple[float, float]] = []
        for _ in range(repeats):
            bare = cpu_s(lambda: asyncio.run(limit_ready(parents, _noop, CAP)))
            ours = cpu_s(lambda: asyncio.run(run(plan)))
            pairs.append((ours, bare))
        found = sorted(ours / bare for ours, bare in pairs)
        out[name] = {
            "ratio": statistics.median(found),
            "low": found[0],
            "high": found[-1],
            "us_per_step": statistics.median(ours for ours, _ in pairs) / n * 1e6,
            "bare_us_per_step": statistics.median(bare for _, bare in pairs) / n * 1e6,
        }
    return out


def growth(small: int = 1_000, large: int = 100_000, repeats: int = 3) -> dict[str, float]:
    """By shape: CPU per step at the large size over that at the small one."""
    out: dict[str, float] = {}
    for name in SHAPES:
        few, many = steps(shape(name, small)), steps(shape(name, large))
        found: list[float] = []
        for _ in range(repeats):
            batch = min(large // small, 20)
            little = cpu_s(lambda: [asyncio.run(run_heddle(few)) for _ in range(batch)]) / batch
            much = cpu_s(lambda: asyncio.run(run_heddle(many)))
            found.append((much / large) / (little / small))
        out[name] = statistics.median(found)
    return out


def bytes_per_step(n: int = 10_000) -> dict[str, float]:
    """By shape: memory that the engine holds for a finished step, plan and values excluded."""
    out: dict[str, float] = {}
    for name in SHAPES:
        plan = steps(shape(name, n))

        async def held(plan: list[Step] = plan) -> float:
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            kept = await run_heddle(plan)
            gc.collect()
            after = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            del kept
            return (after - before) / len(plan)

        out[name] = asyncio.run(held())
    return out
