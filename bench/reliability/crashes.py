"""Crashes: the program dies at every point of a run, and again at every point of what follows.

No schedule of up to two deaths is left out for these plans: before and after each append to the
journal, before each call and after each effect; once with, once without a loss of power.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.reliability.figure import Figure
from heddle.plan.limits import Limits
from heddle.testing.simulation.enumeration import crashes_of
from heddle.testing.simulation.scenario import scenario_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heddle.testing.simulation.scenario import Scenario

__all__ = ["crashes", "figures", "small", "small_plans"]


def small(seed: int) -> Scenario:
    """A plan of 2 to 6 steps."""
    limits = Limits(concurrency=2, run_timeout_s=None)
    return replace(scenario_of(seed, size=2 + seed % 5), limits=limits)


def small_plans(count: int, first: int = 1) -> list[int]:
    """Seeds of small plans, each with an effect; every second one with maps."""
    found: list[int] = []
    while len(found) < count:
        if any(tool.spec.effectful for tool in small(first).tools):
            found.append(first)
        first += 1
    return found


def crashes(seed: int, depth: int) -> tuple[int, list[str], float]:
    """Schedules, violations and seconds of one core, for the small plan of a seed."""
    scenario = small(seed)
    began, schedules = time.process_time(), 0
    broken: list[str] = []
    for power in (False, True):
        for points, outcome in crashes_of(scenario, depth=depth, power=power):
            schedules += 1
            where = f"seed {scenario.seed}, deaths at {points}, power {power}"
            broken += [f"{where}: {found}" for found in outcome.violations]
    return schedules, broken, time.process_time() - began


def figures(*, short: bool, seed: int) -> Iterator[Figure]:
    """70 plans and two deaths, some 7 minutes of one core; short: 5 plans and one death."""
    plans, depth = (5, 1) if short else (70, 2)
    seeds = small_plans(plans, seed)
    schedules, cpu_s = 0, 0.0
    broken: list[str] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for count, found, seconds in pool.map(crashes, seeds, [depth] * plans):
            schedules += count
            broken += found
            cpu_s += seconds
    yield Figure("violations", len(broken), 0, of=schedules, detail=broken[:20])
    yield Figure("plans", plans, None if short else 50, at_least=True)
    yield Figure("schedules of deaths", schedules, None if short else 20_000, at_least=True)
    yield Figure("schedules a minute, one core", 60 * schedules / cpu_s)
