"""What strategies that plan first have in common: rounds of plan and join."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.plan.ir import Plan
    from heddle.strategies import Messages, Rounds, Verdict

__all__ = ["plan_and_join"]


async def plan_and_join(
    rounds: Rounds,
    dialect: str,
    messages: Callable[[Rounds, str], Messages],
    solver: Callable[[Rounds, Plan], Messages] | None = None,
    *,
    first: Plan | None = None,
    reason: str = "",
) -> Verdict:
    """Plan, run and join, until the join is content or no round is left.

    Args:
        rounds: the run.
        dialect: what the planner writes.
        messages: what the planner reads, given why another round is wanted.
        solver: what the joiner reads, if it only answers; by default it may ask for more.
        first: the plan of the first round, if it was read already.
        reason: why there is a plan at all, if something else was tried before.
    """
    while True:
        if first is not None:
            plan, first = first, None
            await rounds.settle(plan)
        else:
            plan = await rounds.plan(messages(rounds, reason), dialect)
        verdict = await rounds.join(plan, solver and solver(rounds, plan))
        if verdict.decision == "finish" or rounds.last_round:
            return verdict
        reason = verdict.reason
