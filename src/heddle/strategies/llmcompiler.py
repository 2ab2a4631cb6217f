"""Plan all calls at once, run them while the plan is being written, then join.

Source: "An LLM Compiler for Parallel Function Calling" (arXiv 2312.04511) and its code,
SqueezeAILab/LLMCompiler.
What differs: the planner's later rounds may refer to earlier results (`$3`) and see their status,
type and size, not their text; the joiner answers in a closed form, `finish` or `replan`; a plan
whose output says what the answer is needs no joiner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.models.protocol import Message
from heddle.strategies.wording import digest, inputs_text, prompt, tools_text

if TYPE_CHECKING:
    from heddle.strategies import Messages, Rounds, Verdict

__all__ = ["DIALECT", "planner_messages", "strategy"]

DIALECT = "llmcompiler"


async def strategy(rounds: Rounds) -> Verdict:
    """Rounds of plan and join, until the joiner is content or no round is left."""
    reason = ""
    while True:
        plan = await rounds.plan(planner_messages(rounds, reason), DIALECT)
        verdict = await rounds.join(plan)
        if verdict.decision == "finish" or rounds.last_round:
            return verdict
        reason = verdict.reason


def planner_messages(rounds: Rounds, reason: str = "") -> Messages:
    """What the planner reads: tools, limits and inputs' names; then the question.

    Args:
        rounds: the run so far.
        reason: why another round is wanted; "" in the first.
    """
    steps = rounds.steps()
    first = 1 + max((int(name) for name in map(_number, steps) if name), default=0)
    system = prompt(
        "planner",
        first=first,
        max_steps=rounds.max_steps,
        tools=tools_text(rounds.specs),
        inputs=inputs_text(rounds.inputs),
    )
    if rounds.next_round == 1:
        return [Message("system", system), Message("user", rounds.question)]
    again = prompt(
        "replan",
        question=rounds.question,
        round=rounds.next_round,
        first=first,
        steps=digest(steps) or "(none)",
        reason=reason,
    )
    return [Message("system", system), Message("user", again)]


def _number(step: object) -> str:
    """A step's own number in its round, or "" if it has none."""
    name = str(getattr(step, "id", "")).rpartition(".")[2]
    return name if name.isdecimal() else ""
