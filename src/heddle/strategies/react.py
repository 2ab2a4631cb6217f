"""Think, act, observe, one step at a time: what wins where each result decides what comes next.

Source: "ReAct: Synergizing Reasoning and Acting in Language Models" (arXiv 2210.03629).
What differs: an action is a step of a plan, verified before it runs; several actions in one turn
run at the same time; a faulty action is an observation that says what is wrong; what the model
writes after an observation of its own making is not read; on the last turn it is told to finish.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heddle.models.protocol import Message
from heddle.strategies import Verdict
from heddle.strategies.turns import LAST, observations, out_of_turns
from heddle.strategies.wording import inputs_text, prompt, tools_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from heddle.strategies import Messages, Rounds

__all__ = ["DIALECT", "planner_messages", "strategy", "turns"]

DIALECT = None
_STOP = ("\nObservation:",)
_NO_ACTION = 'No action was found. Write "Action: tool[input]" or "Action: finish[answer]".'


async def strategy(rounds: Rounds) -> Verdict:
    """Turns of thought, action and observation, until the model finishes."""
    verdict = await turns(rounds)
    assert verdict is not None  # nobody told it to stop
    return verdict


async def turns(rounds: Rounds, lasts: Callable[[], bool] | None = None) -> Verdict | None:
    """The same, until `lasts` says before a turn that it takes too long; then None."""
    messages = list(planner_messages(rounds))
    silent = False  # whether the turn before had neither action nor answer
    while lasts is None or not lasts():
        last = rounds.last_turn_next
        messages += [Message("user", LAST)] if last else []
        reply = await rounds.read(messages, "react", may_answer=True, stop=_STOP, effects=not last)
        if reply.plan.output is not None and not reply.plan.entries:
            return Verdict("finish", reply.plan.output)
        if not reply.plan.entries and (silent or last):
            return Verdict("finish", reply.text.strip())
        silent = not reply.plan.entries
        if last:
            raise out_of_turns(rounds)
        await rounds.settle(reply.plan)
        seen = "\n".join(observations(rounds, reply.plan)) or _NO_ACTION
        messages += [Message("assistant", reply.text)] if reply.text.strip() else []
        messages.append(Message("user", f"Observation: {seen}"))
    return None


def planner_messages(rounds: Rounds, reason: str = "") -> Messages:
    """What the model reads first: the form of a turn, the tools, the question."""
    system = prompt("react", tools=tools_text(rounds.specs), inputs=inputs_text(rounds.inputs))
    return [Message("system", system), Message("user", rounds.question)]
