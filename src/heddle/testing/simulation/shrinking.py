"""Shrinking: a smaller plan and fewer faults that still break the same promise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from heddle.plan.ir import Choose, Plan, dependencies, nodes_of
from heddle.testing.simulation.run import run_scenario
from heddle.testing.simulation.scenario import scenario_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heddle.testing.simulation.scenario import Scenario

__all__ = ["shrink", "smaller"]


def shrink(seed: int) -> Scenario:
    """The smallest scenario found that breaks a promise which this seed breaks.

    Cost: some hundreds of runs.

    Raises:
        ValueError: the seed breaks none.
    """
    return smaller(scenario_of(seed))


def smaller(scenario: Scenario) -> Scenario:
    """The same for a scenario.

    Raises:
        ValueError: it breaks no promise.
    """
    broken = _broken(scenario)
    if not broken:
        raise ValueError(f"seed {scenario.seed} breaks no promise")

    def fails(candidate: Scenario) -> bool:
        return bool(_broken(candidate) & broken)

    while True:
        found = _first(_without_a_step(scenario), fails) or _first(
            _without_a_fault(scenario), fails
        )
        if found is None:
            return scenario
        scenario = found


def _broken(scenario: Scenario) -> set[str]:
    return {found.rule for found in run_scenario(scenario).violations}


def _first(candidates: Iterator[Scenario], fails: Callable[[Scenario], bool]) -> Scenario | None:
    return next(filter(fails, candidates), None)


def _without_a_step(scenario: Scenario) -> Iterator[Scenario]:
    """The scenario without a step and what depends on it: from the first, which takes most away."""
    steps = scenario.plan.steps
    for victim in steps:
        gone = {victim.id}
        for step in steps:
            options = {
                ref.step
                for node in nodes_of([step.args, step.over])
                if isinstance(node, Choose)
                for ref in node.options
            }
            if gone & (dependencies(step).keys() | options):
                gone.add(step.id)
        if len(gone) < len(steps):
            kept = [step for step in steps if step.id not in gone]
            yield replace(scenario, plan=Plan(kept, output=scenario.plan.output))


def _without_a_fault(scenario: Scenario) -> Iterator[Scenario]:
    """The scenario with one fault fewer."""
    for point in run_scenario(scenario).fired:
        yield replace(scenario, quiet=scenario.quiet | {point})
