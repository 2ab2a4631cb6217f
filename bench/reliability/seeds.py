"""Seeds: random plans, random faults, random deaths; every promise is checked after each.

A seed is some 35 ms of one core, so that 200,000 of them are two hours.
"""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.reliability.figure import Figure
from heddle.testing.simulation import simulate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Tally", "figures", "seeds"]

SLICE = 500


@dataclass
class Tally:
    """What came of some seeds.

    Attributes:
        agents: seeds in which an agent ran, whose model wrote the plans.
        steps: of the plans of all others.
        faulty: seeds in which a fault fired.
        statuses: of the runs.
        states: pairs of a step's status and code that came about.
        broken: violations, as "seed: rule: message".
        cpu_s: what it cost.
    """

    seeds: int = 0
    agents: int = 0
    steps: int = 0
    calls: int = 0
    lives: int = 0
    faulty: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    states: set[tuple[str, str]] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    cpu_s: float = 0.0

    def add(self, other: Tally) -> None:
        """Take in what came of others."""
        self.seeds += other.seeds
        self.agents += other.agents
        self.steps += other.steps
        self.calls += other.calls
        self.lives += other.lives
        self.faulty += other.faulty
        self.statuses += other.statuses
        self.states |= other.states
        self.kinds += other.kinds
        self.broken += other.broken
        self.cpu_s += other.cpu_s


def seeds(chosen: Iterable[int]) -> Tally:
    """Simulate these seeds, one after the other."""
    tally = Tally()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # each seed leaves circles, and none needs them
    began = time.process_time()
    for seed in chosen:
        outcome = simulate(seed)
        tally.seeds += 1
        tally.agents += bool(outcome.strategy)
        tally.steps += 0 if outcome.strategy else outcome.steps
        tally.calls += outcome.calls
        tally.lives += outcome.lives
        tally.faulty += bool(outcome.fired)
        tally.statuses[outcome.status] += 1
        tally.states |= outcome.states
        tally.kinds.update(kind for kind, _ in outcome.fired)
        tally.broken += [f"{seed}: {found}" for found in outcome.violations]
    tally.cpu_s = time.process_time() - began
    return tally


def campaign(count: int, first: int) -> Tally:
    """Simulate so many seeds on all cores."""
    slices = [range(n, min(n + SLICE, first + count)) for n in range(first, first + count, SLICE)]
    tally = Tally()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for part in pool.map(seeds, slices):
            tally.add(part)
    return tally


def figures(*, short: bool, seed: int) -> Iterator[Figure]:
    """200,000 seeds; short: 600."""
    count = int(os.environ.get("HEDDLE_SEEDS", "600" if short else "200000"))
    tally = campaign(count, seed)
    yield Figure("violations", len(tally.broken), 0, of=tally.seeds, detail=tally.broken[:20])
    yield Figure("seeds", tally.seeds, None if short else 200_000, at_least=True)
    yield Figure("agents among them", tally.agents)
    plans = tally.seeds - tally.agents
    yield Figure("steps of a plan, mean", tally.steps / plans, 20, at_least=True)
    yield Figure("calls of a run, mean", tally.calls / tally.seeds)
    yield Figure("lives of a run, mean", tally.lives / tally.seeds)
    share = 100 * tally.faulty / tally.seeds
    yield Figure("seeds with a fault", share, 80, "%", at_least=True, detail=dict(tally.kinds))
    covered = sorted("/".join(state) for state in tally.states)
    yield Figure("endings of steps, by status and code", len(covered), detail=covered)
    yield Figure("seeds a minute, one core", 60 * tally.seeds / tally.cpu_s)
