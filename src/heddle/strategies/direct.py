"""Ask the model, without tools: what every other strategy has to be better than.

Source: direct prompting, the baseline of ReWOO's Table 2 (arXiv 2305.18323), where it wins on three
of seven benchmarks.
What differs: nothing. Data that the caller passed is not shown, as no model reads it unasked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.models.protocol import Message
from heddle.strategies import Verdict
from heddle.strategies.wording import prompt

if TYPE_CHECKING:
    from heddle.strategies import Messages, Rounds

__all__ = ["DIALECT", "planner_messages", "strategy"]

DIALECT = None


async def strategy(rounds: Rounds) -> Verdict:
    """One question, one answer."""
    reply = await rounds.ask(planner_messages(rounds), "joiner")
    return Verdict("finish", reply.strip())


def planner_messages(rounds: Rounds, reason: str = "") -> Messages:
    """What the model reads: how to answer, and the question."""
    return [Message("system", prompt("direct")), Message("user", rounds.question)]
