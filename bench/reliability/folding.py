"""How fast a journal is written and read: records per second, and what a long run takes to read.

The run is one plan of layers of no-op steps, as a journal has it: a step's acceptance, then the
four events that each has. CPU of one process; SQLite's file is on the machine's own disk.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import heddle
from bench.reliability.figure import Figure
from bench.shapes import shape, steps
from heddle.engine.events import (
    LeaseTaken,
    PlanAccepted,
    PlanProposed,
    RunCreated,
    RunFinished,
    StepAccepted,
)
from heddle.engine.journal import writer
from heddle.engine.journal.owners import this_process
from heddle.engine.journal.reading import folded, read, snapshot_of
from heddle.engine.journal.sqlite import SQLiteStore
from heddle.engine.journal.store import Head
from heddle.engine.journal.writer import LEASE_S, Journal
from heddle.engine.log import EventLog
from heddle.engine.resuming import remember
from heddle.plan.ir import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heddle.engine.events import Entry
    from heddle.engine.journal.store import Store

RUN = "r"


def figures(*, short: bool, seed: int) -> Iterator[Figure]:
    """The campaign, for `python -m bench.reliability`."""
    del seed  # nothing is left to chance
    found = asyncio.run(_measured(10_000))
    yield Figure("records written", found["written_per_s"], 60_000, "/s CPU", at_least=True)
    yield Figure("records read and verified", found["read_per_s"], None, "/s CPU")
    yield Figure("fold of 10,000 steps", found["folded_s"] * 1e3, 200, "ms CPU", detail=found)
    found = asyncio.run(_gone_on(10_000))
    yield Figure("resume of an unfinished run of 10,000 steps", found["resumed_s"] * 1e3, None,
                 "ms CPU", detail=found)  # fmt: skip
    yield Figure("of that, reading and folding", found["remembered_s"] * 1e3, None, "ms CPU")
    yield Figure("a snapshot of it, at its middle", found["snapshot_s"] * 1e3, None, "ms CPU")
    if short:
        return
    found = asyncio.run(_resumed(1_000_000))
    yield Figure("resume of a finished run of a million steps", found["resumed_s"], 10, "s CPU",
                 detail=found)  # fmt: skip
    yield Figure("memory at its peak, the run's own events included", found["peak_mb"], None, "MB")


async def _measured(n: int) -> dict[str, float]:
    """A run without a snapshot: all of its events are read, and folded."""
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "journal.db")
        found = await _write(store, n, snapshot=False)
        gc.collect()
        began = time.process_time()
        async for _ in read(store, RUN):
            pass
        found["read_per_s"] = found["events"] / (time.process_time() - began)
        began = time.process_time()
        state = await folded(store, RUN)
        found["folded_s"] = time.process_time() - began
        assert state.finished is not None
        assert len(state.steps) == n
        await store.aclose()
    return found


async def _gone_on(n: int) -> dict[str, float]:
    """A run that was cut off when it was nearly over: what it takes to go on."""
    plan = Plan(steps(shape("layered", n)))
    plan.close()
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        whole = await heddle.execute(plan, [noop], run_id=RUN, journal=Path(folder) / "whole.db")
        before = whole.events[: -len(whole.events) // 100]
        store = SQLiteStore(Path(folder) / "journal.db")
        log = EventLog()
        journal = Journal(log, store, await store.create(RUN, "", this_process(), LEASE_S))
        for event in before:
            log.emit(event)
        await journal.aclose()
        state = log.state()
        gc.collect()
        began = time.process_time()
        snapshot = snapshot_of(state, Head(0, ""))
        found["snapshot_s"] = time.process_time() - began
        found["snapshot_mb"] = len(snapshot.body) / 1e6
        gc.collect()
        began = time.process_time()
        await remember(store, RUN)
        found["remembered_s"] = time.process_time() - began
        gc.collect()
        began = time.process_time()
        result = await heddle.resume(RUN, [noop], journal=store)
        found["resumed_s"] = time.process_time() - began
        assert result.status == "succeeded"
        await store.aclose()
    return found


@heddle.tool(effect="pure")
async def noop(me: int, xs: list[int]) -> int:
    """Nothing; it takes as long as a call does, so that the plan is accepted before it is done."""
    await asyncio.sleep(0.01)
    return me


async def _resumed(n: int) -> dict[str, float]:
    """A run with a snapshot: the whole of `heddle.resume`, to the result; a look at one event."""
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "journal.db")
        found = await _write(store, n, snapshot=True)
        gc.collect()
        began = time.process_time()
        result = await heddle.resume(RUN, journal=store)
        found["resumed_s"] = time.process_time() - began
        found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        assert result.status == "succeeded"
        assert len(result.steps) == n
        assert len(result.events) == found["events"]
        began = time.process_time()
        assert isinstance(result.events[-1], RunFinished)
        found["one_event_s"] = time.process_time() - began
        await store.aclose()
    return found


async def _write(store: Store, n: int, *, snapshot: bool) -> dict[str, float]:
    """Keep a run of n steps; how many events it has, and how many were kept in a CPU second."""
    log = EventLog()
    journal = Journal(log, store, await store.create(RUN, "", this_process(), LEASE_S))
    writer.SNAPSHOT_EVENTS = 0 if snapshot else sys.maxsize
    spent = 0.0
    for events in _batches(n):
        for event in events:
            log.emit(event)
        began = time.process_time()
        await log.durable(len(log.events) - 1)
        spent += time.process_time() - began
    log.state()
    began = time.process_time()
    await journal.aclose()
    closed = time.process_time() - began  # with the snapshot, where there is one
    assert journal.error is None
    return {
        "events": len(log.events), "written_per_s": len(log.events) / spent, "closed_s": closed,
    }  # fmt: skip


def _batches(n: int) -> Iterator[list[Entry]]:
    plan = steps(shape("layered", n))
    yield [
        RunCreated(0.0, RUN, "00", {"kind": "plan"}, {}, {}, "00", "0", 1),
        LeaseTaken(0.0, "me", 1),
        PlanProposed(0.0, 1, "json"),
    ]
    for first in range(0, n, 1000):
        some = enumerate(plan[first : first + 1000], first + 1)
        yield [StepAccepted(1.0 + place / 7, 1, place, step) for place, step in some]
    yield [PlanAccepted(2.0, 1, "00", n, None, "", "", {})]
    for first in range(0, n, 1000):
        yield [event for place in range(first, min(n, first + 1000)) for event in _step(place)]
    yield [RunFinished(9.0, "succeeded", n, "", "")]


def _step(place: int) -> list[Any]:
    id, at = str(place), 3.0 + place / 7
    return [
        (0, at, id),
        (1, at, id, 1, None),
        (2, at, id, 1, place, None, None, None, ""),
        (3, at, id, "done", ""),
    ]
