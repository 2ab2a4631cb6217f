"""References: random DAGs with faulty tools end as the sequential reference interpreter says.

Each plan runs with a journal, faulty tools, and no deaths; how its steps ended is compared with an
interpreter of a few hundred lines that knows no time and shares no code with the engine.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from bench.reliability.figure import Figure
from heddle.testing.simulation import simulate
from heddle.testing.simulation.faults import TOOL_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["figures", "references"]

SLICE = 500


def references(seeds: Iterable[int]) -> tuple[int, list[str], float]:
    """Plans, differences and seconds of one core."""
    began, count = time.process_time(), 0
    broken: list[str] = []
    for seed in seeds:
        outcome = simulate(seed, kinds=frozenset(TOOL_KINDS))
        count += 1
        broken += [f"{seed}: {found}" for found in outcome.violations]
    return count, broken, time.process_time() - began


def figures(*, short: bool, seed: int) -> Iterator[Figure]:
    """100,000 plans; short: 300."""
    count = int(os.environ.get("HEDDLE_REFERENCES", "300" if short else "100000"))
    slices = [range(n, min(n + SLICE, seed + count)) for n in range(seed, seed + count, SLICE)]
    broken: list[str] = []
    plans, cpu_s = 0, 0.0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for done, found, seconds in pool.map(references, slices):
            plans += done
            broken += found
            cpu_s += seconds
    yield Figure("differences", len(broken), 0, of=plans, detail=broken[:20])
    yield Figure("random plans", plans, None if short else 100_000, at_least=True)
    yield Figure("plans a minute, one core", 60 * plans / cpu_s)
