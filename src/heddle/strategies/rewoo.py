"""Plan with evidence variables, gather all evidence, solve once.

Source: "ReWOO: Decoupling Reasoning from Observations for Efficient Augmented Language Models"
(arXiv 2305.18323) and its code, billxbf/ReWOO (algos/PWS.py).
What differs: evidence is gathered while the plan is being written and as soon as its own inputs are
there, not line by line; it is passed as a value, not pasted as text in brackets; a tool that fails
costs its dependents and not the run; the solver is asked even then. As published, the solver only
answers: it asks for no other plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.models.protocol import Message
from heddle.strategies.rounds import plan_and_join
from heddle.strategies.wording import asked, inputs_text, prompt, results_text, tools_text

if TYPE_CHECKING:
    from heddle.plan.ir import Plan
    from heddle.strategies import Messages, Rounds, Verdict

__all__ = ["DIALECT", "planner_messages", "solver_messages", "strategy"]

DIALECT = "rewoo"


async def strategy(rounds: Rounds) -> Verdict:
    """Plan, work, solve; a reply that is no plan is asked for again."""
    return await plan_and_join(rounds, DIALECT, planner_messages, solver_messages)


def planner_messages(rounds: Rounds, reason: str = "") -> Messages:
    """What the planner reads: the form of a plan, the tools, the question."""
    first = 1 + len(rounds.steps())
    system = prompt(
        "rewoo",
        max_steps=rounds.max_steps,
        tools=tools_text(rounds.specs),
        inputs=inputs_text(rounds.inputs),
    )
    return asked(rounds, system, reason, f"Begin with #E{first}.")


def solver_messages(rounds: Rounds, plan: Plan) -> Messages:
    """What the solver reads: the question, every step with its evidence, the question again."""
    evidence = f"<evidence>\n{results_text(rounds.steps(), notes=True)}\n</evidence>"
    task = f"Question: {rounds.question}\n\n{evidence}\n\nNow answer: {rounds.question}"
    return [Message("system", prompt("rewoo_solver")), Message("user", task)]
