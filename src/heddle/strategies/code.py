"""Plan in restricted Python: read statement by statement, lowered to steps, never executed.

Source: the idea of code as a plan, from CodeAct (arXiv 2402.01030) and programmatic tool calling.
What differs: nothing is executed, so no sandbox is needed. A call starts when its statement is
complete and its own inputs are there; independent calls run at the same time without a word of
concurrency; results stay out of the planner's context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.strategies.rounds import plan_and_join
from heddle.strategies.wording import asked, inputs_text, prompt, tools_text

if TYPE_CHECKING:
    from heddle.strategies import Messages, Rounds, Verdict

__all__ = ["DIALECT", "planner_messages", "strategy"]

DIALECT = "python"


async def strategy(rounds: Rounds) -> Verdict:
    """Rounds of program and join; a program that ends in an expression has said its answer."""
    return await plan_and_join(rounds, DIALECT, planner_messages)


def planner_messages(rounds: Rounds, reason: str = "") -> Messages:
    """What the planner reads: the language, the tools, the question."""
    system = prompt(
        "code",
        max_steps=rounds.max_steps,
        tools=tools_text(rounds.specs),
        inputs=inputs_text(rounds.inputs, 'inputs["{}"]'),
    )
    return asked(rounds, system, reason, "Give your variables new names.")
