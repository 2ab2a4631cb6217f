"""Wall time of every strategy over its bound: real sockets, real streaming, real time.

Each cell of the grid is one task, asked once by each strategy from a simulated provider on
loopback, which says its first token after a while and the others at a pace. What is printed is
bound over measured, so that 1 is perfect. `bench.bounds` derives the bounds; the same in virtual
time is a test, in which they are met exactly. What is lost here is CPU, the provider's included
(it runs in this process), and the machine: `httpx2` is the request of `direct` sent without heddle.

    python -m bench.walls [--quick] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.bounds import bound_s, over_http
from bench.formulas import STRATEGIES, asked
from bench.over_http import replies_of
from bench.overhead import bare
from heddle.models.openai import OpenAIModel
from heddle.testing.provider import SimulatedProvider
from heddle.testing.world import Sizes, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.bounds import Spoken

BAR = 0.97
WAYS = (*STRATEGIES, "httpx2")
SIZES = Sizes(action=90, step=70, observation=40, answer=80)


class Cell(NamedTuple):
    """One task and one pace; seconds, and tokens a second."""

    first_s: float
    tokens_per_s: float
    tool_s: float
    width: int
    depth: int


def grid(*, quick: bool = False) -> list[Cell]:
    """The cells that are measured."""
    if quick:
        return [Cell(0.4, 100, 0.3, 2, 2)]
    paces = list(itertools.product((0.25, 0.6), (50, 150), (0.1, 0.7)))
    shapes = ((1, 3), (2, 2), (4, 1), (3, 2))
    return [
        Cell(*pace, *shape)
        for number, pace in enumerate(paces)
        for shape in (shapes[number % 4], shapes[(number + 1 + number // 4) % 4])
    ]


class _Stage:
    """A provider that says what the world of the moment says, at the pace of the moment."""

    def __init__(self) -> None:
        self.begin(World(), Cell(0, 1e9, 0, 1, 1))

    def begin(self, world: World, cell: Cell) -> None:
        self._reply = replies_of(world)
        self.cell = cell
        self.spoken: list[Spoken] = []

    def __call__(self, body: dict[str, Any]) -> Any:
        reply = self._reply(body)
        first_s, rate = self.cell.first_s, self.cell.tokens_per_s
        self.spoken.append(over_http([reply.text, *reply.calls], first_s, rate))
        return replace(reply, time_to_first_token_s=first_s, tokens_per_second=rate)


async def _measured(cells: list[Cell], tries: int) -> list[dict[str, Any]]:
    import httpx2

    stage = _Stage()
    rows: list[dict[str, Any]] = []
    async with SimulatedProvider(stage) as provider, httpx2.AsyncClient(timeout=60) as client:
        model = OpenAIModel("any", base_url=provider.base_url)

        async def run(strategy: str, world: World) -> float:
            if strategy == "httpx2":
                return await _bare_s(client, provider)
            result, seconds = await asked(strategy, world, model)
            if strategy != "direct" and not world.is_right(result.answer):
                raise AssertionError(f"{strategy} came to a wrong answer: {result.answer!r}")
            return seconds

        for strategy in WAYS:  # opens a connection and imports what is imported late
            await run(strategy, World(sizes=SIZES))
        for cell, strategy in itertools.product(cells, WAYS):
            ratios: list[float] = []
            for _ in range(tries):
                world = World(cell.width, cell.depth, tool_s=cell.tool_s, sizes=SIZES)
                stage.begin(world, cell)
                seconds = await run(strategy, world)
                bound = bound_s("direct" if strategy == "httpx2" else strategy, world, stage.spoken)
                ratios.append(bound / seconds)
            row = {**cell._asdict(), "strategy": strategy, "bound_s": bound}
            rows.append({**row, "bound_over_measured": statistics.median(ratios)})
        await model.aclose()
    return rows


async def _bare_s(client: Any, provider: SimulatedProvider) -> float:
    """Seconds of the first request that was ever made, which is that of `direct`, sent by hand."""
    now = asyncio.get_running_loop().time
    began = now()
    await bare(client, f"{provider.base_url}/chat/completions", provider.requests[:1])
    return now() - began


def measured(cells: list[Cell], tries: int = 1) -> list[dict[str, Any]]:
    """A row for each cell and strategy.

    Args:
        cells: what is measured.
        tries: runs of a cell, of which the median counts.
    """
    return asyncio.run(_measured(cells, tries))


def summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By strategy: the median and the worst cell, and the share of cells that meet the bar."""
    found: dict[str, dict[str, float]] = {}
    for strategy in WAYS:
        ratios = [row["bound_over_measured"] for row in rows if row["strategy"] == strategy]
        found[strategy] = {
            "median": statistics.median(ratios),
            "worst": min(ratios),
            "met": statistics.fmean(ratio >= BAR for ratio in ratios),
            "cells": len(ratios),
        }
    return found


def lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The summary as a table, then every cell that misses the bar, worst first."""
    yield "strategy      median   worst   cells at 0.97 or better"
    for strategy, row in summary(rows).items():
        yield (
            f"{strategy:12}  {row['median']:.4f}  {row['worst']:.4f}  "
            f"{row['met']:4.0%} of {row['cells']}"
        )
    ours = [row for row in rows if row["strategy"] != "httpx2"]
    missed = [row for row in ours if row["bound_over_measured"] < BAR]
    for row in sorted(missed, key=lambda row: row["bound_over_measured"]):
        yield f"missed: {row}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.walls", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one cell")
    parser.add_argument("--tries", type=int, default=1, help="runs of a cell; the median counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measured(grid(quick=options.quick), options.tries)
    print(json.dumps(rows, indent=1) if options.json else "\n".join(lines(rows)))


if __name__ == "__main__":
    main()
