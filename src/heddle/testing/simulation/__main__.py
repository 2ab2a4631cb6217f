"""Replay a seed, event by event: `python -m heddle.testing.simulation SEED [--shrink]`.

Exit status 1 when it breaks a promise.
"""

from __future__ import annotations

import argparse
import sys

from heddle.plan.canonical import canonical_text
from heddle.testing.simulation.run import run_scenario
from heddle.testing.simulation.scenario import scenario_of
from heddle.testing.simulation.shrinking import smaller


def main() -> int:
    """Replay, and print what happened."""
    parser = argparse.ArgumentParser("python -m heddle.testing.simulation", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--shrink", action="store_true", help="print the smallest run that fails")
    asked = parser.parse_args()
    scenario = scenario_of(asked.seed)
    if asked.shrink:
        try:
            scenario = smaller(scenario)
        except ValueError as error:
            print(error)
            return 0
    outcome = run_scenario(scenario)
    print(canonical_text(scenario.plan))
    print(outcome.trace())
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
