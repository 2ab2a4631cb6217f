"""How good `auto` is: its regret against the better way in hindsight, over made-up tasks.

A task is a `World`: threads of calls, of which a share is conditional. Each is asked three times:
planning first (`llmcompiler`), step by step (`parallel`) and by `auto`; all must come to the right
answer. Regret is what `auto` cost over what the cheaper of the two cost, minus one.

Everything runs in virtual time: `python -m bench.router --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
from dataclasses import dataclass
from typing import Any, NamedTuple

import heddle
from heddle.strategies.boundary import Prices
from heddle.testing.clock import run_virtual
from heddle.testing.world import Pace, Sizes, World

PLENTY = heddle.Limits(max_rounds=200, max_turns=400, max_depth=1_000, run_timeout_s=None)
WAYS = ("llmcompiler", "parallel")


@dataclass(frozen=True, slots=True)
class Setting:
    """What a sweep holds fixed. Sizes are characters, each counted as a token."""

    width: int = 1
    depth: int = 12
    failing: float = 0.0
    tool_s: float = 1.0
    first_s: float = 0.5
    characters_per_s: float = 400.0
    action: int = 200
    step: int = 100
    observation: int = 400
    seeds: int = 30
    objective: str = "cost"
    cached: bool = False
    fresh: bool = False

    def world(self, conditional: float, seed: int) -> World:
        """One task."""
        sizes = Sizes(self.action, self.step, self.observation)
        return World(
            self.width, self.depth, conditional=conditional, failing=self.failing,
            tool_s=self.tool_s, sizes=sizes, seed=seed,
        )  # fmt: skip


class Ran(NamedTuple):
    """One run: what it cost, in priced tokens and in seconds, and whether it came out right."""

    cost: float
    seconds: float
    tokens: int
    right: bool
    chose: str


def ask(world: World, agent: heddle.Agent, setting: Setting) -> Ran:
    """Ask one task, in virtual time."""

    async def main() -> tuple[Any, float]:
        pace = Pace(setting.first_s, setting.characters_per_s)
        agent.models = {"": world.model(pace, keeps=setting.cached)}
        agent.tools = {tool.spec.name: tool for tool in world.tools}
        result = await agent.run(world.question)
        return result, asyncio.get_running_loop().time()

    result, seconds = run_virtual(main())
    usage, prices = result.usage, Prices()
    cached = usage.cached_input_tokens if setting.cached else 0
    cost = (usage.input_tokens - cached) * prices.input + cached * prices.cached
    cost += usage.output_tokens * prices.output
    tokens = usage.input_tokens + usage.output_tokens
    return Ran(cost, seconds, tokens, world.is_right(result.answer), result.strategy)


def agent_for(strategy: str) -> heddle.Agent:
    """An agent; whom it asks and what it has is set for each task."""
    return heddle.Agent(World().model(), World().tools, strategy=strategy, limits=PLENTY)


def sweep(setting: Setting, conditional: float) -> dict[str, Any]:
    """All seeds at one share of conditional calls."""
    agents = {way: agent_for(way) for way in (*WAYS, "auto")}
    ran: dict[str, list[Ran]] = {way: [] for way in agents}
    for seed in range(setting.seeds):
        for way in agents:
            fresh = setting.fresh and way == "auto"
            agent = agent_for(way) if fresh else agents[way]
            ran[way].append(ask(setting.world(conditional, seed), agent, setting))
    of = (lambda run: run.seconds) if setting.objective == "seconds" else (lambda run: run.cost)
    best = [min(of(ran[way][n]) for way in WAYS) for n in range(setting.seeds)]
    regrets = [of(run) / least - 1 for run, least in zip(ran["auto"], best, strict=True)]
    fixed = min(sum(map(of, ran[way])) for way in WAYS)
    return {
        "conditional": conditional,
        "right": {way: statistics.fmean(run.right for run in runs) for way, runs in ran.items()},
        "tokens": {way: statistics.fmean(run.tokens for run in runs) for way, runs in ran.items()},
        "cost": {way: statistics.fmean(run.cost for run in runs) for way, runs in ran.items()},
        "seconds": {way: statistics.fmean(r.seconds for r in runs) for way, runs in ran.items()},
        "better": {way: _wins(ran, way, of) for way in WAYS},
        "plans_first": statistics.fmean(run.chose == "llmcompiler" for run in ran["auto"]),
        "regret": statistics.fmean(regrets),
        "regret_fixed": sum(map(of, ran["auto"])) / fixed - 1,
        "interval": interval(regrets),
    }


def _wins(ran: dict[str, list[Ran]], way: str, of: Any) -> float:
    """How often a way was the cheaper one."""
    count = len(ran[way])
    return statistics.fmean(
        of(ran[way][n]) <= min(of(ran[other][n]) for other in WAYS) for n in range(count)
    )


def interval(values: list[float], draws: int = 2_000) -> tuple[float, float]:
    """A 95 % bootstrap interval of the mean."""
    chance = random.Random(0)
    means = sorted(statistics.fmean(chance.choices(values, k=len(values))) for _ in range(draws))
    return means[round(0.025 * draws)], means[round(0.975 * draws) - 1]


SHARES = (0.0, 0.2, 0.5, 0.8, 1.0)


def table(setting: Setting, shares: tuple[float, ...] = SHARES) -> list[dict[str, Any]]:
    """The whole sweep."""
    return [sweep(setting, share) for share in shares]


def _line(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    tokens = "  ".join(f"{row['tokens'][way] / 1000:7.1f}k" for way in (*WAYS, "auto"))
    seconds = "  ".join(f"{row['seconds'][way]:6.1f}" for way in (*WAYS, "auto"))
    right = min(row["right"].values())
    return (
        f"{row['conditional']:4.0%}  {tokens}  {seconds}  {row['plans_first']:5.0%}  "
        f"{row['better']['llmcompiler']:5.0%}  {row['regret']:6.1%} [{low:5.1%}, {high:5.1%}]  "
        f"{row['regret_fixed']:6.1%}  {right:5.0%}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in Setting.__slots__:
        value = getattr(Setting(), name)
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            parser.add_argument(option, action="store_true")
        else:
            parser.add_argument(option, type=type(value), default=value)
    parser.add_argument("--conditional", type=float, nargs="+", default=SHARES)
    parser.add_argument("--json", action="store_true")
    options = vars(parser.parse_args())
    shares, as_json = tuple(options.pop("conditional")), options.pop("json")
    rows = table(Setting(**options), shares)
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    print("cond.  tokens: plan first, step by step, auto   seconds: the same      "
          "plans  better  regret [95 %]         fixed  right")  # fmt: skip
    for row in rows:
        print(_line(row))


if __name__ == "__main__":
    main()
