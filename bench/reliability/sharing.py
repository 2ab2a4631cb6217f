"""Four real processes that share one allowance, against a real HTTP server that counts.

The server grants everything and notes what each request took and when it arrived; nobody but the
shared slots keeps the processes within the allowance. One of them is killed with SIGKILL on the
way. Once the allowance is requests a minute, and once tokens of prompts and of replies, whose sizes
are random.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.reliability.figure import Figure
from heddle.engine.allowances.sqlite import SQLiteAllowances
from heddle.engine.asking import cost_of
from heddle.engine.costs import Cost, Outcome
from heddle.engine.endings import used_of
from heddle.engine.shared_slots import SharedSlots
from heddle.models.openai import OpenAIModel
from heddle.models.protocol import Message, Request, Usage, allowance_of
from heddle.plan.limits import Limits
from heddle.testing.chat_request import four_characters
from heddle.testing.provider import SimulatedProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSES, WORKERS, SLOTS = 4, 8, 16
REPLY_S = 0.2
WINDOW_S = 60.0

ALLOWANCES: dict[str, dict[str, int]] = {
    "requests": {"requests": 240},
    "tokens": {"input_tokens": 60_000, "output_tokens": 12_000},
}
"""What may be used in any minute, in each of the two campaigns."""

PROMPT, REPLY = (100, 500), (10, 100)
"""Tokens: the least and the most."""


class Seen(NamedTuple):
    """What the server saw.

    Attributes:
        requests: when each arrived, and what it took.
        peak: the most that were in work at once.
    """

    requests: list[tuple[float, Cost]]
    peak: int


def figures(*, short: bool, seed: int) -> Iterator[Figure]:
    """What was used in a minute and calls in flight, with one process killed on the way."""
    windows = 2 if short else 4
    for each in range(seed, seed + (1 if short else 3)):
        found = asyncio.run(_measure_all(windows, each))
        for kind, seen in found.items():
            yield from _figures(kind, seen, windows)


def _figures(kind: str, seen: Seen, windows: int) -> Iterator[Figure]:
    used = 0.0
    for name, amount in ALLOWANCES[kind].items():
        taken = [(at, getattr(cost, name)) for at, cost in seen.requests]
        yield Figure(
            f"{name} in any 60 s, by {PROCESSES} processes, one killed -9",
            _most_in_a_minute(taken), amount, of=len(taken),
        )  # fmt: skip
        used = max(used, sum(number for _, number in taken) / (windows * amount))
    yield Figure(f"calls in flight, by {PROCESSES} processes: {kind}", seen.peak, SLOTS)
    yield Figure(
        f"allowance of {kind} used within {_span_s(windows):.0f} s, which hold {windows} of it",
        100 * used, 90, "%", at_least=True,
    )  # fmt: skip


def _span_s(windows: int) -> float:
    return (windows - 1) * WINDOW_S + 25


def _most_in_a_minute(taken: list[tuple[float, int]]) -> int:
    most = within = first = 0
    for at, number in taken:
        within += number
        while taken[first][0] <= at - WINDOW_S:
            within -= taken[first][1]
            first += 1
        most = max(most, within)
    return most


async def _measure_all(windows: int, seed: int) -> dict[str, Seen]:
    """Both campaigns, at the same time."""
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / f"{kind}.db" for kind in ALLOWANCES]
        found = await asyncio.gather(
            *(_measure(*which, windows, seed) for which in zip(ALLOWANCES, places, strict=True))
        )
    return dict(zip(ALLOWANCES, found, strict=True))


async def _measure(kind: str, path: Path, windows: int, seed: int) -> Seen:
    seen: list[tuple[float, Cost]] = []
    first = asyncio.Event()
    dice = random.Random(seed)

    def reply(body: Any) -> str:
        text = "four" * dice.randint(*REPLY)
        prompt = four_characters(body["messages"][-1]["content"])
        seen.append((time.monotonic(), Cost(1, prompt, four_characters(text))))
        first.set()
        return text

    provider = SimulatedProvider(reply, time_to_first_token_s=REPLY_S)
    async with provider:
        command = [sys.executable, "-m", "bench.reliability.sharing", provider.base_url, kind]
        children = [
            await asyncio.create_subprocess_exec(*command, str(path), str(seed + n))
            for n in range(PROCESSES)
        ]
        await asyncio.wait_for(first.wait(), 30)
        began = seen[0][0]
        await asyncio.sleep(10)
        children[0].send_signal(signal.SIGKILL)
        await asyncio.sleep(began + _span_s(windows) - time.monotonic())
        for child in children:
            with suppress(ProcessLookupError):
                child.send_signal(signal.SIGKILL)
            await child.wait()
    return Seen(seen, provider.peak_in_flight)


async def _work(base_url: str, kind: str, path: str, seed: str) -> None:
    """One process: as many calls as its part of the allowance lets it make."""
    bounds = {f"{name}_per_minute": {"openai": n} for name, n in ALLOWANCES[kind].items()}
    limits = Limits(per_provider={"openai": SLOTS}, **bounds)  # type: ignore[arg-type]
    slots = SharedSlots(SQLiteAllowances(path), limits)
    model = OpenAIModel("simulated", base_url=base_url, api_key="none")
    dice = random.Random(seed)
    await asyncio.gather(*(_ask_on(slots, model, dice) for _ in range(WORKERS)))


async def _ask_on(slots: SharedSlots, model: OpenAIModel, dice: random.Random) -> None:
    while True:
        prompt = "four" * dice.randint(*PROMPT)
        request = Request((Message("user", prompt),), max_output_tokens=REPLY[1])
        lease = await slots.acquire(allowance_of(model), cost_of(request))
        usage: Usage | None = None
        async for piece in model.stream(request):
            usage = piece if isinstance(piece, Usage) else usage
        lease.release(Outcome(used=used_of(usage)))


if __name__ == "__main__":
    asyncio.run(_work(*sys.argv[1:]))
