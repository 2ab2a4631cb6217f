"""What a strategy costs for each model call: CPU beyond bare httpx2 with the same requests.

The provider runs in a process of its own and answers at once. In this process, agents answer
questions over a made-up world, and bare httpx2 sends the very same requests and reads the same
streams; they take turns, so that the machine's moods meet both. What is left over is everything
that heddle does: the run, its events, prompts, the dialect, the verifier, the scheduler, the tools.

    python -m bench.overhead [--quick] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
from typing import TYPE_CHECKING, Any

from bench.formulas import STRATEGIES, asked
from bench.over_http import replies_of
from heddle.models.openai import OpenAIModel
from heddle.testing.provider import SimulatedProvider
from heddle.testing.world import World

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

SHAPE = (2, 3)


def serve(parent: Connection) -> None:
    """Answer for the world, until the parent ends this process.

    Args:
        parent: gets the address.
    """

    async def main() -> None:
        async with SimulatedProvider(replies_of(World(*SHAPE))) as provider:
            parent.send(provider.base_url)
            await asyncio.Event().wait()

    asyncio.run(main())


async def _requests(strategy: str) -> list[dict[str, Any]]:
    """The bodies of the requests that a strategy sends."""
    world = World(*SHAPE)
    async with SimulatedProvider(replies_of(world)) as provider:
        model = OpenAIModel("any", base_url=provider.base_url)
        await asked(strategy, world, model)
        await model.aclose()
        return provider.requests


async def bare(client: Any, url: str, bodies: list[dict[str, Any]]) -> None:
    """The same requests by hand: lines, JSON, joined texts."""
    for body in bodies:
        texts: list[str] = []
        async with client.stream("POST", url, json=body) as response:
            async for line in response.aiter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                event = json.loads(line[6:])
                if event["choices"]:
                    texts.append(event["choices"][0]["delta"].get("content") or "")
        "".join(texts)


async def _taking_turns(base_url: str, strategy: str, repeats: int, times: int) -> dict[str, float]:
    import httpx2

    bodies = await _requests(strategy)
    world, model = World(*SHAPE), OpenAIModel("any", base_url=base_url)
    over: list[float] = []
    plain: list[float] = []
    async with httpx2.AsyncClient(timeout=60) as client:
        for turn in range(repeats + 1):
            began = time.process_time()
            for _ in range(times):
                await asked(strategy, world, model)
            between = time.process_time()
            for _ in range(times):
                await bare(client, f"{base_url}/chat/completions", bodies)
            ended = time.process_time()
            calls = times * len(bodies) / 1e3
            if turn:  # the first turn opens connections and imports modules
                over.append((between - began - (ended - between)) / calls)
                plain.append((ended - between) / calls)
    await model.aclose()
    return {
        "calls": len(bodies),
        "over_ms": statistics.median(over),
        "httpx2_ms": statistics.median(plain),
    }


def overhead_ms(repeats: int = 9, times: int = 5) -> dict[str, dict[str, float]]:
    """By strategy: model calls of a run, CPU for each beyond bare httpx2, and that of httpx2."""
    here, there = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    server = spawn.Process(target=serve, args=(there,), daemon=True)
    server.start()
    try:
        url = here.recv()
        return {
            strategy: asyncio.run(_taking_turns(url, strategy, repeats, times))
            for strategy in STRATEGIES
        }
    finally:
        server.terminate()
        server.join()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.overhead", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = overhead_ms(2, 2) if options.quick else overhead_ms()
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print("strategy      model calls   CPU of each beyond bare httpx2   that of bare httpx2")
    for strategy, row in found.items():
        print(
            f"{strategy:12}  {row['calls']:11.0f}  {row['over_ms']:28.2f} ms"
            f"  {row['httpx2_ms']:17.2f} ms"
        )


if __name__ == "__main__":
    main()
