"""The simulator: whole runs, with everything that can go wrong, in virtual time, from one seed.

A seed chooses the plan, the order in which things happen, what tools and disk do, and when the
program dies; it is then started again and goes on with its run, until that is over. What has
happened outside, and what the journal says, are held against promises (`invariants`).

    python -m heddle.testing.simulation 42             replays a seed, event by event
    python -m heddle.testing.simulation 42 --shrink    the smallest run that still breaks a promise
"""

from heddle.testing.simulation.run import Outcome, run_scenario, simulate
from heddle.testing.simulation.scenario import Scenario, scenario_of
from heddle.testing.simulation.shrinking import shrink

__all__ = ["Outcome", "Scenario", "run_scenario", "scenario_of", "shrink", "simulate"]
