"""What durability costs, on SQLite and on PostgreSQL side by side.

The disk is waited for in each of them (PostgreSQL with fsync on, whatever the tests' server does).
Appends are what a run does: one frame of eight events. `effects per sync` runs the real writer:
many effects ask for durability at once, and share it.
"""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.reliability.figure import Figure
from bench.reliability.postgres import PostgresServer, served
from heddle.engine.events import StepReady
from heddle.engine.journal.owners import this_process
from heddle.engine.journal.postgres import PostgresStore
from heddle.engine.journal.sqlite import SQLiteStore
from heddle.engine.journal.store import Frame
from heddle.engine.journal.writer import Journal
from heddle.engine.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from heddle.engine.journal.store import RunLease, Store

BODY = b'{"events":[' + b",".join(b'[1,0.25,"12","done",""]' for _ in range(8)) + b'],"large":[]}'
RUNS_AT_ONCE = 16
WIDTH = 64


def figures(*, short: bool, seed: int) -> Iterator[Figure]:
    """Both stores, the same work in turn."""
    del seed  # nothing is left to chance
    count = 200 if short else 2_000
    with tempfile.TemporaryDirectory() as folder, served(fsync="on") as server:
        stores: dict[str, Callable[[], Store]] = {
            "sqlite": lambda: SQLiteStore(Path(folder) / "journal.db"),
            "postgresql": lambda: PostgresStore(server.dsn()),
        }
        for name, opened in stores.items():
            for measure in (_one_run, _runs_at_once, _not_synced, _read, _effects):
                yield from asyncio.run(_measured(name, opened, measure, count))
        yield _syncs(server)


async def _measured(
    name: str,
    opened: Callable[[], Store],
    measure: Callable[[Store, int], Awaitable[list[Figure]]],
    count: int,
) -> list[Figure]:
    store = opened()
    try:
        found = await measure(store, count)
    finally:
        await store.aclose()
    return [
        Figure(f"{name}: {each.name}", each.value, each.bar, each.unit, detail=each.detail)
        for each in found
    ]


async def _run(store: Store, name: str) -> RunLease:
    return await store.create(f"{name}-{time.monotonic_ns()}", name, this_process(), 600)


def _frames(count: int) -> list[Frame]:
    frames: list[Frame] = []
    prev = "0" * 64
    for number in range(count):
        digest = hashlib.sha256(prev.encode()).hexdigest()
        frames.append(Frame(number, number * 8, 8, 1, 0.0, prev, digest, BODY))
        prev = digest
    return frames


async def _append(store: Store, count: int, *, sync: bool) -> list[float]:
    """Seconds of each append."""
    lease = await _run(store, "append")
    took: list[float] = []
    for frame in _frames(count):
        began = time.perf_counter()
        await store.append(lease, [frame], {}, sync=sync)
        took.append(time.perf_counter() - began)
    return took


async def _one_run(store: Store, count: int) -> list[Figure]:
    took = await _append(store, count, sync=True)
    return [
        Figure("durable appends/s, one run", count / sum(took)),
        Figure("durable append, median", 1000 * statistics.median(took), unit="ms"),
        Figure("durable append, p99", 1000 * statistics.quantiles(took, n=100)[98], unit="ms"),
    ]


async def _runs_at_once(store: Store, count: int) -> list[Figure]:
    each = count // RUNS_AT_ONCE * 2
    began = time.perf_counter()
    await asyncio.gather(*(_append(store, each, sync=True) for _ in range(RUNS_AT_ONCE)))
    rate = each * RUNS_AT_ONCE / (time.perf_counter() - began)
    return [Figure(f"durable appends/s, {RUNS_AT_ONCE} runs at once", rate)]


async def _not_synced(store: Store, count: int) -> list[Figure]:
    return [Figure("appends/s without sync", count / sum(await _append(store, count, sync=False)))]


async def _read(store: Store, count: int) -> list[Figure]:
    lease = await _run(store, "read")
    await store.append(lease, _frames(count * 5), {}, sync=True)
    began = time.perf_counter()
    found = [frame async for frame in store.frames(lease.run)]
    return [Figure("frames read/s", len(found) / (time.perf_counter() - began))]


async def _effects(store: Store, count: int) -> list[Figure]:
    """Effects that are about to begin, WIDTH at a time, each asking for its own durability."""
    log = EventLog()
    journal = Journal(log, store, await _run(store, "effects"))

    async def effect() -> None:
        log.emit(StepReady(log.now(), "1"))
        await log.durable(len(log.events) - 1)

    async def lane(effects: int) -> None:
        for _ in range(effects):
            await effect()

    began = time.perf_counter()
    await asyncio.gather(*(lane(count // WIDTH * 4) for _ in range(WIDTH)))
    took = time.perf_counter() - began
    done, syncs = count // WIDTH * 4 * WIDTH, journal.syncs
    await journal.aclose()
    return [
        Figure(f"effects/s, {WIDTH} at once", done / took),
        Figure("effects per sync", done / syncs, unit="x", detail={"effects": done}),
        Figure("syncs per effect", syncs / done, bar=1.0),
    ]


def _syncs(server: PostgresServer) -> Figure:
    """The server's own count: it groups what several connections commit at once."""
    rows: list[Any] = server.sql("SELECT wal_sync, wal_write FROM pg_stat_wal")
    return Figure("postgresql: syncs of the server in all this", rows[0]["wal_sync"])
