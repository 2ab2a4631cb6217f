"""Four real processes that share one allowance, against a real HTTP server that counts.

The server grants everything and notes when each request arrived; nobody but the shared slots keeps
the processes within the allowance. One of them is killed with SIGKILL on the way.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.reliability.figure import Figure
from heddle.engine.allowances.sqlite import SQLiteAllowances
from heddle.engine.asking import cost_of
from heddle.engine.costs import Cost, Outcome
from heddle.engine.shared_slots import SharedSlots
from heddle.models.openai import OpenAIModel
from heddle.models.protocol import Message, Request, allowance_of
from heddle.plan.limits import Limits
from heddle.testing.provider import SimulatedProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSES, WORKERS, SLOTS = 4, 8, 16
REQUESTS_PER_MINUTE = 1_200
REPLY_S = 0.2
WINDOW_S = 60.0


def figures(*, short: bool, seed: int) -> Iterator[Figure]:
    """Requests a minute and calls in flight, with one process killed on the way."""
    del seed  # real processes, real time: nothing here begins with a seed
    windows = 2 if short else 4
    with tempfile.TemporaryDirectory() as folder:
        times, peak = asyncio.run(_measure(Path(folder) / "limits.db", windows))
    span_s = (windows - 1) * WINDOW_S + 25
    used = len(times) / (windows * REQUESTS_PER_MINUTE)
    most = _most_in_a_minute(times)
    yield Figure(
        f"requests in any 60 s, by {PROCESSES} processes, one killed -9", most,
        REQUESTS_PER_MINUTE, of=len(times),
    )  # fmt: skip
    yield Figure(f"calls in flight, by {PROCESSES} processes", peak, SLOTS)
    yield Figure(
        f"allowance used within {span_s:.0f} s, which hold {windows} of it", 100 * used, 90, "%",
        at_least=True,
    )  # fmt: skip


async def _measure(path: Path, windows: int) -> tuple[list[float], int]:
    """When requests arrived, and how many were in work at once."""
    times: list[float] = []
    first = asyncio.Event()

    def reply(_: Any) -> str:
        times.append(time.monotonic())
        first.set()
        return "ok"

    provider = SimulatedProvider(reply, time_to_first_token_s=REPLY_S)
    async with provider:
        command = [sys.executable, "-m", "bench.reliability.sharing", provider.base_url, str(path)]
        children = [await asyncio.create_subprocess_exec(*command) for _ in range(PROCESSES)]
        await asyncio.wait_for(first.wait(), 30)
        began = times[0]
        await asyncio.sleep(10)
        children[0].send_signal(signal.SIGKILL)
        await asyncio.sleep(began + (windows - 1) * WINDOW_S + 25 - time.monotonic())
        for child in children:
            with suppress(ProcessLookupError):
                child.send_signal(signal.SIGKILL)
            await child.wait()
    return times, provider.peak_in_flight


def _most_in_a_minute(times: list[float]) -> int:
    most, first = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - WINDOW_S:
            first += 1
        most = max(most, last - first + 1)
    return most


async def _work(base_url: str, path: str) -> None:
    """One process: as many calls as its part of the allowance lets it make."""
    limits = Limits(
        per_provider={"openai": SLOTS}, requests_per_minute={"openai": REQUESTS_PER_MINUTE}
    )
    slots = SharedSlots(SQLiteAllowances(path), limits)
    model = OpenAIModel("simulated", base_url=base_url, api_key="none")
    await asyncio.gather(*(_ask_on(slots, model) for _ in range(WORKERS)))


async def _ask_on(slots: SharedSlots, model: OpenAIModel) -> None:
    request = Request((Message("user", f"I am {os.getpid()}"),))
    while True:
        lease = await slots.acquire(allowance_of(model), cost_of(request))
        async for _ in model.stream(request):
            pass
        lease.release(Outcome(used=Cost(1, 5, 1)))


if __name__ == "__main__":
    asyncio.run(_work(*sys.argv[1:]))
