"""All strategies on the same tasks: a chain, a grid, and a chain where every step is decided late.

Everything runs in virtual time over a made-up world, a token being a character. The tokens of the
first two tasks are those of the closed formulas (`bench.formulas`), to the token.

    python -m bench.strategies [--seeds N] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any, NamedTuple

from bench.formulas import STRATEGIES, in_memory
from heddle.engine.events import ModelCall
from heddle.strategies.boundary import Bill, Prices
from heddle.testing.world import Pace, Sizes, World

PACE = Pace(0.5, 240.0)  # 60 tokens of four characters a second
SIZES = Sizes(action=120, step=64, observation=400, answer=120, call=70)
TOOL_S = 1.0


class Task(NamedTuple):
    """One shape of task."""

    name: str
    width: int
    depth: int
    conditional: float = 0.0


TASKS = (
    Task("chain: 6 calls, each needs the one before", 1, 6),
    Task("grid: 4 threads of 2 calls", 4, 2),
    Task("late: 6 calls, each decided by the result before", 1, 6, 1.0),
)


def asked_all(task: Task, strategy: str, seeds: int) -> dict[str, float]:
    """A strategy on all seeds of a task: means, and the share of right answers."""
    rows: list[dict[str, float]] = []
    for seed in range(seeds):
        world = World(
            task.width, task.depth, conditional=task.conditional, tool_s=TOOL_S, sizes=SIZES,
            seed=seed,
        )  # fmt: skip
        result, seconds, _ = in_memory(strategy, world, PACE)
        rows.append(_row(world, result, seconds))
    return {name: statistics.fmean(row[name] for row in rows) for name in rows[0]}


def _row(world: World, result: Any, seconds: float) -> dict[str, float]:
    used = result.usage
    bill = Bill(used.input_tokens, used.cached_input_tokens, used.output_tokens, used.model_calls)
    asked = [event for event in result.events if isinstance(event, ModelCall)]
    return {
        "right": world.is_right(result.answer),
        "planner_calls": sum(call.role == "planner" for call in asked),
        "model_calls": bill.calls,
        "input": bill.input,
        "output": bill.output,
        "cost": bill.cost(Prices()),
        "cost_cached": bill.cost(Prices(), cache=True),
        "seconds": seconds,
    }


def table(seeds: int = 10) -> dict[str, dict[str, dict[str, float]]]:
    """By task and strategy."""
    return {
        task.name: {name: asked_all(task, name, seeds) for name in (*STRATEGIES, "auto")}
        for task in TASKS
    }


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m bench.strategies", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = table(options.seeds)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    for task, rows in found.items():
        print(f"\n{task}\n")
        print("| strategy | right | planner calls | model calls | in | out | priced | with a cache "
              "| seconds |\n" + "| --- " * 9 + "|")  # fmt: skip
        for name, row in rows.items():
            print(
                f"| {name} | {row['right']:.0%} | {row['planner_calls']:g} "
                f"| {row['model_calls']:g} | {row['input']:,.0f} | {row['output']:,.0f} "
                f"| {row['cost']:,.0f} | {row['cost_cached']:,.0f} | {row['seconds']:.1f} |"
            )


if __name__ == "__main__":
    main()
