"""Every crash: the program dies at each point of a run, and again at each point of what follows.

A point is before and after each append to the journal, and before each call of a tool and after its
effect. That is stronger than dying at random: for these plans, no schedule of so many deaths is
left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from heddle.testing.simulation.faults import CrashAt
from heddle.testing.simulation.run import run_scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heddle.testing.simulation.run import Outcome
    from heddle.testing.simulation.scenario import Scenario

__all__ = ["crashes_of"]


def crashes_of(
    scenario: Scenario, *, depth: int = 2, power: bool = False
) -> Iterator[tuple[tuple[int, ...], Outcome]]:
    """Run a scenario once for every schedule of up to `depth` deaths.

    Args:
        scenario: what is run; its own faults are left out.
        depth: deaths in one schedule, at most.
        power: whether un-synced frames are lost with each death.

    Returns:
        The points of death in each life, and what came of it.

    Cost: about the number of points, to the power of `depth`, in runs.
    """
    yield from _further(scenario, (), depth, power)


def _further(
    scenario: Scenario, points: tuple[int, ...], depth: int, power: bool
) -> Iterator[tuple[tuple[int, ...], Outcome]]:
    crash = CrashAt(points, power=power)
    outcome = run_scenario(replace(scenario, crash=crash))
    yield points, outcome
    if depth:
        for point in range(1, crash.seen[len(points)] + 1):
            yield from _further(scenario, (*points, point), depth - 1, power)
