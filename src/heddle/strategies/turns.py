"""What strategies that read every result have in common: turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.errors import BudgetExceeded
from heddle.plan.ir import Hole
from heddle.strategies.wording import observed

if TYPE_CHECKING:
    from heddle.plan.ir import Plan
    from heddle.strategies import Rounds

__all__ = ["LAST", "observations", "out_of_turns"]

LAST = "This is your last turn: no further call is possible. Answer with what you have."


def observations(rounds: Rounds, plan: Plan) -> list[str]:
    """What the calls of a turn have given, each in its place, failures in words."""
    states = {step.id: step for step in rounds.steps()}
    return [
        _refused(entry) if isinstance(entry, Hole) else observed(states[entry.id])
        for entry in plan.entries
    ]


def _refused(hole: Hole) -> str:
    """What is wrong with a call that cannot be made, and how it could be."""
    return "\n".join(
        f"Error ({finding.code}): {finding.message}" + (finding.hint and f" ({finding.hint})")
        for finding in hole.findings
    )


def out_of_turns(rounds: Rounds) -> BudgetExceeded:
    """The error of a model that goes on calling when it may not."""
    if rounds.turns < rounds.max_turns:
        return BudgetExceeded(
            "the run's time is up, and the model has not answered",
            code="deadline",
            hint="raise limits.run_timeout_s (--timeout), or ask for less",
        )
    return BudgetExceeded(
        "no turn is left, and the model has not answered",
        code="max-turns",
        hint="raise limits.max_turns, or use a strategy that plans first",
    )
