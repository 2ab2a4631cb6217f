"""Choose a strategy by the question, and say why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.strategies import llmcompiler
from heddle.strategies.llmcompiler import DIALECT, planner_messages

if TYPE_CHECKING:
    from heddle.strategies import Rounds, Verdict

__all__ = ["DIALECT", "planner_messages", "strategy"]


async def strategy(rounds: Rounds) -> Verdict:
    """Plan first."""
    rounds.chose("llmcompiler", "the only strategy that plans ahead in this version")
    return await llmcompiler.strategy(rounds)
