"""A scenario: what is run in a simulation, and everything that may go wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any

from heddle.plan.ir import Plan
from heddle.plan.limits import Limits
from heddle.testing.simulation.faults import KINDS, Faults, NoFaults
from heddle.testing.simulation.outside import made_tool
from heddle.testing.simulation.planners import STRATEGIES
from heddle.testing.simulation.plans import INPUTS, TIMEOUT_S, random_plan, tools_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heddle.tools.function import Tool

__all__ = ["Scenario", "scenario_of"]


@dataclass(frozen=True)
class Scenario:
    """One run to be simulated.

    Attributes:
        seed: of everything that is left to chance.
        plan: what is run; an agent writes its own.
        strategy: of an agent, one of `planners.STRATEGIES`; "" for a run of the plan.
        tools: that it may call; they are wrapped, recorded, and made to fail.
        inputs: the caller's data.
        limits: bounds of the run.
        kinds: what may go wrong.
        deaths: lives that may end early.
        changes: see `SeededLoop`.
        resolves: whether a person says of each write whose outcome is not known whether it has
            happened; else the run ends unresolved.
        quiet: faults that do not happen, as (kind, number of the point).
        crash: in the place of all faults by chance, those of an enumeration.
    """

    seed: int
    plan: Plan
    tools: tuple[Tool, ...]
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    limits: Limits = field(
        default_factory=lambda: Limits(grace_s=60.0, run_timeout_s=None, max_deaths=1_000)
    )
    kinds: frozenset[str] = frozenset(KINDS)
    deaths: int = 3
    changes: int | None = None
    resolves: bool = True
    quiet: frozenset[tuple[str, int]] = frozenset()
    crash: NoFaults | None = None
    strategy: str = ""

    def faults(self) -> NoFaults:
        """What goes wrong, from its beginning."""
        if self.crash is not None:
            return self.crash
        return Faults(self.seed, kinds=self.kinds, deaths=self.deaths, quiet=self.quiet)


def scenario_of(seed: int, size: int | None = None) -> Scenario:
    """The scenario that a seed stands for: a random plan under random limits; of five, one agent.

    Of eleven, one has too little of everything, and in one plans expand others.

    Args:
        seed: any number.
        size: steps of the plan, which is then no agent's; chosen by the seed by default.
    """
    random = Random(seed)
    plan = random_plan(seed, size, nests=seed % 11 == 3)
    slots = random.choice((1, 2, 8))
    rates = {"q": random.choice((2.0, 60.0))} if random.random() < 0.2 else {}
    kinds = frozenset(KINDS)
    if rates:  # allowances are taken before the disk is waited for, so that it moves calls together
        kinds -= {"disk-slow"}
    tools = tuple(tools_of(plan))
    strategy = random.choice(STRATEGIES) if size is None and seed % 5 == 3 else ""
    bounds: dict[str, Any] = {}
    if size is None and seed % 11 == 4:
        tools, bounds = _scarce(seed, tools, priced=not strategy)
    limits = Limits(
        concurrency=random.choice((1, 2, 5, 64)),
        per_provider={"p": slots} if random.random() < 0.6 else {},
        requests_per_minute=rates,
        grace_s=TIMEOUT_S * 5,
        run_timeout_s=None,
        speculation=seed % 3 == 0,
        max_rounds=2 + seed % 3,
        max_turns=6,
        max_deaths=1_000,  # what dies here, dies of something else than its steps
    )
    return Scenario(
        seed=seed,
        plan=Plan() if strategy else plan,
        strategy=strategy,
        tools=tools,
        inputs=INPUTS,
        limits=replace(limits, **bounds),
        kinds=kinds,
        changes=random.choice((None, None, None, 3)),
        resolves=random.random() < 0.7,
    )


def _scarce(
    seed: int, tools: tuple[Tool, ...], *, priced: bool
) -> tuple[tuple[Tool, ...], dict[str, Any]]:
    """Tools that cost money, and too little of everything: calls, tokens, money, time.

    Nobody knows the price of a made-up model, so that an agent has no budget of money.
    """
    random = Random(f"{seed} is scarce")
    dear = tuple(
        made_tool(replace(tool.spec, cost_usd=random.choice((0.01, 0.03)))) for tool in tools
    )
    return dear, {
        "budget_calls": random.choice((None, 3, 12)),
        "budget_tokens": random.choice((None, 3_000, 20_000)),
        "budget_usd": random.choice((None, 0.05, 0.3)) if priced else None,
        "max_output_tokens": 1_000,
        "run_timeout_s": random.choice((None, 4.0, 30.0)),
    }
