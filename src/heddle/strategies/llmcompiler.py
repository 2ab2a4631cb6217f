"""Plan all calls at once, run them while the plan is being written, then join.

Source: "An LLM Compiler for Parallel Function Calling" (arXiv 2312.04511) and its code,
SqueezeAILab/LLMCompiler.
What differs: the planner's later rounds may refer to earlier results (`$3`) and see their status,
type and size, not their text; the joiner answers in a closed form, `finish` or `replan`; a plan
whose output says what the answer is needs no joiner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.strategies.rounds import plan_and_join
from heddle.strategies.wording import asked, inputs_text, prompt, tools_text

if TYPE_CHECKING:
    from heddle.strategies import Messages, Rounds, Verdict

__all__ = ["DIALECT", "planner_messages", "strategy"]

DIALECT = "llmcompiler"


async def strategy(rounds: Rounds) -> Verdict:
    """Rounds of plan and join, until the joiner is content or no round is left."""
    return await plan_and_join(rounds, DIALECT, planner_messages)


def planner_messages(rounds: Rounds, reason: str = "") -> Messages:
    """What the planner reads: tools, limits and inputs' names; then the question.

    The instructions are the same in every round, so that a provider can keep them.
    """
    numbers = [_number(step) for step in rounds.steps()]
    first = 1 + max((int(name) for name in numbers if name), default=0)
    system = prompt(
        "llmcompiler",
        max_steps=rounds.max_steps,
        tools=tools_text(rounds.specs),
        inputs=inputs_text(rounds.inputs),
    )
    return asked(rounds, system, reason, f"Number your calls from {first}.")


def _number(step: object) -> str:
    """A step's own number in its round, or "" if it has none."""
    name = str(getattr(step, "id", "")).rpartition(".")[2]
    return name if name.isdecimal() else ""
